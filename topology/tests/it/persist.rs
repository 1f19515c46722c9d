//! The graph outlives the process.

use std::sync::Arc;

use demarc_proto::ManualClock;
use demarc_store::{Store, StoreConfig, Table};
use demarc_topology::{Responsibility, Topology, TopologyConfig};

use crate::scene::{observations, second, tenant};

const SCENE: &str = "
10 resource tax service.name=api service.instance.id=a host.name=host-a
11 calls tax/web -> tax/api 3 1
11 calls tax/api -> remote pay.example.com:443 2 0
40 calls tax/web -> tax/api 4 0
";

async fn open(folder: &std::path::Path) -> (Arc<Store>, Arc<Topology>) {
    open_at(folder, 60, TopologyConfig::default()).await
}

async fn open_at(
    folder: &std::path::Path,
    now: i64,
    config: TopologyConfig,
) -> (Arc<Store>, Arc<Topology>) {
    let clock = Arc::new(ManualClock::new(second(now)));
    let store = Store::open(folder, StoreConfig::default(), clock.clone())
        .await
        .unwrap();
    let owners = Responsibility::default();
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

async fn relation_rows(store: &Store) -> usize {
    let mut rows = 0;
    for tenant in store.tenants() {
        let batches = store.snapshot(&tenant).read(Table::Relations).await;
        let counts = batches.unwrap().into_iter().map(|batch| batch.num_rows());
        rows += counts.sum::<usize>();
    }
    rows
}

#[tokio::test]
async fn what_is_new_is_written_without_what_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topology) = open(folder.path()).await;
    topology.observe(&observations(SCENE));
    topology.persist_new().await.unwrap();
    let wanted = topology.graph_at(second(45));
    let written = relation_rows(&store).await;
    assert!(written > 0);
    // More of the same, not by half of a gap.
    topology.observe(&observations("50 calls tax/web -> tax/api 1 0"));
    topology.persist_new().await.unwrap();
    assert_eq!(relation_rows(&store).await, written);
    // The topology is not closed: as after a crash.
    store.close().await.unwrap();
    drop((store, topology));
    let (store, topology) = open(folder.path()).await;
    assert_eq!(topology.graph_at(second(45)), wanted);
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_memory_forgot_is_read_back_from_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topology) = open(folder.path()).await;
    topology.observe(&observations(SCENE));
    topology.close().await.unwrap();
    let wanted = topology.graph_at(second(45));
    store.close().await.unwrap();
    drop((store, topology));
    let config = TopologyConfig {
        history_days: 1,
        ..TopologyConfig::default()
    };
    let (store, topology) = open_at(folder.path(), 200_000, config).await;
    assert!(topology.remembers(second(150_000)) && !topology.remembers(second(45)));
    assert!(topology.graph_at(second(45)).entities.is_empty());
    assert_eq!(topology.recall(second(45)).await.unwrap(), wanted);
    store.close().await.unwrap();
}

#[tokio::test]
async fn memory_forgets_what_is_older_than_its_history_and_takes_no_more_than_its_limits() {
    let folder = tempfile::tempdir().unwrap();
    let config = TopologyConfig {
        history_days: 1,
        max_entities: 4,
        ..TopologyConfig::default()
    };
    let (store, topology) = open_at(folder.path(), 200_000, config).await;
    topology.observe(&observations("10 calls tax/web -> tax/api 3 1"));
    topology.persist().await.unwrap();
    assert!(topology.graph_at(second(12)).entities.is_empty());
    topology.observe(&observations(
        "199990 calls tax/a -> tax/b 1 0\n199990 calls tax/c -> tax/d 1 0",
    ));
    let graph = topology.graph_at(second(199_999));
    assert_eq!(graph.entities.len(), 4, "{:?}", graph.entities.keys());
    assert!(
        topology
            .problems(&tenant("operator"), second(199_999))
            .refused
            > 0
    );
    store.close().await.unwrap();
}
