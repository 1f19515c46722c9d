//! RED metrics from spans and service-graph metrics from calls, named as Tempo's metrics-generator names them.
//!
//! Every latency is kept twice: in classic buckets, as `_bucket`, `_sum` and `_count` series, and as a native histogram
//! under the name itself.

mod latency;
mod write;

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasherDefault,
};

use demarc_proto::{Labels, Millis, Nanos, TenantId};
use demarc_store::{MetricRows, SpanView};
use xxhash_rust::xxh3::xxh3_128;

pub(crate) use latency::Trace;

use crate::{origin::Origin, pairing::Call, registry::ByKey};
use latency::Latency;
use write::Writer;

/// A series without a span or a call for so long is forgotten, and begins again from zero.
const FORGET_NS: i64 = 3_600_000_000_000;

/// Cumulative metrics since this process started, per tenant.
#[derive(Debug, Default)]
pub(crate) struct SpanMetrics {
    tenants: HashMap<TenantId, TenantMetrics>,
}

/// The metrics of one tenant, by a hash of their labels.
#[derive(Debug, Default)]
pub(crate) struct TenantMetrics {
    series: HashMap<u128, Series, BuildHasherDefault<ByKey>>,
    scratch: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    Span,
    Edge,
}

#[derive(Debug)]
struct Series {
    family: Family,
    labels: Labels,
    red: Red,
}

#[derive(Clone, Debug)]
struct Red {
    calls: f64,
    failed: f64,
    latency: Latency,
    client_latency: Latency,
    messaging: Latency,
    /// When something was counted last, by our clock.
    last: Nanos,
}

/// When something is counted, and how many series a tenant may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) now: Nanos,
    pub(crate) max_series: usize,
}

/// The labels of spans, in the order in which their values are given.
const SPAN_LABELS: [&str; 6] = [
    "service",
    "service_namespace",
    "span_name",
    "span_kind",
    "status_code",
    "peer_service",
];
/// The labels of calls, in the order in which their values are given.
const EDGE_LABELS: [&str; 3] = ["client", "server", "connection_type"];

impl SpanMetrics {
    /// Those of one tenant.
    pub(crate) fn of(&mut self, tenant: &TenantId) -> &mut TenantMetrics {
        if !self.tenants.contains_key(tenant) {
            self.tenants
                .insert(tenant.clone(), TenantMetrics::default());
        }
        self.tenants.get_mut(tenant).expect("inserted above")
    }

    /// Counts each call under its two sides, for the tenant of the calling side, else of the called one. A call of which one
    /// side has no name is no edge.
    pub(crate) fn calls(&mut self, calls: &[Call], room: Room) {
        for of_tenant in calls.chunk_by(|a, b| a.tenant() == b.tenant()) {
            if let Some(tenant) = of_tenant[0].tenant() {
                let metrics = self.of(tenant);
                of_tenant.iter().for_each(|call| metrics.call(call, room));
            }
        }
    }

    /// The values of all series at `now`, per tenant.
    ///
    /// A series that was written before is written again even when nothing happened, so that it does not go stale while its
    /// service is only quiet.
    pub(crate) fn rows(&mut self, now: Nanos) -> BTreeMap<TenantId, Vec<MetricRows>> {
        let mut rows: BTreeMap<TenantId, Vec<MetricRows>> = BTreeMap::new();
        self.tenants.retain(|tenant, metrics| {
            let series = &mut metrics.series;
            series.retain(|_, one| now.0.saturating_sub(one.red.last.0) < FORGET_NS);
            if !series.is_empty() {
                rows.insert(tenant.clone(), tenant_rows(series, now.to_millis()));
            }
            !series.is_empty()
        });
        rows
    }
}

impl TenantMetrics {
    /// Counts a span under its service, operation, kind, status, and the peer that it names, empty for none.
    pub(crate) fn span(&mut self, origin: &Origin, span: SpanView<'_>, peer: &str, room: Room) {
        let own = [
            &origin.service,
            &origin.namespace,
            span.name(),
            span.kind().as_str(),
            span.status().as_str(),
            peer,
        ];
        let mut shared = own;
        shared[2] = "other";
        let red = self.place(Family::Span, [&own, &shared], room);
        red.calls += 1.0;
        red.latency.observe(span.duration_ns(), Trace::of(span));
    }

