//! Cases of pods in Kubernetes: metrics a minute, spans, logs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use anyhow::Context;
use csv::StringRecord;
use demarc_proto::otlp::{logs::v1::LogRecord, trace::v1::Span};

use super::{
    petshop::service_graph,
    set::{Cut, Recording, System},
    table::Rows,
    telemetry::{Attributes, Points, Resource, Series, Telemetry, Unix},
};
use crate::otlp;

const SECOND_NS: i64 = 1_000_000_000;
/// Longest time that a case reaches before and after its injection.
const LONGEST_NS: i64 = 900 * SECOND_NS;

#[derive(serde::Deserialize)]
struct Topology {
    system: String,
    pods: Vec<Pod>,
    runs_on: Vec<(String, String)>,
    calls: Vec<(String, String)>,
}

#[derive(serde::Deserialize)]
struct Pod {
    pod: String,
    service: String,
}

/// The fault-free telemetry of one day.
pub(crate) fn system(dir: &Path) -> anyhow::Result<System> {
    let topology = topology(dir)?;
    let world = World::of(&topology);
    let mut system = System::default();
    let series = world.series(dir, "normal_")?;
    system.history.extend(series.range());
    system.telemetry.extend(series);
    // A day without fault-free spans borrows another day's of the same system.
    let lender = lender(dir, &topology.system)?;
    let spans = world.spans(&Rows::read(&lender.join("normal_traces.csv.gz"))?, 'n')?;
    system.history.extend(spans.range());
    system.telemetry.extend(spans);
    let logs = world.logs(&Rows::read(&lender.join("normal_logs.csv.gz"))?, 'n')?;
    system.history.extend(logs.range());
    system.telemetry.extend(logs);
    Ok(system)
}

/// One case.
pub(crate) fn recording(
    case: &Path,
    system: &Path,
    began: i64,
    cut: &Cut,
) -> anyhow::Result<Recording> {
    let topology = topology(system)?;
    let world = World::of(&topology);
    let mut telemetry = world.series(case, "")?;
    telemetry.extend(world.spans(&Rows::read(&case.join("traces.csv.gz"))?, 'c')?);
    // Single log lines carry times that are minutes or years off: the rest says when the case was.
    let measured = telemetry.range();
    telemetry.extend(world.logs(&Rows::read(&case.join("logs.csv.gz"))?, 'c')?);
    let (first, last) = measured
        .or_else(|| telemetry.range())
        .with_context(|| format!("{}: holds nothing", case.display()))?;
    let began_ns = began * SECOND_NS;
    let range = (
        first.max(began_ns - LONGEST_NS),
        last.min(began_ns + LONGEST_NS),
    );
    telemetry.extend(service_graph(&cut.kept(topology.calls.clone()), range));
    Ok(Recording {
        entry: world.entry(&telemetry, &topology.calls),
        telemetry,
        symptom: None,
        since: began_ns,
        until: range.1 + SECOND_NS,
        interval_ns: 60 * SECOND_NS,
    })
}

fn topology(dir: &Path) -> anyhow::Result<Topology> {
    let file = dir.join("topology.json");
    let name = || file.display().to_string();
    serde_json::from_slice(&std::fs::read(&file).with_context(name)?).with_context(name)
}

/// The folder of a day with spans of the same system: its own where it has some.
fn lender(own: &Path, system: &str) -> anyhow::Result<std::path::PathBuf> {
    let has_spans = |dir: &Path| dir.join("normal_traces.csv.gz").exists();
    if !has_spans(own) {
        let days = own.parent().context("the folder of all days")?;
        let mut others: Vec<_> = std::fs::read_dir(days)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|day| has_spans(day))
            .collect();
        others.sort();
        for other in others {
            if topology(&other)?.system == system {
                return Ok(other);
            }
        }
    }
    Ok(own.to_owned())
}

/// Who is who.
struct World {
    /// The service of each pod; pods of another day by the part of their name before the hashes.
    services: HashMap<String, String>,
    hosts: BTreeMap<String, String>,
}

/// A column of a pod's metrics as a metric of Kubernetes: name, unit, factor.
///
/// Source: OpenTelemetry Collector, kubelet stats receiver.
const OF_POD: [(&str, &str, &str, f64); 4] = [
    ("CpuUsage(m)", "k8s.pod.cpu.usage", "{cpu}", 1e-3),
    (
        "CpuUsageRate(%)",
        "k8s.pod.cpu_limit_utilization",
        "1",
        0.01,
    ),
    ("MemoryUsage(Mi)", "k8s.pod.memory.usage", "By", 1_048_576.0),
    (
        "MemoryUsageRate(%)",
        "k8s.pod.memory_limit_utilization",
        "1",
        0.01,
    ),
];
/// The same of its node.
const OF_NODE: [(&str, &str, &str, f64); 2] = [
    ("NodeCpuUsageRate(%)", "k8s.node.cpu.utilization", "1", 0.01),
    (
        "NodeMemoryUsageRate(%)",
        "k8s.node.memory.utilization",
        "1",
        0.01,
    ),
];
/// The median durations of calls, as either side measures them.
const OF_CALLS: [(&str, &str); 2] = [
    (
        "edge_source_p50.csv.gz",
        "traces_service_graph_request_client",
    ),
    (
        "edge_destination_p50.csv.gz",
        "traces_service_graph_request_server",
    ),
];

