//! One file per case in `tests/graphs`: observations, `---`, then what is asked, each with its answer.
//!
//! `graph <second>`: entities with kind, layer and owner, and relations. `visible <tenant> <second>`, `radius <id> <second>`,
//! `carriers <id> <second>`, `behind <id> <second>`, `between <id> <id> <second>`: ids. `around <tenant> <id> <depth> <second>`: a neighbourhood. `problems <tenant> <second>`. Lines that begin with `=` are the expected answer.

use std::{fmt::Write, path::Path, sync::Arc};

use demarc_proto::{EntityId, ManualClock, Nanos};
use demarc_store::{Store, StoreConfig};
use demarc_topology::{Around, Graph, Responsibility, Topology, TopologyConfig};

use crate::scene::{observations, second, tenant};

const OWNERS: &str = "
parties:
  tax-bureau: {kind: agency, tenant: tax, name: {zh: 税务局, en: Tax Bureau}}
  operator: {kind: operator, tenant: operator, name: {zh: 运营方, en: Operator}}
rules:
  - {owner: tax-bureau, match: {tenant: tax, layer: application}}
  - {owner: operator, match: {layer: compute}}
  - {owner: operator, match: {layer: network}}
  - {owner: operator, match: {attributes: {db.system.name: '*'}}}
";

pub(crate) async fn topology(text: &str, folder: &Path) -> Arc<Topology> {
    let clock = Arc::new(ManualClock::new(second(10_000)));
    let store = Store::open(folder, StoreConfig::default(), clock.clone())
        .await
        .unwrap();
    let owners = Responsibility::from_yaml(OWNERS).unwrap();
    let topology = Topology::open(store, TopologyConfig::default(), owners, clock)
        .await
        .unwrap();
    topology.observe(&observations(text));
    topology
}

pub(crate) fn answer(topology: &Topology, question: &str) -> String {
    let words: Vec<&str> = question.split_whitespace().collect();
    let at = second(words.last().unwrap().parse().unwrap());
    let graph = topology.graph_at(at);
    let id = EntityId(words[1].to_owned());
    match words[0] {
        "graph" => shown(&graph),
        "visible" => ids(graph
            .visible_to(&tenant(words[1]), &tenant("operator"))
            .entities
            .keys()),
        "around" => {
            let around = Around {
                entity: EntityId(words[2].to_owned()),
                depth: words[3].parse().unwrap(),
                most: 100,
                at,
            };
            match topology.visible_neighbourhood(&tenant(words[1]), &around) {
                Some(graph) => shown(&graph),
                None => "= nothing\n".to_owned(),
            }
        }
        "problems" => problems(topology, words[1], at),
        "radius" => ids(graph.blast_radius(&id).iter()),
        "behind" => ids(graph
            .services_behind(&id)
            .into_iter()
            .map(|entity| &entity.id)),
        "between" => {
            let to = EntityId(words[2].to_owned());
            let links = graph
                .links_between(&graph.host_ids(&id), &graph.host_ids(&to))
                .into_iter();
            ids(links.map(|link| &link.id))
        }
        "carriers" => ids(graph.carriers_of(&id).into_iter().map(|entity| &entity.id)),
        other => panic!("{other}"),
    }
}

fn ids<'a>(ids: impl Iterator<Item = &'a EntityId>) -> String {
    let mut text = String::new();
    for id in ids {
        writeln!(text, "= {id}").unwrap();
    }
    text
}

fn problems(topology: &Topology, reader: &str, at: Nanos) -> String {
    let problems = topology.problems(&tenant(reader), at);
    let mut text = String::new();
    for id in &problems.unowned {
        writeln!(text, "= unowned {id}").unwrap();
    }
    for id in &problems.orphans {
        writeln!(text, "= orphan {id}").unwrap();
    }
    for one in &problems.conflicts {
        let (kind, claims) = (one.kind.as_str(), one.claims.join(" | "));
        writeln!(
            text,
            "= {kind} {} {}: {claims} => {}",
            one.entity, one.about, one.resolution
        )
        .unwrap();
    }
    text
}

pub(crate) fn shown(graph: &Graph) -> String {
    let mut text = String::new();
    for entity in graph.entities.values() {
        let owner = entity.owner.as_ref().map_or("-", |owner| owner.as_str());
        writeln!(
            text,
            "= {} [{} {} {owner}]",
            entity.id, entity.kind, entity.layer
        )
        .unwrap();
    }
    for one in &graph.relations {
        let kind = one.kind.as_str();
        write!(
            text,
            "= {} {kind} {} [{} {:.3}]",
            one.from,
            one.to,
            one.sources.join(" "),
            one.confidence
        )
        .unwrap();
        match one.calls.count {
            0 => writeln!(text).unwrap(),
            count => writeln!(text, " {count} calls, {} errors", one.calls.errors).unwrap(),
        }
    }
    text
}

async fn check(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let (scene, questions) = text.split_once("---\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let topology = topology(scene, folder.path()).await;
    let mut written = format!("{scene}---\n");
    for line in questions.lines().filter(|line| !line.starts_with('=')) {
        writeln!(written, "{line}").unwrap();
        if !line.trim().is_empty() && !line.starts_with('#') {
            written.push_str(&answer(&topology, line));
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &written).unwrap();
    }
    assert!(
        written == std::fs::read_to_string(path).unwrap(),
        "{}:\n{written}",
        path.display()
    );
}

#[tokio::test]
async fn every_scene_makes_the_graph_that_it_should() {
    let mut count = 0;
    for entry in std::fs::read_dir("tests/graphs").unwrap() {
        check(&entry.unwrap().path()).await;
        count += 1;
    }
    assert!(count >= 9);
}
