//! One file per case in `tests/responsibility`: the matrix, `---`, observations, `---`, another matrix, `---`, questions.
//!
//! `owners <second>`: who answers for each entity and relation, with contract, rota and rule. `review <second>`: what each rule decides, and
//! what nobody answers for. `check <second>`: what the other matrix would change.

use std::{fmt::Write, path::Path, sync::Arc};

use demarc_proto::ManualClock;
use demarc_store::{Store, StoreConfig};
use demarc_topology::{Accountable, Graph, Responsibility, Topology, TopologyConfig};

use crate::scene::{observations, second};

fn words(answer: Option<Accountable>) -> String {
    let Some(one) = answer else {
        return "nobody".to_owned();
    };
    let (contract, rota) = (
        one.contract.unwrap_or("-".to_owned()),
        one.rota.unwrap_or("-".to_owned()),
    );
    let rule = one
        .rule
        .map_or("by its end".to_owned(), |rule| format!("by rule {rule}"));
    format!("{} {contract} {rota} {rule}", one.owner)
}

fn owners(matrix: &Responsibility, graph: &Graph) -> String {
    let mut text = String::new();
    for entity in graph.entities.values() {
        let answer = matrix.answer_for(entity, graph.at);
        let owner = answer.as_ref().map(|answer| answer.owner.clone());
        assert_eq!(entity.owner, owner, "{}", entity.id);
        writeln!(text, "= {}: {}", entity.id, words(answer)).unwrap();
    }
    for (one, ends) in graph.relations_with_ends() {
        let answer = matrix.answer_for_edge(one, ends, graph.at);
        let owner = answer.as_ref().map(|answer| answer.owner.clone());
        assert_eq!(one.owner, owner, "{} {}", one.from, one.to);
        let (from, to) = (&one.from, &one.to);
        let kind = one.kind.as_str();
        writeln!(text, "= {from} {kind} {to}: {}", words(answer)).unwrap();
    }
    text
}

fn review(matrix: &Responsibility, graph: &Graph) -> String {
    let review = matrix.review(graph);
    let mut text = format!(
        "= rules decide {:?}, edges decide {:?}\n",
        review.decided, review.decided_edges
    );
    for id in &review.unowned {
        writeln!(text, "= nobody: {id}").unwrap();
    }
    text
}

fn check_of(matrix: &Responsibility, other: &Responsibility, graph: &Graph) -> String {
    let name = |owner: &Option<demarc_proto::OwnerId>| {
        owner
            .as_ref()
            .map_or("nobody", |owner| owner.as_str())
            .to_owned()
    };
    let mut text = String::new();
    for one in other.changes_from(matrix, graph) {
        let (from, to) = (name(&one.from), name(&one.to));
        writeln!(text, "= {}: {from} -> {to}", one.what).unwrap();
    }
    text
}

async fn check(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let parts: Vec<&str> = text.split("---\n").collect();
    let [matrix, scene, other, questions] = parts.as_slice() else {
        panic!("{}: four parts", path.display())
    };
    let read = |text: &str| Responsibility::from_yaml(text).unwrap();
    let (matrix, other_matrix) = (read(matrix), read(other));
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(second(10_000)));
    let store = Store::open(folder.path(), StoreConfig::default(), clock.clone())
        .await
        .unwrap();
    let topology = Topology::open(store, TopologyConfig::default(), matrix.clone(), clock)
        .await
        .unwrap();
    topology.observe(&observations(scene));
    let mut written = format!("{}---\n{scene}---\n{other}---\n", parts[0]);
    for line in questions.lines().filter(|line| !line.starts_with('=')) {
        writeln!(written, "{line}").unwrap();
        let Some((question, at)) = line.split_once(' ').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let graph = topology.graph_at(second(at.parse().unwrap()));
        written.push_str(&match question {
            "owners" => owners(&matrix, &graph),
            "review" => review(&matrix, &graph),
            "check" => check_of(&matrix, &other_matrix, &graph),
            other => panic!("{other}"),
        });
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &written).unwrap();
    }
    let wanted = std::fs::read_to_string(path).unwrap();
    assert!(written == wanted, "{}:\n{written}", path.display());
}

#[tokio::test]
async fn every_matrix_decides_what_it_should() {
    let mut count = 0;
    for entry in std::fs::read_dir("tests/responsibility").unwrap() {
        check(&entry.unwrap().path()).await;
        count += 1;
    }
    assert!(count >= 1);
}

#[tokio::test]
async fn another_matrix_decides_from_when_it_came_on_and_not_before() {
    let matrix = |owner: &str| {
        let text = format!(
            "parties: {{{owner}: {{kind: operator, name: {{zh: 甲, en: A}}}}}}\nrules: [{{owner: {owner}}}]"
        );
        Responsibility::from_yaml(&text).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(second(100)));
    let store = Store::open(folder.path(), StoreConfig::default(), clock.clone())
        .await
        .unwrap();
    let config = TopologyConfig::default();
    let topology = Topology::open(store, config, matrix("first"), clock.clone())
        .await
        .unwrap();
    let seen = "90 resource tax service.name=api\n190 resource tax service.name=api";
    topology.observe(&observations(seen));
    clock.set(second(150));
    topology.answer_by(matrix("second"));
    let owner = |at: i64| {
        let graph = topology.graph_at(second(at));
        let owner = graph.entities.values().next().unwrap().owner.clone();
        owner.unwrap().as_str().to_owned()
    };
    assert_eq!([owner(149), owner(150)], ["first", "second"]);
    assert_eq!(*topology.responsibility(), matrix("second"));
}
