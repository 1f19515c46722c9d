//! Another Delta Lake implementation reads every table as it was written.

use std::{path::Path, process::Command};

use demarc_store::Table;
use serde_json::{Value, json};

use crate::fixture::{DAY_MS, WRITTEN, all_tables, expected_rows, open, span_id, tenant, trace_id};

const PYTHON: &str = "python3";

fn has_reader() -> bool {
    let imported = Command::new(PYTHON)
        .args(["-c", "import deltalake, pyarrow"])
        .output();
    imported.is_ok_and(|output| output.status.success())
}

fn read_by_python(dir: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/delta_reader.py");
    let output = Command::new(PYTHON).arg(script).arg(dir).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Some values of the first row of each table, in the order in which the script sorts.
fn expected_values(table: Table) -> Value {
    let ns = DAY_MS * 1_000_000;
    match table {
        Table::Series => json!({"kind": "histogram", "unit": "", "first_seen": DAY_MS + 1,
            "labels": [["__name__", "latency_seconds"], ["job", "api"]]}),
        Table::Samples => json!({"metric": "queue_seconds"}),
        Table::Histograms => json!({"count": 3.0, "schema": -53, "positive_offset": 0,
            "positive_counts": [1.0, 0.0, 2.0], "negative_counts": [], "custom_bounds": [0.5, 2.5],
            "reset": null, "start_time": null}),
        Table::Exemplars => json!({"value": 0.5, "trace_id": trace_id(0).to_hex(), "span_id": null,
            "attributes": [["user", "x"]]}),
        Table::Spans => json!({"kind": "SERVER", "status_code": "ERROR", "duration": 1_500_000,
            "attributes": [["http.route", "/declare"], ["税", "务"]]}),
        Table::Logs => json!({"severity_number": 17, "template_id": -7, "span_id": null,
            "trace_id": trace_id(1).to_hex(), "attributes": [["process.exit.code", "137"]]}),
        Table::Entities => json!({"layer": "application", "valid_from": ns}),
        Table::Relations => json!({"confidence": 0.9, "calls": 10, "owner": null, "valid_to": null,
            "from_id": "service:tax/web"}),
        Table::Samples5m | Table::Samples1h => json!({}),
        Table::Changes => json!({"kind": "deployment", "time": ns + 5_000_000, "who": "",
            "entity": "service:tax/api"}),
    }
}

#[tokio::test]
async fn a_foreign_reader_sees_what_was_written() {
    if !has_reader() {
        eprintln!("SKIPPED: install the Python packages deltalake and pyarrow to run this test");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for name in ["tax", "a'b(c)"] {
        store.append(&tenant(name), all_tables()).await.unwrap();
        store.flush().await.unwrap();
    }
    store.close().await.unwrap();
    let found = read_by_python(dir.path());
    for table in WRITTEN {
        let found = &found[table.name()];
        assert_eq!(found["rows"], 2 * expected_rows(table), "{table}");
        assert_eq!(found["tenants"], json!(["a'b(c)", "tax"]), "{table}");
        assert_eq!(found["dates"], json!(["2026-11-23"]), "{table}");
        let mut columns: Vec<String> = table
            .file_schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        columns.extend(["tenant".to_owned(), "date".to_owned()]);
        columns.sort();
        assert_eq!(found["columns"], json!(columns), "{table}");
        for (column, value) in expected_values(table).as_object().unwrap() {
            let first = &found["first"];
            assert_eq!(&first[column], value, "{table}, {column}: {first}");
        }
    }
    assert_eq!(found["values"], json!(["NaN", 0.5, -1.0]));
    let spans = found["spans"]["first"]["span_id"].as_str().unwrap();
    assert!((0..4).any(|number| span_id(number).to_hex() == spans));
}
