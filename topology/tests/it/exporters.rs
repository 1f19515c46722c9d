//! One file per exporter in `tests/exporters`: what it exposes, in the Prometheus text format, then `---` and questions as in `graphs`.
//!
//! `# scrape <tenant> label=value ...` gives labels to all series below, `# resource <tenant> key=value ...` sends a resource (and is the
//! resource of all series below), `# refs <type>=<key>,<key> ...` names the entities of the next resource.

use std::{path::Path, sync::Arc};

use demarc_proto::{
    AttrValue, Attributes, EntityRef, Labels, Observation, ResourceObservation, SeriesObservation,
    TenantId,
};

use crate::{
    graphs::{answer, topology},
    scene::{second, tenant},
};

/// What a scrape adds to the series below it.
#[derive(Clone)]
struct Scrape {
    tenant: TenantId,
    labels: Vec<(String, String)>,
    resource: Option<Arc<Attributes>>,
}

fn pairs(words: &[&str]) -> Vec<(String, String)> {
    let pairs = words.iter().map(|word| word.split_once('=').unwrap());
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn read(text: &str) -> Vec<Observation> {
    let mut scrape = Scrape {
        tenant: tenant("operator"),
        labels: Vec::new(),
        resource: None,
    };
    let mut entities = Vec::new();
    let mut seen = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["#", "scrape", owner, labels @ ..] => {
                scrape = Scrape {
                    tenant: tenant(owner),
                    labels: pairs(labels),
                    resource: None,
                };
            }
            ["#", "refs", refs @ ..] => entities = pairs(refs).iter().map(entity_ref).collect(),
            ["#", "resource", owner, attributes @ ..] => {
                let attributes = pairs(attributes).into_iter();
                let resource: Attributes = attributes
                    .map(|(key, value)| (key, AttrValue::Str(value)))
                    .collect();
                scrape = Scrape {
                    tenant: tenant(owner),
                    labels: Vec::new(),
                    resource: Some(Arc::new(resource.clone())),
                };
                seen.push(Observation::Resource(ResourceObservation {
                    tenant: tenant(owner),
                    at: second(10),
                    resource,
                    entities: std::mem::take(&mut entities),
                }));
            }
            ["#", ..] => {}
            _ => seen.push(Observation::Series(series(line, &scrape))),
        }
    }
    seen
}

fn entity_ref((kind, keys): &(String, String)) -> EntityRef {
    EntityRef {
        kind: kind.clone(),
        id_keys: keys.split(',').map(str::to_owned).collect(),
        description_keys: Vec::new(),
    }
}

/// A line of the text format: `name{label="value",...} value`.
fn series(line: &str, scrape: &Scrape) -> SeriesObservation {
    let (head, value) = line.rsplit_once(' ').unwrap();
    let (name, inside) = match head.split_once('{') {
        Some((name, rest)) => (name, rest.trim_end().trim_end_matches('}')),
        None => (head, ""),
    };
    let mut labels = scrape.labels.clone();
    labels.push(("__name__".to_owned(), name.to_owned()));
    let mut rest = inside;
    while let Some((label, after)) = rest.split_once("=\"") {
        let (value, after) = after.split_once('"').unwrap();
        labels.push((label.trim_start_matches(',').to_owned(), value.to_owned()));
        rest = after;
    }
    SeriesObservation {
        tenant: scrape.tenant.clone(),
        at: second(10),
        labels: Labels::from_pairs(labels),
        value: value.parse().unwrap(),
        resource: scrape.resource.clone(),
    }
}

async fn check(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let (exposed, questions) = text.split_once("---\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let topology = topology("", folder.path()).await;
    let seen = read(exposed);
    topology.observe(&seen);
    let mut written = format!("{exposed}---\n");
    for line in questions.lines().filter(|line| !line.starts_with('=')) {
        written.push_str(&format!("{line}\n"));
        if !line.trim().is_empty() && !line.starts_with('#') {
            written.push_str(&answer(&topology, line));
        }
    }
    // Every metric that a case exposes is one that its exporter's table knows.
    let mappings = topology.mappings();
    for one in &seen {
        if let Observation::Series(series) = one {
            let metric = series.labels.metric();
            let known = mappings.exporter_of(metric);
            assert!(known.is_some(), "{}: {metric}", path.display());
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &written).unwrap();
    }
    let wanted = std::fs::read_to_string(path).unwrap();
    assert!(written == wanted, "{}:\n{written}", path.display());
}

#[tokio::test]
async fn every_exporter_tells_of_the_entities_that_it_should() {
    let mut count = 0;
    for entry in std::fs::read_dir("tests/exporters").unwrap() {
        check(&entry.unwrap().path()).await;
        count += 1;
    }
    assert!(count >= 12, "{count} cases");
}