    fn call(&mut self, call: &Call, room: Room) {
        let Some(edge) = call.edge() else {
            return;
        };
        let own = [edge.client, edge.server, edge.connection_type];
        let shared = ["other", "other", edge.connection_type];
        let red = self.place(Family::Edge, [&own, &shared], room);
        red.calls += 1.0;
        red.failed += if call.is_failed() { 1.0 } else { 0.0 };
        if let Some((duration_ns, trace)) = call.server_duration(edge.connection_type) {
            red.latency.observe(duration_ns, trace);
        }
        if let Some(side) = &call.client {
            red.client_latency.observe(side.duration_ns, side.trace);
        }
        if let Some((duration_ns, trace)) = call.messaging_duration() {
            red.messaging.observe(duration_ns, trace);
        }
    }

    /// The series of `places[0]`; once there are too many, that of `places[1]`, and for all beyond, one for the tenant.
    fn place(&mut self, family: Family, places: [&[&str]; 2], room: Room) -> &mut Red {
        let [own, shared] = places;
        // Room for what is shared comes on top, a tenth as much.
        let rooms = [
            (own, room.max_series),
            (shared, room.max_series + room.max_series / 10),
            (&[], usize::MAX),
        ];
        let mut found = None;
        for (values, max_series) in rooms {
            let key = self.key(family, values);
            let is_known = self.series.contains_key(&key);
            if is_known || self.series.len() < max_series {
                found = Some((key, values));
                break;
            }
        }
        let (key, values) = found.expect("there is always room for the last of them");
        let one = self.series.entry(key).or_insert_with(|| Series {
            family,
            labels: labels(family, values),
            red: Red::new(room.now),
        });
        one.red.last = room.now;
        &mut one.red
    }

    fn key(&mut self, family: Family, values: &[&str]) -> u128 {
        self.scratch.clear();
        self.scratch.push(family as u8);
        for value in values {
            self.scratch.extend_from_slice(value.as_bytes());
            // 0xff cannot occur in UTF-8, so no two lists of texts share these bytes.
            self.scratch.push(0xff);
        }
        xxh3_128(&self.scratch)
    }
}

fn labels(family: Family, values: &[&str]) -> Labels {
    if values.is_empty() {
        return Labels::from_pairs([("metric_overflow", "true")]);
    }
    let names: &[&str] = match family {
        Family::Span => &SPAN_LABELS,
        Family::Edge => &EDGE_LABELS,
    };
    let value = |name: &str, value: &str| match name {
        "span_kind" => format!("SPAN_KIND_{value}"),
        "status_code" => format!("STATUS_CODE_{value}"),
        _ => value.to_owned(),
    };
    let pairs = names.iter().zip(values);
    Labels::from_pairs(pairs.map(|(name, text)| (*name, value(name, text))))
}

fn tenant_rows(
    series: &mut HashMap<u128, Series, BuildHasherDefault<ByKey>>,
    time: Millis,
) -> Vec<MetricRows> {
    let mut sorted: Vec<&mut Series> = series.values_mut().collect();
    sorted.sort_by(|a, b| (a.family, &a.labels).cmp(&(b.family, &b.labels)));
    let mut rows = Vec::new();
    for Series {
        family,
        labels,
        red,
    } in sorted
    {
        let mut writer = Writer::new(labels, time, &mut rows);
        match family {
            Family::Span => {
                writer.counter("traces_spanmetrics_calls_total", red.calls);
                writer.latency("traces_spanmetrics_latency", &mut red.latency);
            }
            Family::Edge => {
                let name = |rest: &str| format!("traces_service_graph_request_{rest}");
                writer.counter(&name("total"), red.calls);
                writer.counter(&name("failed_total"), red.failed);
                writer.latency(&name("server_seconds"), &mut red.latency);
                writer.latency(&name("client_seconds"), &mut red.client_latency);
                writer.latency(&name("messaging_system_seconds"), &mut red.messaging);
            }
        }
    }
    rows
}

impl Red {
    fn new(now: Nanos) -> Self {
        Self {
            calls: 0.0,
            failed: 0.0,
            latency: Latency::default(),
            client_latency: Latency::default(),
            messaging: Latency::default(),
            last: now,
        }
    }
}
