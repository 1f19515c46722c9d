//! Properties: merging does not depend on the order of observations, what comes later does not change the past, and a restart
//! changes nothing.

use std::sync::Arc;

use demarc_proto::ManualClock;
use demarc_store::{Store, StoreConfig};
use demarc_topology::{Graph, Responsibility, Topology, TopologyConfig};
use proptest::prelude::*;

use crate::scene::{observations, second, tenant};

struct Bench {
    runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Self {
            runtime: runtime.enable_all().build().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn open(&self) -> (Arc<Store>, Arc<Topology>) {
        let clock = Arc::new(ManualClock::new(second(5000)));
        self.runtime.block_on(async {
            let store = Store::open(self.folder.path(), StoreConfig::default(), clock.clone())
                .await
                .unwrap();
            let (config, owners) = (TopologyConfig::default(), Responsibility::default());
            let topology = Topology::open(Arc::clone(&store), config, owners, clock)
                .await
                .unwrap();
            (store, topology)
        })
    }
}

/// One observation of a small world in which everything moves: versions, hosts, addresses, and who answers to a name.
fn line() -> impl Strategy<Value = String> {
    let at = 0_i64..3000;
    let (one, two) = (0_u8..3, 0_u8..3);
    (at, one, two, 0_u8..9).prop_map(|(at, one, two, what)| match what {
        0 => format!("{at} resource tax service.name=api service.instance.id=i{one} host.name=host-{two} service.version={one}"),
        1 => format!("{at} resource ss service.name=batch service.instance.id=b host.name=host-{two}"),
        2 => format!("{at} calls tax/web -> tax/api{one} 3 1 as api.local:80"),
        3 => format!("{at} calls tax/web -> remote api.local:80 2 2"),
        4 => format!("{at} calls tax/api -> remote 10.0.0.{two}:80 2 0"),
        5 => format!("{at} resource operator k8s.pod.name=p{one} k8s.namespace.name=n k8s.node.name=host-{two} k8s.pod.ip=10.0.0.{two}"),
        6 => format!("{at} resource tax service.name=api service.instance.id=i{one} k8s.pod.name=p{one} k8s.namespace.name=n"),
        7 => format!("{at} calls tax/api -> db postgresql@db.local:5432 {one} 0"),
        _ => format!("{at} calls tax/api{one} -> tax/api{two} 1 0"),
    })
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(line(), 1..40)
}

fn runner(cases: u32) -> proptest::test_runner::TestRunner {
    proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    })
}

/// The graphs at some times of the world.
fn graphs(topology: &Topology) -> Vec<Arc<Graph>> {
    let times = [0, 500, 1000, 1700, 2500, 3000, 3600];
    times.map(|at| topology.graph_at(second(at))).to_vec()
}

#[test]
fn any_order_makes_the_same_graphs() {
    let orders = lines().prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle()));
    runner(24)
        .run(&orders, |(one, other)| {
            let of = |lines: &[String]| {
                let (_store, topology) = Bench::new().open();
                for line in lines {
                    topology.observe(&observations(line));
                }
                graphs(&topology)
            };
            prop_assert_eq!(of(&one), of(&other));
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_comes_later_does_not_change_the_past() {
    runner(24)
        .run(&(lines(), 0_i64..3000), |(lines, now)| {
            let (_store, topology) = Bench::new().open();
            let is_past = |line: &&String| {
                let at = line.split_whitespace().next().unwrap();
                at.parse::<i64>().unwrap() <= now
            };
            let (past, future): (Vec<&String>, Vec<&String>) = lines.iter().partition(is_past);
            for line in past {
                topology.observe(&observations(line));
            }
            let then = timeless(&topology.graph_at(second(now)));
            for line in future {
                topology.observe(&observations(line));
            }
            prop_assert_eq!(timeless(&topology.graph_at(second(now))), then);
            Ok(())
        })
        .unwrap();
}

/// Without what an interval that goes on sums up: its calls, and until when it was seen.
fn timeless(graph: &Graph) -> Graph {
    let mut entities = graph.entities.clone();
    for entity in entities.values_mut() {
        entity.last_seen = graph.at;
    }
    let mut relations = graph.relations.clone();
    for one in &mut relations {
        one.last_seen = graph.at;
        one.calls = demarc_topology::CallStats::default();
    }
    Graph::new(graph.at, entities, relations)
}

#[test]
fn a_restart_changes_nothing() {
    runner(12)
        .run(&(lines(), lines()), |(before, after)| {
            let bench = Bench::new();
            let (store, topology) = bench.open();
            topology.observe(&observations(&before.join("\n")));
            bench.runtime.block_on(topology.persist()).unwrap();
            topology.observe(&observations(&after.join("\n")));
            bench.runtime.block_on(topology.close()).unwrap();
            let wanted = graphs(&topology);
            bench.runtime.block_on(store.close()).unwrap();
            drop((store, topology));
            let (_store, topology) = bench.open();
            prop_assert_eq!(graphs(&topology), wanted);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_small_part_of_a_graph_is_as_it_is_in_the_whole() {
    runner(12)
        .run(&(lines(), 0_usize..4), |(lines, depth)| {
            let (_store, topology) = Bench::new().open();
            topology.observe(&observations(&lines.join("\n")));
            let whole = topology.graph_at(second(1500));
            for id in whole.entities.keys() {
                let around = demarc_topology::Around {
                    entity: id.clone(),
                    depth,
                    most: 1000,
                    at: second(1500),
                };
                let part = topology.neighbourhood(&around).unwrap();
                prop_assert_eq!(Some(part), whole.around(id, depth, 1000), "around {}", id);
                let visible = whole.visible_to(&tenant("tax"), &tenant("operator"));
                let part = topology.visible_neighbourhood(&tenant("tax"), &around);
                prop_assert_eq!(part, visible.around(id, depth, 1000), "tax around {}", id);
            }
            Ok(())
        })
        .unwrap();
}