impl World {
    fn of(topology: &Topology) -> Self {
        let services = topology
            .pods
            .iter()
            .map(|pod| (pod.pod.clone(), pod.service.clone()))
            .collect();
        Self {
            services,
            hosts: topology.runs_on.iter().cloned().collect(),
        }
    }

    /// The service at which most traces begin; without traces, the one that calls and is not called.
    fn entry(&self, telemetry: &Telemetry, calls: &[(String, String)]) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (resource, span) in &telemetry.spans {
            if span.parent_span_id.is_empty() {
                let service = resource.iter().find(|(key, _)| key == "service.name");
                *counts
                    .entry(service.map_or("", |(_, name)| name))
                    .or_default() += 1;
            }
        }
        if counts.is_empty() {
            let called: BTreeSet<&str> = calls.iter().map(|(_, to)| to.as_str()).collect();
            for (from, _) in calls
                .iter()
                .filter(|(from, _)| !called.contains(from.as_str()))
            {
                *counts.entry(from).or_default() += 1;
            }
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map_or_else(String::new, |(service, _)| service.to_owned())
    }

    fn service(&self, pod: &str) -> String {
        if let Some(service) = self.services.get(pod) {
            return service.clone();
        }
        // `name-5f6585d649-fnmft`: deployment, replica set, pod.
        pod.rsplitn(3, '-').nth(2).unwrap_or(pod).to_owned()
    }

    fn resource(&self, pod: &str) -> Attributes {
        let service = self.service(pod);
        let mut attributes = vec![
            ("service.name".to_owned(), service.clone()),
            ("service.instance.id".to_owned(), pod.to_owned()),
            ("k8s.pod.name".to_owned(), pod.to_owned()),
        ];
        if let Some(host) = self.hosts.get(&service) {
            attributes.push(("k8s.node.name".to_owned(), host.clone()));
        }
        attributes
    }

    /// All metrics in a folder whose files' names begin with `prefix`.
    fn series(&self, dir: &Path, prefix: &str) -> anyhow::Result<Telemetry> {
        let metrics = Rows::read(&dir.join(format!("{prefix}metrics.csv.gz")))?;
        let mut series = self.pods_and_nodes(&metrics);
        for (file, name) in OF_CALLS {
            let rows = Rows::read(&dir.join(format!("{prefix}{file}")))?;
            series.extend(medians(&rows, name));
        }
        Ok(Telemetry {
            series,
            ..Telemetry::default()
        })
    }

    fn pods_and_nodes(&self, rows: &Rows) -> Vec<Series> {
        let (Some(time), Some(pod)) = (rows.column("time_unix"), rows.column("PodName")) else {
            return Vec::new();
        };
        let column = |name: &str| rows.column(name);
        let mut points: BTreeMap<(Attributes, usize), BTreeMap<Unix, f64>> = BTreeMap::new();
        let tables = OF_POD.iter().chain(&OF_NODE).enumerate();
        let columns: Vec<(usize, usize)> = tables
            .filter_map(|(at, (name, ..))| Some((at, column(name)?)))
            .collect();
        for row in rows.iter() {
            let at = row.get(time).and_then(|text| text.parse::<i64>().ok());
            let (Some(at), Some(pod)) = (at, row.get(pod)) else {
                continue;
            };
            let host = self.hosts.get(&self.service(pod));
            for (measure, column) in &columns {
                let value = row.get(*column).and_then(|text| text.parse::<f64>().ok());
                let resource = match (*measure < OF_POD.len(), host) {
                    (true, _) => self.resource(pod),
                    (false, Some(host)) => vec![("k8s.node.name".to_owned(), host.clone())],
                    (false, None) => continue,
                };
                if let Some(value) = value {
                    let series = points.entry((resource, *measure)).or_default();
                    series.insert(at * SECOND_NS, value);
                }
            }
        }
        let series = points.into_iter().map(|((resource, measure), points)| {
            let (_, name, unit, factor) = OF_POD
                .iter()
                .chain(&OF_NODE)
                .nth(measure)
                .copied()
                .unwrap_or(OF_POD[0]);
            let points = points.into_iter().map(|(at, value)| (at, value * factor));
            Series {
                resource: Arc::new(resource),
                name,
                unit,
                attributes: Vec::new(),
                points: Points::Gauge(points.collect()),
            }
        });
        series.collect()
    }

