//! One file per case in `tests/import`: steps, each `> <second> <tenant> <format> <mode> <run>` and the inventory, then `=` and what the
//! import reports; `? <second>` asks for the graph.

use std::{fmt::Write, path::Path, sync::Arc};

use demarc_proto::{ManualClock, Nanos};
use demarc_store::{Store, StoreConfig};
use demarc_topology::{
    ImportFormat, ImportMode, ImportReport, ImportRequest, ImportRun, Responsibility, Topology,
    TopologyConfig,
};

use crate::{
    graphs::shown,
    scene::{observations, second, tenant},
};

struct Bench {
    store: Arc<Store>,
    clock: Arc<ManualClock>,
    topology: Arc<Topology>,
}

async fn open(folder: &Path) -> Bench {
    let clock = Arc::new(ManualClock::new(Nanos(0)));
    let store = Store::open(folder, StoreConfig::default(), clock.clone())
        .await
        .unwrap();
    let (config, owners) = (TopologyConfig::default(), Responsibility::default());
    let topology = Topology::open(Arc::clone(&store), config, owners, clock.clone())
        .await
        .unwrap();
    Bench {
        store,
        clock,
        topology,
    }
}

async fn run(bench: &Bench, head: &str, text: &str) -> String {
    let words: Vec<&str> = head.split_whitespace().collect();
    bench.clock.set(second(words[0].parse().unwrap()));
    if words[1] == "observe" {
        bench.topology.observe(&observations(text));
        return String::new();
    }
    let request = ImportRequest {
        tenant: tenant(words[1]),
        source: "city".to_owned(),
        format: match words[2] {
            "csv" => ImportFormat::Csv,
            _ => ImportFormat::Yaml,
        },
        mode: match words[3] {
            "replace" => ImportMode::Replace,
            _ => ImportMode::Merge,
        },
        run: match words[4] {
            "dry" => ImportRun::Dry,
            _ => ImportRun::Real,
        },
        text,
    };
    match bench.topology.import(&request).await {
        Ok(report) => words_of(&report),
        // The lines after the first show the place in the file.
        Err(error) => format!("= {}\n", error.to_string().lines().next().unwrap()),
    }
}

fn words_of(report: &ImportReport) -> String {
    let mut text = String::new();
    let lists = [
        ("+", &report.added),
        ("~", &report.changed),
        ("-", &report.ended),
    ];
    for (sign, list) in lists {
        for one in list {
            writeln!(text, "= {sign} {one}").unwrap();
        }
    }
    for one in &report.refused {
        writeln!(text, "= ! {one}").unwrap();
    }
    if report.unchanged > 0 {
        writeln!(text, "= {} unchanged", report.unchanged).unwrap();
    }
    text
}

async fn check(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut bench = open(folder.path()).await;
    let mut written = String::new();
    let mut lines = text
        .lines()
        .filter(|line| !line.starts_with('='))
        .peekable();
    while let Some(line) = lines.next() {
        writeln!(written, "{line}").unwrap();
        if let Some(head) = line.strip_prefix("> ") {
            let mut body = String::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with(['>', '?', '!'])) {
                writeln!(body, "{line}").unwrap();
            }
            written.push_str(&body);
            written.push_str(&run(&bench, head, &body).await);
        } else if let Some(at) = line.strip_prefix("? ") {
            let graph = bench.topology.graph_at(second(at.parse().unwrap()));
            written.push_str(&shown(&graph));
        } else if line == "! restart" {
            bench.topology.close().await.unwrap();
            bench.store.close().await.unwrap();
            drop(bench);
            bench = open(folder.path()).await;
        }
    }
    bench.store.close().await.unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &written).unwrap();
    }
    let wanted = std::fs::read_to_string(path).unwrap();
    assert!(written == wanted, "{}:\n{written}", path.display());
}

#[tokio::test]
async fn every_inventory_is_taken_as_it_should() {
    let mut count = 0;
    for entry in std::fs::read_dir("tests/import").unwrap() {
        check(&entry.unwrap().path()).await;
        count += 1;
    }
    assert!(count >= 3);
}
