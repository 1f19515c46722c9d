//! One folder per case: `traces.json`, `metrics.json`, `logs.json` as OTLP/JSON, `config.json` where it is not the default;
//! `expected.txt` the tables that they make.

use std::{fmt::Write, path::Path};

use demarc_ingest::{Encoding, decode_logs, decode_metrics, decode_traces};
use demarc_proto::TenantId;
use demarc_store::Table;

use crate::bed::Bed;

fn show_tables(bed: &Bed, tables: &[Table], shown: &mut String) {
    for table in tables {
        let text = bed.shown(*table);
        if text.lines().count() > 4 {
            writeln!(shown, "\n{table}\n{text}").unwrap();
        }
    }
}

async fn check(case: &Path) {
    let read = |name: &str| std::fs::read(case.join(name)).ok();
    let config = read("config.json").map(|text| serde_json::from_slice(&text).unwrap());
    let bed = Bed::with(config.unwrap_or_default()).await;
    let tenant = TenantId::default();
    let mut shown = String::new();
    let mut tables = Vec::new();
    if let Some(body) = read("traces.json") {
        let request = decode_traces(Encoding::Json, &body).unwrap();
        let receipt = bed.ingest.traces(&tenant, request).await.unwrap();
        writeln!(
            shown,
            "traces: {} accepted; {}",
            receipt.accepted,
            receipt.message()
        )
        .unwrap();
        tables.push(Table::Spans);
    }
    if let Some(body) = read("metrics.json") {
        let request = decode_metrics(Encoding::Json, &body).unwrap();
        let receipt = bed.ingest.metrics(&tenant, request).await.unwrap();
        writeln!(
            shown,
            "metrics: {} accepted; {}",
            receipt.accepted,
            receipt.message()
        )
        .unwrap();
        tables.extend([
            Table::Series,
            Table::Samples,
            Table::Histograms,
            Table::Exemplars,
        ]);
    }
    if let Some(body) = read("logs.json") {
        let request = decode_logs(Encoding::Json, &body).unwrap();
        let receipt = bed.ingest.logs(&tenant, request).await.unwrap();
        writeln!(
            shown,
            "logs: {} accepted; {}",
            receipt.accepted,
            receipt.message()
        )
        .unwrap();
        tables.extend([Table::Logs, Table::Changes]);
    }
    show_tables(&bed, &tables, &mut shown);
    let golden = case.join("expected.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &shown).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        shown == expected,
        "{}:\n{shown}\nis not\n{expected}",
        case.display()
    );
}

#[tokio::test]
async fn every_case_makes_the_rows_that_it_should() {
    let mut count = 0;
    for entry in std::fs::read_dir("tests/otlp").unwrap() {
        check(&entry.unwrap().path()).await;
        count += 1;
    }
    assert!(count >= 13);
}

/// The examples of the OTLP specification.
#[tokio::test]
async fn the_examples_of_the_specification_are_taken_whole() {
    use std::io::Write as _;
    let folder = Path::new("../../shared/compat/otlp");
    if !folder.exists() {
        writeln!(
            std::io::stderr(),
            "skipped: {} is not there",
            folder.display()
        )
        .unwrap();
        return;
    }
    // They are of the year 2018.
    let bed = Bed::keeping().await;
    let tenant = TenantId::default();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let body = std::fs::read(&path).unwrap();
        let receipt = match name.as_str() {
            "trace.json" => {
                let request = decode_traces(Encoding::Json, &body).unwrap();
                bed.ingest.traces(&tenant, request).await
            }
            "metrics.json" => {
                let request = decode_metrics(Encoding::Json, &body).unwrap();
                bed.ingest.metrics(&tenant, request).await
            }
            "logs.json" | "events.json" => {
                let request = decode_logs(Encoding::Json, &body).unwrap();
                bed.ingest.logs(&tenant, request).await
            }
            _ => continue,
        };
        let receipt = receipt.unwrap();
        assert!(
            receipt.accepted > 0 && receipt.rejected.is_empty(),
            "{name}: {}",
            receipt.message()
        );
    }
}
