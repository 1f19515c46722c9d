//! The graph outlives the process.

use std::sync::Arc;

use demarc_proto::ManualClock;
use demarc_store::{Store, StoreConfig};
use demarc_topology::{Responsibility, Topology, TopologyConfig};

use crate::scene::{observations, second};

const SCENE: &str = "
10 resource tax service.name=api service.instance.id=a host.name=host-a
11 calls tax/web -> tax/api 3 1
11 calls tax/api -> remote pay.example.com:443 2 0
40 calls tax/web -> tax/api 4 0
";

async fn open(folder: &std::path::Path) -> (Arc<Store>, Arc<Topology>) {
    let clock = Arc::new(ManualClock::new(second(60)));
    let store = Store::open(folder, StoreConfig::default(), clock.clone())
        .await
        .unwrap();
    let (config, owners) = (TopologyConfig::default(), Responsibility::default());
    let topology = Topology::open(Arc::clone(&store), config, owners, clock)
        .await
        .unwrap();
    (store, topology)
}

#[tokio::test]
async fn a_graph_is_the_same_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topology) = open(folder.path()).await;
    let lines: Vec<&str> = SCENE.trim().lines().collect();
    topology.observe(&observations(&lines[..3].join("\n")));
    topology.persist().await.unwrap();
    topology.observe(&observations(lines[3]));
    topology.persist().await.unwrap();
    topology.close().await.unwrap();
    let wanted = topology.graph_at(second(45));
    store.close().await.unwrap();
    drop((store, topology));
    let (store, topology) = open(folder.path()).await;
    assert_eq!(topology.graph_at(second(45)), wanted);
    let calls = wanted
        .relations
        .iter()
        .find(|one| one.calls.count > 0)
        .unwrap();
    assert!(calls.calls.count >= 2);
    store.close().await.unwrap();
}
