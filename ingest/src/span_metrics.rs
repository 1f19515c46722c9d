//! RED metrics from spans and service-graph metrics from calls, named as Tempo's metrics-generator names them.
//!
//! Every latency is kept twice: in classic buckets, as `_bucket`, `_sum` and `_count` series, and as a native histogram
//! under the name itself.

mod latency;
mod write;

use std::collections::{BTreeMap, HashMap};

use demarc_proto::{Labels, Millis, Nanos, TenantId};
use demarc_store::{MetricRows, SpanKind, SpanRow};

pub(crate) use latency::Trace;

use crate::pairing::Call;
use latency::Latency;
use write::Writer;

/// A series without a span or a call for so long is forgotten, and begins again from zero.
const FORGET_NS: i64 = 3_600_000_000_000;

/// Cumulative metrics since this process started, per tenant.
#[derive(Debug, Default)]
pub(crate) struct SpanMetrics {
    tenants: HashMap<TenantId, BTreeMap<(Family, Labels), Red>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    Span,
    Edge,
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

impl SpanMetrics {
    /// Counts a span under its service, operation, kind, status, and the peer that it names.
    pub(crate) fn span(&mut self, tenant: &TenantId, span: &SpanRow, room: Room) {
        let namespace = span.resource.str("service.namespace").unwrap_or_default();
        let is_client = matches!(span.kind, SpanKind::Client | SpanKind::Producer);
        let peer = span.attributes.str("peer.service").filter(|_| is_client);
        let labels = |operation: &str| {
            Labels::from_pairs([
                ("service", span.service.as_str()),
                ("service_namespace", namespace),
                ("span_name", operation),
                ("span_kind", &format!("SPAN_KIND_{}", span.kind)),
                ("status_code", &format!("STATUS_CODE_{}", span.status)),
                ("peer_service", peer.unwrap_or_default()),
            ])
        };
        let places = [labels(&span.name), labels("other")];
        let red = self.place(tenant, Family::Span, places, room);
        red.calls += 1.0;
        red.latency.observe(span.duration_ns, Trace::of(span));
    }

    /// Counts a call under its two sides, for the tenant of the calling side, else of the called one. A call of which one
    /// side has no name is no edge.
    pub(crate) fn call(&mut self, call: &Call, room: Room) {
        let Some(first) = call.client.as_ref().or(call.server.as_ref()) else {
            return;
        };
        let Some(edge) = call.edge() else {
            return;
        };
        let labels = |client: &str, server: &str| {
            Labels::from_pairs([
                ("client", client),
                ("server", server),
                ("connection_type", edge.connection_type),
            ])
        };
        let places = [labels(&edge.client, &edge.server), labels("other", "other")];
        let red = self.place(&first.tenant, Family::Edge, places, room);
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
    fn place(
        &mut self,
        tenant: &TenantId,
        family: Family,
        places: [Labels; 2],
        room: Room,
    ) -> &mut Red {
        if !self.tenants.contains_key(tenant) {
            self.tenants.insert(tenant.clone(), BTreeMap::new());
        }
        let series = self.tenants.get_mut(tenant).expect("inserted above");
        let [own, shared] = places.map(|labels| (family, labels));
        // Room for what is shared comes on top, a tenth as much.
        let key = if series.len() < room.max_series || series.contains_key(&own) {
            own
        } else if series.len() < room.max_series + room.max_series / 10
            || series.contains_key(&shared)
        {
            shared
        } else {
            (family, Labels::from_pairs([("metric_overflow", "true")]))
        };
        let red = series.entry(key).or_insert_with(|| Red::new(room.now));
        red.last = room.now;
        red
    }

    /// The values of all series at `now`, per tenant.
    ///
    /// A series that was written before is written again even when nothing happened, so that it does not go stale while its
    /// service is only quiet.
    pub(crate) fn rows(&mut self, now: Nanos) -> BTreeMap<TenantId, Vec<MetricRows>> {
        let mut rows: BTreeMap<TenantId, Vec<MetricRows>> = BTreeMap::new();
        self.tenants.retain(|tenant, series| {
            series.retain(|_, red| now.0.saturating_sub(red.last.0) < FORGET_NS);
            if !series.is_empty() {
                rows.insert(tenant.clone(), tenant_rows(series, now.to_millis()));
            }
            !series.is_empty()
        });
        rows
    }
}

fn tenant_rows(series: &mut BTreeMap<(Family, Labels), Red>, time: Millis) -> Vec<MetricRows> {
    let mut rows = Vec::new();
    for ((family, labels), red) in series {
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
