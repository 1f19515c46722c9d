//! A large graph under a stream of calls: how many calls a second it takes in, and how long its surroundings take to look up
//! meanwhile.
//!
//! `cargo bench -p demarc-benches --bench topology -- [entities] [relations] [seconds]`; 100000, 1000000 and 20 when not given.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use demarc_proto::{
    AttrValue, Attributes, CallObservation, CallSide, Clock, EntityId, Nanos, Observation, Peer,
    ResourceObservation, SystemClock, TenantId, TimeRange,
};
use demarc_store::{Store, StoreConfig};
use demarc_topology::{Around, Responsibility, Topology, TopologyConfig};

/// Calls a second that the stream aims at.
const RATE: u64 = 50_000;
/// Calls that come together, as ingest reports them.
const BATCH: u64 = 500;

#[derive(Clone, Copy)]
struct Size {
    services: u64,
    calls_each: u64,
    relations: u64,
    seconds: u64,
}

impl Size {
    /// A fifth of the entities are services, each with an operation, an instance, a pod, and its share of a node.
    fn from_arguments() -> Self {
        let [entities, relations, seconds] = demarc_benches::numbers([100_000, 1_000_000, 20]);
        let services = entities / 5;
        Self {
            services,
            // Five relations of each service are none of its calls.
            calls_each: (relations / services.max(1)).saturating_sub(5).max(1),
            relations,
            seconds,
        }
    }
}

fn resource(pairs: &[(&str, String)]) -> Attributes {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| (*key, AttrValue::Str(value.clone())))
        .collect()
}

fn side(tenant: &TenantId, service: u64) -> CallSide {
    CallSide {
        tenant: tenant.clone(),
        resource: resource(&[("service.name", format!("service-{service}"))]),
        operation: "GET /".to_owned(),
    }
}

/// The `number`th call of all: every service calls those that follow it at growing distances.
fn call(tenant: &TenantId, size: Size, number: u64, at: Nanos) -> Observation {
    let from = number % size.services;
    let step = 1 + (number / size.services) % size.calls_each;
    let to = (from + step * step + step) % size.services;
    let window = TimeRange::new(at, Nanos(at.0 + 1)).expect("one nanosecond is not empty");
    Observation::Calls(CallObservation {
        window,
        client: Some(side(tenant, from)),
        server: Peer::Instrumented(side(tenant, to)),
        alias: None,
        count: 1,
        errors: 0,
        client_duration_ns: 2_000_000,
        server_duration_ns: 1_000_000,
    })
}

fn ground(tenant: &TenantId, service: u64, at: Nanos) -> Observation {
    let resource = resource(&[
        ("service.name", format!("service-{service}")),
        ("service.instance.id", format!("{service}-0")),
        ("k8s.namespace.name", format!("ns-{}", service % 200)),
        ("k8s.deployment.name", format!("service-{service}")),
        ("k8s.pod.name", format!("service-{service}-0")),
        ("k8s.node.name", format!("node-{}", service % 2_000)),
    ]);
    Observation::Resource(ResourceObservation {
        tenant: tenant.clone(),
        at,
        resource,
        entities: Vec::new(),
    })
}

fn fill(topology: &Topology, tenant: &TenantId, size: Size) -> Duration {
    let now = SystemClock.now();
    let began = Instant::now();
    for service in 0..size.services {
        topology.observe(&[ground(tenant, service, now)]);
    }
    let calls = size.services * size.calls_each;
    for first in (0..calls).step_by(BATCH as usize) {
        let numbers = first..(first + BATCH).min(calls);
        let batch: Vec<Observation> = numbers.map(|at| call(tenant, size, at, now)).collect();
        topology.observe(&batch);
    }
    began.elapsed()
}

/// Sends calls at the rate, or as fast as they are taken, until told to stop; returns how many a second were taken.
fn stream(topology: &Topology, tenant: &TenantId, size: Size, stop: &AtomicBool) -> f64 {
    let began = Instant::now();
    let mut sent: u64 = 0;
    while !stop.load(Ordering::Relaxed) {
        let now = SystemClock.now();
        let numbers = sent..sent + BATCH;
        let batch: Vec<Observation> = numbers.map(|at| call(tenant, size, at * 7, now)).collect();
        topology.observe(&batch);
        sent += BATCH;
        let due = Duration::from_secs_f64(sent as f64 / RATE as f64);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    sent as f64 / began.elapsed().as_secs_f64()
}

fn query(topology: &Topology, size: Size) -> Vec<Duration> {
    let began = Instant::now();
    let mut taken = Vec::new();
    let mut number: u64 = 1;
    while began.elapsed() < Duration::from_secs(size.seconds) {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let service = (number >> 33) % size.services;
        let around = Around {
            entity: EntityId(format!("service:default/service-{service}")),
            depth: 2,
            most: 200,
            at: SystemClock.now(),
        };
        let start = Instant::now();
        let found = topology.neighbourhood(&around);
        taken.push(start.elapsed());
        assert!(found.is_some_and(|graph| graph.entities.len() > 1));
    }
    taken.sort();
    taken
}

async fn open(folder: &std::path::Path) -> (Arc<Store>, Arc<Topology>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Store::open(folder, StoreConfig::default(), Arc::clone(&clock))
        .await
        .expect("an empty folder opens");
    let (config, owners) = (TopologyConfig::default(), Responsibility::default());
    let topology = Topology::open(Arc::clone(&store), config, owners, clock)
        .await
        .expect("the shipped tables can be read");
    (store, topology)
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let mut size = Size::from_arguments();
    if is_test {
        size = Size {
            services: 50,
            calls_each: 4,
            relations: 450,
            seconds: 1,
        };
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (store, topology) = runtime.block_on(open(folder.path()));
    let tenant = TenantId::default();
    let filled = fill(&topology, &tenant, size);
    let calls = (size.services * size.calls_each) as f64;
    let stop = AtomicBool::new(false);
    let (rate, taken) = std::thread::scope(|scope| {
        let streaming = scope.spawn(|| stream(&topology, &tenant, size, &stop));
        let taken = query(&topology, size);
        stop.store(true, Ordering::Relaxed);
        (streaming.join().expect("the stream ends"), taken)
    });
    let start = Instant::now();
    runtime.block_on(topology.close()).expect("is written");
    let written = start.elapsed();
    let start = Instant::now();
    let whole = topology.graph_at(SystemClock.now());
    let read = start.elapsed();
    let at = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} entities, {} relations (wanted {})\n\
         filled at {:.0} calls/s\n\
         stream of {RATE} calls/s: {rate:.0} calls/s taken, {} neighbourhood queries (depth 2, 200 entities) meanwhile: \
         p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms\n\
         written to the store in {:.1} s, whole graph in {:.1} s",
        whole.entities.len(),
        whole.relations.len(),
        size.relations,
        calls / filled.as_secs_f64(),
        taken.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        written.as_secs_f64(),
        read.as_secs_f64(),
    )
    .expect("standard output takes text");
    runtime.block_on(store.close()).expect("closes");
}
