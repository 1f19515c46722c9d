//! What spans become beside rows: calls, RED metrics, and notes of their resources.

use std::collections::BTreeMap;

use demarc_proto::{Nanos, Observation, TenantId};
use demarc_store::{MetricRows, Spans};

use crate::{
    envelope::Sender,
    origin::Origins,
    pairing::{Call, Named, Pairing, Role, Sums},
    resource::Reported,
    span_metrics::{Room, SpanMetrics},
};

/// What is remembered of spans, over all tenants.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    pairing: Pairing,
    calls: Sums,
    metrics: SpanMetrics,
    origins: Origins,
    /// The resources that the topology was told of lately.
    pub(crate) reported: Reported,
}

impl Pipeline {
    /// Counts spans, looks for their other sides, and notes their resources, each given with the place of its first span.
    pub(crate) fn spans(
        &mut self,
        tenant: &TenantId,
        spans: &Spans,
        resources: &[(usize, Sender)],
        room: Room,
    ) -> Vec<Observation> {
        let metrics = self.metrics.of(tenant);
        let (mut seen, mut complete) = (Vec::new(), Vec::new());
        let ends = resources.iter().skip(1).map(|(first, _)| *first);
        for ((first, sender), end) in resources.iter().zip(ends.chain([spans.len()])) {
            let Sender { resource, entities } = sender;
            let at = spans.view(*first).start();
            let noted = (resource.as_ref(), entities.clone());
            seen.extend(self.reported.observe(tenant, noted, at));
            let origin = self.origins.of(tenant, resource);
            for span in (*first..end).map(|at| spans.view(at)) {
                let role = Role::of(span.kind());
                let named = role.map_or_else(Named::default, |_| Named::of(span));
                complete.extend(self.pairing.add(&origin, span, &named, room.now));
                let peer = named.service().filter(|_| role == Some(Role::Client));
                metrics.span(&origin, span, peer.unwrap_or_default(), room);
            }
        }
        self.count(&complete, room);
        seen
    }

    /// Counts the calls of which only one side has come, the first by `deadline`; all of them once there are more than
    /// `max_pending`.
    pub(crate) fn overdue(&mut self, deadline: Nanos, max_pending: usize, room: Room) {
        let calls = self.pairing.take(deadline, max_pending);
        self.count(&calls, room);
    }

    /// The calls that were counted since the last time, and the values of all metrics, per tenant.
    pub(crate) fn take(
        &mut self,
        now: Nanos,
    ) -> (Vec<Observation>, BTreeMap<TenantId, Vec<MetricRows>>) {
        (self.calls.take(), self.metrics.rows(now))
    }

    fn count(&mut self, calls: &[Call], room: Room) {
        self.metrics.calls(calls, room);
        self.calls.add(calls);
    }
}
