//! The shipped dashboards ask only what the engine understands.

use std::{collections::BTreeMap, path::Path};

use demarc_proto::Millis;
use serde_json::Value;

use crate::fixture::{Bed, tenant};

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "expr" => found.push(text.clone()),
                    _ => expressions(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_expression_of_every_shipped_dashboard_is_answered() {
    let bed = Bed::new().await;
    let variables = BTreeMap::from([
        ("$__rate_interval", "1m"),
        ("$__interval", "15s"),
        ("$__range", "1h"),
    ]);
    let folder = Path::new("../dashboards/grafana");
    let mut count = 0;
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let dashboard: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let mut found = Vec::new();
        expressions(&dashboard, &mut found);
        for text in found {
            let query = variables.iter().fold(text.clone(), |text, (name, value)| {
                text.replace(name, value)
            });
            let answer = bed.engine.instant(&tenant("t"), &query, Millis(0)).await;
            assert!(answer.is_ok(), "{}: {text}: {answer:?}", path.display());
            count += 1;
        }
    }
    assert!(count > 5, "only {count} expressions were found");
}
