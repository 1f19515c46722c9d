//! Cases of the Nezha set: spans of pods, metrics of pods and their hosts a minute.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use anyhow::Context;
use csv::StringRecord;
use demarc_proto::otlp::{
    metrics::v1::{Gauge, Metric, NumberDataPoint, metric::Data, number_data_point},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};

use super::{Recording, table::Rows};
use crate::otlp::{self, Client};

/// Spans and points that go into one request.
const BATCH: usize = 2000;
/// The end of the recording is put this long before now.
const LAG_NS: u64 = 2_000_000_000;
const MINUTE_NS: i64 = 60_000_000_000;

#[derive(serde::Deserialize)]
struct Label {
    case: String,
    day: String,
    inject_time_unix: i64,
}

#[derive(serde::Deserialize)]
struct Topology {
    system: String,
    pods: Vec<Pod>,
    runs_on: Vec<(String, String)>,
}

#[derive(serde::Deserialize)]
struct Pod {
    pod: String,
    service: String,
}

/// Sends one case, with a fault-free minute of the same system before it.
pub(crate) async fn send(client: &Client, tenant: &str, case: &Path) -> anyhow::Result<Recording> {
    let case = std::fs::canonicalize(case)?;
    let set = case
        .parent()
        .and_then(Path::parent)
        .context("case of a set")?;
    let label = label(set, &case)?;
    let system = set.join("systems").join(&label.day);
    let topology: Topology = serde_json::from_slice(&std::fs::read(system.join("topology.json"))?)
        .context("topology.json")?;
    let metrics = Rows::read(&case.join("metrics.csv.gz"))?;
    let during = Rows::read(&case.join("traces.csv.gz"))?;
    let before = normal_traces(set, &system, &topology)?;
    let inject = label.inject_time_unix * 1_000_000_000;
    let ends = last_time(&metrics, &during).context("the case holds nothing")?;
    let now = i64::try_from(otlp::now() - LAG_NS)?;
    let world = World::of(&topology);
    // The recorded minute of the fault begins some seconds before it: what is before counts as the time before.
    let fault_free = first_start(&during).unwrap_or(inject).min(inject) - MINUTE_NS;
    let mut spans = world.spans(&during, now - ends, "c")?;
    if let Some(first) = first_start(&before) {
        spans.extend(world.spans(&before, now - ends + fault_free - first, "n")?);
    }
    let points = world.points(&metrics, now - ends);
    let recording = Recording {
        entry: world.entry(&spans),
        began: (inject + now - ends).unsigned_abs(),
        // Metrics go on when the recorded spans have ended; silence after that is the recording's, not the system's.
        ends: (last_start(&during).unwrap_or(ends) + now - ends).unsigned_abs(),
        spans: spans.len(),
        points: points.len(),
    };
    world.deliver(client, tenant, spans, points).await?;
    Ok(recording)
}

/// The case's day and time; nothing else of its label is read.
fn label(set: &Path, case: &Path) -> anyhow::Result<Label> {
    let name = case.file_name().unwrap_or_default().to_string_lossy();
    let text = std::fs::read_to_string(set.join("labels.jsonl"))?;
    let labels = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Label>(line).ok());
    labels
        .into_iter()
        .find(|label| label.case == name)
        .with_context(|| format!("{name}: is not in labels.jsonl"))
}

/// A fault-free minute of spans: that day's, or another day's of the same system.
fn normal_traces(set: &Path, system: &Path, topology: &Topology) -> anyhow::Result<Rows> {
    let own = system.join("normal_traces.csv.gz");
    if own.exists() {
        return Rows::read(&own);
    }
    for day in std::fs::read_dir(set.join("systems"))? {
        let day = day?.path();
        let other: Topology = serde_json::from_slice(&std::fs::read(day.join("topology.json"))?)?;
        let traces = day.join("normal_traces.csv.gz");
        if other.system == topology.system && traces.exists() {
            return Rows::read(&traces);
        }
    }
    Rows::read(&own)
}

fn first_start(spans: &Rows) -> Option<i64> {
    let column = spans.column("start_unix_nano")?;
    spans
        .iter()
        .filter_map(|row| row.get(column)?.parse().ok())
        .min()
}

fn last_start(spans: &Rows) -> Option<i64> {
    let column = spans.column("start_unix_nano")?;
    spans
        .iter()
        .filter_map(|row| row.get(column)?.parse().ok())
        .max()
}

fn last_time(metrics: &Rows, spans: &Rows) -> Option<i64> {
    let newest = |rows: &Rows, name: &str, scale: i64| {
        let column = rows.column(name)?;
        let times = rows
            .iter()
            .filter_map(|row| row.get(column)?.parse::<i64>().ok());
        times.max().map(|time| time * scale)
    };
    newest(metrics, "time_unix", 1_000_000_000).max(newest(spans, "start_unix_nano", 1))
}