    /// Spans. A span whose parent is in another pod is the server side of a call, and its parent the client side; a root is a
    /// server's. `file` keeps the numbers of two files apart.
    fn spans(&self, rows: &Rows, file: char) -> anyhow::Result<Telemetry> {
        let names = [
            "trace_id",
            "span_id",
            "parent_id",
            "pod",
            "operation",
            "start_unix_nano",
            "duration_ns",
        ];
        let columns: Option<Vec<usize>> = names.iter().map(|name| rows.column(name)).collect();
        let Some(columns) = columns else {
            return Ok(Telemetry::default());
        };
        let text =
            |row: &'_ StringRecord, at: usize| row.get(columns[at]).unwrap_or_default().to_owned();
        let pods: HashMap<String, String> = rows
            .iter()
            .map(|row| (text(row, 1), text(row, 3)))
            .collect();
        let callers: HashSet<String> = rows
            .iter()
            .filter(|row| {
                pods.get(&text(row, 2))
                    .is_some_and(|pod| *pod != text(row, 3))
            })
            .map(|row| text(row, 2))
            .collect();
        let mut resources: HashMap<String, Resource> = HashMap::new();
        let mut spans = Vec::new();
        for row in rows.iter() {
            let (id, parent, pod) = (text(row, 1), text(row, 2), text(row, 3));
            let is_server = pods.get(&parent).is_none_or(|other| *other != pod);
            let kind = match (is_server, callers.contains(&id)) {
                (true, _) => 2,
                (false, true) => 3,
                (false, false) => 1,
            };
            let start: i64 = text(row, 5).parse().context("start_unix_nano")?;
            let duration: i64 = text(row, 6).parse().context("duration_ns")?;
            let span = Span {
                trace_id: identifier(file, &text(row, 0), 16),
                span_id: identifier(file, &id, 8),
                parent_span_id: identifier(file, &parent, 8),
                name: text(row, 4),
                kind,
                start_time_unix_nano: start.unsigned_abs(),
                end_time_unix_nano: (start + duration.max(0)).unsigned_abs(),
                ..Span::default()
            };
            let resource = resources
                .entry(pod)
                .or_insert_with_key(|pod| Arc::new(self.resource(pod)));
            spans.push((Arc::clone(resource), span));
        }
        Ok(Telemetry {
            spans,
            ..Telemetry::default()
        })
    }

    /// Log records; the severity is the level's word in the text, as a collector's parser reads it.
    fn logs(&self, rows: &Rows, file: char) -> anyhow::Result<Telemetry> {
        let names = ["time_unix_nano", "pod", "trace_id", "span_id", "body"];
        let columns: Option<Vec<usize>> = names.iter().map(|name| rows.column(name)).collect();
        let Some(columns) = columns else {
            return Ok(Telemetry::default());
        };
        let mut resources: HashMap<String, Resource> = HashMap::new();
        let mut logs = Vec::new();
        for row in rows.iter() {
            let text = |at: usize| row.get(columns[at]).unwrap_or_default();
            let at: i64 = text(0).parse().context("time_unix_nano")?;
            let (severity_number, severity_text) = severity(text(4));
            let record = LogRecord {
                time_unix_nano: at.unsigned_abs(),
                severity_number,
                severity_text: severity_text.to_owned(),
                body: Some(otlp::text(text(4))),
                trace_id: identifier(file, text(2), 16),
                span_id: identifier(file, text(3), 8),
                ..LogRecord::default()
            };
            let resource = resources
                .entry(text(1).to_owned())
                .or_insert_with_key(|pod| Arc::new(self.resource(pod)));
            logs.push((Arc::clone(resource), record));
        }
        Ok(Telemetry {
            logs,
            ..Telemetry::default()
        })
    }
}

/// Columns `caller_callee` of medians in seconds as one series each.
fn medians(rows: &Rows, name: &'static str) -> Vec<Series> {
    let Some(time) = rows.column("time_unix") else {
        return Vec::new();
    };
    let mut series = Vec::new();
    for (at, column) in rows.columns().enumerate() {
        let Some((client, server)) = column.split_once('_').filter(|_| at != time) else {
            continue;
        };
        let point = |row: &StringRecord| {
            let at_time = row.get(time)?.parse::<i64>().ok()? * SECOND_NS;
            Some((at_time, row.get(at)?.parse::<f64>().ok()?))
        };
        let labels = [("client", client), ("server", server), ("quantile", "0.5")];
        series.push(Series {
            resource: Arc::default(),
            name,
            unit: "s",
            attributes: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            points: Points::Gauge(rows.iter().filter_map(point).collect()),
        });
    }
    series
}

fn severity(body: &str) -> (i32, &'static str) {
    let levels = [
        ("FATAL", 21),
        ("ERROR", 17),
        ("WARN", 13),
        ("INFO", 9),
        ("DEBUG", 5),
    ];
    let head: String = body.chars().take(80).collect();
    let is_word = |word: &str| {
        head.split(|c: char| !c.is_alphabetic())
            .any(|part| part == word)
    };
    let found = levels.into_iter().find(|(word, _)| is_word(word));
    found.map_or((0, ""), |(word, number)| (number, word))
}

/// The set's whole numbers as OTLP identifiers; empty for none.
fn identifier(file: char, number: &str, bytes: usize) -> Vec<u8> {
    let Some(number) = number.parse::<u64>().ok() else {
        return Vec::new();
    };
    let mut id = vec![0; bytes];
    id[0] = file as u8;
    id[bytes - 7..].copy_from_slice(&number.to_be_bytes()[1..]);
    id
}
