//! A host's agent: reads the host's processes from /proc and reports host and process metrics.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, global};
use serde::{Deserialize, Serialize};

use super::{RoleConfig, telemetry};

/// A process of the host, as the supervisor lists it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) owner: String,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    cpu_seconds: f64,
    wait_seconds: f64,
    resident_bytes: f64,
}

#[derive(Debug, Default)]
struct Host {
    /// Share of the host's processors since the last reading, and sums since the start, by owner and name.
    processes: BTreeMap<(String, String), Process>,
    busy: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Process {
    utilization: f64,
    wait_seconds: f64,
    resident_bytes: f64,
}

/// How often /proc is read.
const EVERY: Duration = Duration::from_secs(2);

pub(crate) async fn run(config: RoleConfig, list: &Path) -> anyhow::Result<()> {
    let mut named = config.clone();
    named.name = "host-agent".to_owned();
    // An agent is no service: it speaks for its host.
    let resource = opentelemetry_sdk::Resource::builder_empty()
        .with_attribute(KeyValue::new("host.name", config.host.clone()))
        .build();
    telemetry::start(&named, resource)?;
    let host = Arc::new(Mutex::new(Host::default()));
    observe(&host);
    let mut before: BTreeMap<u32, Reading> = BTreeMap::new();
    let mut read_at = Instant::now();
    let processors = config.cores.len().max(1) as f64;
    loop {
        tokio::time::sleep(EVERY).await;
        let listed: Vec<Listed> = std::fs::read(list)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let elapsed = read_at.elapsed().as_secs_f64() * processors;
        read_at = Instant::now();
        let mut now = BTreeMap::new();
        let mut host = host.lock().unwrap_or_else(PoisonError::into_inner);
        for process in host.processes.values_mut() {
            process.utilization = 0.0;
        }
        host.busy = 0.0;
        for one in listed {
            let Some(reading) = read(one.pid) else {
                continue;
            };
            let last = before.get(&one.pid).copied().unwrap_or(reading);
            let share = (reading.cpu_seconds - last.cpu_seconds) / elapsed;
            let process = host.processes.entry((one.owner, one.name)).or_default();
            process.utilization += share;
            // Threads that ended take their waiting with them.
            process.wait_seconds += (reading.wait_seconds - last.wait_seconds).max(0.0);
            process.resident_bytes = reading.resident_bytes;
            host.busy += share;
            now.insert(one.pid, reading);
        }
        before = now;
    }
}

/// CPU time, time spent runnable but not running, and resident memory of a process with all its threads.
fn read(pid: u32) -> Option<Reading> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    let pages: f64 = fields.get(21)?.parse().ok()?;
    let mut wait_ns = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))
        .ok()?
        .flatten()
    {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        wait_ns += text
            .split_whitespace()
            .nth(1)
            .and_then(|wait| wait.parse().ok())
            .unwrap_or(0.0);
    }
    // USER_HZ and the page size are 100 and 4096 on every Linux that this runs on.
    Some(Reading {
        cpu_seconds: ticks / 100.0,
        wait_seconds: wait_ns / 1e9,
        resident_bytes: pages * 4096.0,
    })
}

/// Registers the instruments that report what was read last.
fn observe(host: &Arc<Mutex<Host>>) {
    let meter = global::meter("demarc-lab");
    let state = Arc::clone(host);
    meter
        .f64_observable_gauge("system.cpu.utilization")
        .with_unit("1")
        .with_callback(move |observer| {
            let busy = state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .busy
                .clamp(0.0, 1.0);
            observer.observe(busy, &[KeyValue::new("cpu.mode", "user")]);
            observer.observe(1.0 - busy, &[KeyValue::new("cpu.mode", "idle")]);
        })
        .build();
    type Value = fn(&Process) -> f64;
    let gauges: [(&'static str, &'static str, Value); 2] = [
        ("process.cpu.utilization", "1", |process| {
            process.utilization
        }),
        ("process.memory.usage", "By", |process| {
            process.resident_bytes
        }),
    ];
    for (name, unit, value) in gauges {
        let state = Arc::clone(host);
        meter
            .f64_observable_gauge(name)
            .with_unit(unit)
            .with_callback(move |observer| {
                let host = state.lock().unwrap_or_else(PoisonError::into_inner);
                for (key, process) in &host.processes {
                    observer.observe(value(process), &attributes(key));
                }
            })
            .build();
    }
    let state = Arc::clone(host);
    meter
        .f64_observable_counter("process.scheduler.wait_time")
        .with_unit("s")
        .with_callback(move |observer| {
            let host = state.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, process) in &host.processes {
                observer.observe(process.wait_seconds.max(0.0), &attributes(key));
            }
        })
        .build();
}

fn attributes((owner, name): &(String, String)) -> [KeyValue; 2] {
    [
        KeyValue::new("process.owner", owner.clone()),
        KeyValue::new("process.executable.name", name.clone()),
    ]
}
