//! Merging does not depend on the order of observations.

use std::sync::Arc;

use demarc_proto::ManualClock;
use demarc_store::{Store, StoreConfig};
use demarc_topology::{Graph, Responsibility, Topology, TopologyConfig};
use proptest::prelude::*;

use crate::scene::{observations, second};

const LINES: [&str; 9] = [
    "10 resource tax service.name=api service.instance.id=a host.name=host-a",
    "40 resource tax service.name=api service.instance.id=a host.name=host-a",
    "900 resource tax service.name=api service.instance.id=b host.name=host-b service.version=2",
    "20 resource tax service.name=db db.system.name=sqlite host.name=host-a service.instance.id=d",
    "15 calls tax/web -> tax/api 3 0 as api.local:80",
    "16 calls tax/web -> remote api.local:80 1 1",
    "17 calls tax/api -> tax/db 9 2",
    "450 calls tax/api -> tax/db 1 0",
    "18 calls tax/api -> remote pay.example.com:443 2 0",
];

fn graph(runtime: &tokio::runtime::Runtime, order: &[usize]) -> Arc<Graph> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(second(1000)));
    let topology = runtime.block_on(async {
        let store = Store::open(folder.path(), StoreConfig::default(), clock.clone())
            .await
            .unwrap();
        let (config, owners) = (TopologyConfig::default(), Responsibility::default());
        Topology::open(store, config, owners, clock).await.unwrap()
    });
    for at in order {
        topology.observe(&observations(LINES[*at]));
    }
    topology.graph_at(second(200))
}

#[test]
fn any_order_makes_the_same_graph() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let wanted = graph(&runtime, &(0..LINES.len()).collect::<Vec<_>>());
    assert!(wanted.relations.len() > 4);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
    let orders = Just((0..LINES.len()).collect::<Vec<_>>()).prop_shuffle();
    runner
        .run(&orders, |order| {
            prop_assert_eq!(&*graph(&runtime, &order), &*wanted);
            Ok(())
        })
        .unwrap();
}
