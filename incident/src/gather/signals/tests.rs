//! Series of exporters in `tests/signals`, and the signals that they are.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use demarc_proto::{AttrValue, Attributes, EntityId, Labels, ManualClock, Millis, Nanos, TenantId};
use demarc_query::{Engine, QueryConfig};
use demarc_store::{MetricRows, Rows, Sample, Store, StoreConfig};
use demarc_topology::{Entity, EntityKind, Graph};
use serde_json::json;

use super::read;
use crate::{
    Evidence,
    gather::{Series, Shared, Window},
};

/// Seconds from the epoch to the beginning, to the onset and to the end.
const TIMES: [i64; 3] = [6_000, 6_600, 6_780];
const SCRAPE_SECONDS: usize = 15;

fn nanos(second: i64) -> Nanos {
    Nanos(second * 1_000_000_000)
}

fn entity(line: &str) -> Entity {
    let mut words = line.split_whitespace();
    let id = words.next().unwrap();
    let (kind, name) = id.split_once(':').unwrap();
    let kind = EntityKind::parse(kind).unwrap();
    let attributes: Attributes = words
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(key, value)| (key, AttrValue::from(value)))
        .collect();
    Entity {
        id: EntityId(id.to_owned()),
        kind,
        layer: kind.layer(),
        name: name.to_owned(),
        tenant: None,
        owner: None,
        attributes,
        first_seen: Nanos(0),
        last_seen: nanos(TIMES[2]),
    }
}

/// `<series> <gauge|counter> <before> <during>`
fn rows(line: &str) -> MetricRows {
    let words: Vec<&str> = line.rsplitn(4, ' ').collect();
    let [during, before, kind, series] = words.as_slice() else {
        panic!("{line}");
    };
    let (before, during): (f64, f64) = (before.parse().unwrap(), during.parse().unwrap());
    let (name, inside) = series.split_once('{').unwrap();
    let pairs = inside.trim_end_matches("\"}").split("\",");
    let pairs = pairs.map(|pair| pair.split_once("=\"").unwrap());
    let mut counted = 0.0;
    let samples = (TIMES[0]..TIMES[2]).step_by(SCRAPE_SECONDS).map(|second| {
        let now = if second < TIMES[1] { before } else { during };
        counted += now * SCRAPE_SECONDS as f64;
        let value = if *kind == "counter" { counted } else { now };
        Sample::new(Millis(second * 1000), value)
    });
    MetricRows {
        samples: samples.collect(),
        labels: Labels::from_pairs(pairs.chain([("__name__", name)])),
        ..MetricRows::default()
    }
}

fn evidence(graph: &Graph) -> Evidence {
    let facts = |entity: &Entity| {
        let facts = json!({"name": entity.name, "layer": entity.layer});
        (entity.id.to_string(), facts)
    };
    let entities: serde_json::Map<_, _> = graph.entities.values().map(facts).collect();
    let document = json!({
        "tenant": "operator", "service": "service:tax/api", "symptom": "latency",
        "start": 0, "onset": 0, "until": 0, "entities": entities,
    });
    serde_json::from_value(document).unwrap()
}

fn window() -> Window {
    let [start, onset, until] = TIMES.map(nanos);
    Window {
        history: Vec::new(),
        start,
        onset,
        until,
        step: Duration::from_secs(30),
    }
}

async fn answer(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(nanos(TIMES[2])));
    let store = Store::open(folder.path(), StoreConfig::default(), clock)
        .await
        .unwrap();
    let engine = Engine::new(Arc::clone(&store), QueryConfig::default()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let (entities, series): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with('@'));
    let entities = entities.iter().map(|line| entity(&line[1..]));
    let entities: BTreeMap<_, _> = entities.map(|one| (one.id.clone(), one)).collect();
    let graph = Graph::new(nanos(TIMES[2]), entities, Vec::new());
    let tenant = TenantId::new("operator").unwrap();
    let metrics = series.into_iter().map(rows).collect();
    let rows = Rows {
        metrics,
        ..Rows::default()
    };
    store.append(&tenant, rows).await.unwrap();
    let (mut evidence, window, shared) = (evidence(&graph), window(), Shared::default());
    let series = Series::open((&engine, &shared), &tenant, &window)
        .await
        .unwrap();
    read(&series, &graph, &mut evidence).await.unwrap();
    let facts = evidence.signals.iter().map(|fact| {
        let value =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let (before, during) = (value(fact.shift.before), value(fact.shift.during));
        format!("{} {} {before} -> {during}", fact.entity, fact.signal)
    });
    let mut facts: Vec<String> = facts.collect();
    facts.sort();
    facts.iter().map(|fact| format!("= {fact}\n")).collect()
}

#[tokio::test]
async fn every_exporter_tells_of_the_signals_that_it_should() {
    let mut count = 0;
    for entry in std::fs::read_dir("tests/signals").unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let (exposed, _) = text.split_once("---\n").unwrap();
        let written = format!("{exposed}---\n{}", answer(exposed).await);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &written).unwrap();
        }
        assert!(
            written == text || std::env::var_os("UPDATE_GOLDEN").is_some(),
            "{}:\n{written}",
            path.display()
        );
        count += 1;
    }
    assert!(count > 0);
}