/// Who is who.
struct World {
    /// The service of each pod; pods of another day by the part of their name before the hashes.
    services: HashMap<String, String>,
    hosts: BTreeMap<String, String>,
}

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

    /// The service at which most traces begin: what users see.
    fn entry(&self, spans: &[(String, Span)]) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (pod, span) in spans
            .iter()
            .filter(|(_, span)| span.parent_span_id.is_empty())
        {
            *counts.entry(self.service(pod)).or_default() += usize::from(!span.trace_id.is_empty());
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map_or_else(String::new, |(service, _)| service)
    }

    fn service(&self, pod: &str) -> String {
        if let Some(service) = self.services.get(pod) {
            return service.clone();
        }
        // `name-5f6585d649-fnmft`: deployment, replica set, pod.
        pod.rsplitn(3, '-').nth(2).unwrap_or(pod).to_owned()
    }

    fn attributes(&self, pod: &str) -> Vec<(String, String)> {
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

    /// Spans by pod, moved by `shift`. A span whose parent is in another pod is the server side of a call, and its parent the
    /// client side; a root is a server's.
    fn spans(&self, rows: &Rows, shift: i64, prefix: &str) -> anyhow::Result<Vec<(String, Span)>> {
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
            return Ok(Vec::new());
        };
        let text =
            |row: &StringRecord, at: usize| row.get(columns[at]).unwrap_or_default().to_owned();
        let pods: HashMap<String, String> = rows
            .iter()
            .map(|row| (text(row, 1), text(row, 3)))
            .collect();
        let mut callers = HashSet::new();
        for row in rows.iter() {
            let parent = text(row, 2);
            if pods.get(&parent).is_some_and(|pod| *pod != text(row, 3)) {
                callers.insert(parent);
            }
        }
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
            let start = (start + shift).unsigned_abs();
            let span = Span {
                trace_id: identifier(prefix, &text(row, 0), 16),
                span_id: identifier(prefix, &id, 8),
                parent_span_id: match parent.as_str() {
                    "" => Vec::new(),
                    parent => identifier(prefix, parent, 8),
                },
                name: text(row, 4),
                kind,
                start_time_unix_nano: start,
                end_time_unix_nano: start + duration.max(0).unsigned_abs(),
                ..Span::default()
            };
            spans.push((pod, span));
        }
        Ok(spans)
    }

    /// Gauges by pod, moved by `shift`.
    fn points(&self, rows: &Rows, shift: i64) -> Vec<(String, Metric)> {
        let measures = [
            ("CpuUsage(m)", "k8s.pod.cpu.usage", "{cpu}", 1e-3),
            ("MemoryUsage(Mi)", "k8s.pod.memory.usage", "By", 1_048_576.0),
            ("NodeCpuUsageRate(%)", "k8s.node.cpu.utilization", "1", 0.01),
            (
                "NodeMemoryUsageRate(%)",
                "k8s.node.memory.utilization",
                "1",
                0.01,
            ),
        ];
        let (Some(time), Some(pod)) = (rows.column("time_unix"), rows.column("PodName")) else {
            return Vec::new();
        };
        let mut points = Vec::new();
        for row in rows.iter() {
            let at = row.get(time).and_then(|text| text.parse::<i64>().ok());
            let (Some(at), Some(pod)) = (at, row.get(pod)) else {
                continue;
            };
            for (column, name, unit, scale) in measures {
                let value = rows
                    .column(column)
                    .and_then(|column| row.get(column)?.parse::<f64>().ok());
                let Some(value) = value else { continue };
                let point = NumberDataPoint {
                    time_unix_nano: (at * 1_000_000_000 + shift).unsigned_abs(),
                    value: Some(number_data_point::Value::AsDouble(value * scale)),
                    ..NumberDataPoint::default()
                };
                let metric = Metric {
                    name: name.to_owned(),
                    unit: unit.to_owned(),
                    data: Some(Data::Gauge(Gauge {
                        data_points: vec![point],
                    })),
                    ..Metric::default()
                };
                points.push((pod.to_owned(), metric));
            }
        }
        points
    }

    async fn deliver(
        &self,
        client: &Client,
        tenant: &str,
        mut spans: Vec<(String, Span)>,
        points: Vec<(String, Metric)>,
    ) -> anyhow::Result<()> {
        for batch in points.chunks(BATCH) {
            let mut by_pod: BTreeMap<&str, Vec<Metric>> = BTreeMap::new();
            for (pod, metric) in batch {
                by_pod.entry(pod).or_default().push(metric.clone());
            }
            let metrics = by_pod
                .into_iter()
                .map(|(pod, metrics)| otlp::resource_metrics(&self.attributes(pod), metrics));
            client.metrics(tenant, metrics.collect()).await?;
        }
        spans.sort_by_key(|(_, span)| span.start_time_unix_nano);
        for batch in spans.chunks(BATCH) {
            let mut by_pod: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
            for (pod, span) in batch {
                by_pod.entry(pod).or_default().push(span.clone());
            }
            let resources = by_pod.into_iter().map(|(pod, spans)| ResourceSpans {
                resource: Some(otlp::resource(&self.attributes(pod))),
                scope_spans: vec![ScopeSpans {
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            });
            client.spans(tenant, resources.collect()).await?;
        }
        Ok(())
    }
}

/// The set's whole numbers as OTLP identifiers; the prefix keeps two files apart.
fn identifier(prefix: &str, number: &str, bytes: usize) -> Vec<u8> {
    let number: u64 = number.parse().unwrap_or_default();
    let mut id = vec![0; bytes];
    id[0] = prefix.as_bytes().first().copied().unwrap_or(1);
    id[bytes - 7..].copy_from_slice(&number.to_be_bytes()[1..]);
    id
}
