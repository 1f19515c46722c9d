//! Spans to what they say of services and of the calls between them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use demarc_proto::{EntityId, Nanos};
use demarc_topology::Graph;

use super::{
    Window,
    spans::{Address, Span, ended_within, quoted},
};
use crate::{CallFacts, QueryLanguage, ServiceFacts, StoredQuery, shift::Point};

/// Sums by bucket of time.
#[derive(Debug)]
pub(crate) struct Ledger {
    window: Window,
    services: BTreeMap<EntityId, BTreeMap<i64, ServiceSums>>,
    calls: BTreeMap<(EntityId, EntityId), Calls>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ServiceSums {
    requests: f64,
    errors: f64,
    own_errors: f64,
    duration_ms: f64,
    self_ms: f64,
}

#[derive(Debug, Default)]
struct Calls {
    is_instrumented: bool,
    condition: Option<String>,
    buckets: BTreeMap<i64, CallSums>,
}

#[derive(Clone, Copy, Debug, Default)]
struct CallSums {
    calls: f64,
    failed: f64,
    unanswered: f64,
    client_ms: f64,
    answered: f64,
    answered_client_ms: f64,
    server_ms: f64,
}

/// The children of spans, by trace and id.
struct Traces<'a> {
    children: HashMap<(&'a [u8], &'a [u8]), Vec<&'a Span>>,
    /// Caller and the name that it calls by -> the service that answered there.
    answers: HashMap<(&'a EntityId, &'a EntityId), &'a EntityId>,
}

impl<'a> Traces<'a> {
    fn of(spans: &[&'a Span]) -> Self {
        let mut traces = Self {
            children: HashMap::new(),
            answers: HashMap::new(),
        };
        for span in spans.iter().copied() {
            if let Some(parent) = &span.parent {
                traces
                    .children
                    .entry((&span.trace, parent))
                    .or_default()
                    .push(span);
            }
        }
        for span in spans.iter().copied().filter(|span| span.is_client) {
            if let (Some(server), Some(peer)) = (traces.server_of(span), &span.peer) {
                traces
                    .answers
                    .insert((&span.service, &peer.entity), &server.service);
            }
        }
        traces
    }

    fn children(&self, span: &'a Span) -> impl Iterator<Item = &'a Span> {
        let key = (span.trace.as_slice(), span.id.as_slice());
        self.children.get(&key).into_iter().flatten().copied()
    }

    /// The other side of a client span.
    fn server_of(&self, client: &'a Span) -> Option<&'a Span> {
        self.children(client).find(|span| span.is_server)
    }

    /// The client spans that a request of one service makes, through its internal spans.
    fn calls_within(&self, entry: &'a Span) -> Vec<&'a Span> {
        let mut calls = Vec::new();
        let mut open: Vec<&Span> = self.children(entry).collect();
        while let Some(span) = open.pop() {
            if span.is_client {
                calls.push(span);
            } else if !span.is_server && span.service == entry.service {
                open.extend(self.children(span));
            }
        }
        calls
    }
}

/// Whether a request begins here: a server span, or work that nobody called for.
fn is_entry(span: &Span) -> bool {
    span.is_server || (span.parent.is_none() && !span.is_client)
}

impl Ledger {
    /// Sums up spans in buckets of the window's step.
    pub(crate) fn of(spans: &[&Span], window: &Window) -> Self {
        let traces = Traces::of(spans);
        let mut ledger = Self {
            window: window.clone(),
            services: BTreeMap::new(),
            calls: BTreeMap::new(),
        };
        for span in spans.iter().copied() {
            if is_entry(span) {
                ledger.request(span, &traces);
            }
            if span.is_client {
                ledger.call(span, &traces);
            }
        }
        ledger
    }

    fn request<'a>(&mut self, entry: &'a Span, traces: &Traces<'a>) {
        let calls = traces.calls_within(entry);
        let is_own = entry.failed && !calls.iter().any(|call| call.failed);
        let waits = calls
            .iter()
            .map(|call| (call.start.0, call.start.0 + call.duration_ns));
        let end = entry.start.0 + entry.duration_ns;
        let waiting = covered((entry.start.0, end), waits.collect());
        let bucket = self.window.bucket(entry.start);
        let of_service = self.services.entry(entry.service.clone()).or_default();
        let sums = of_service.entry(bucket).or_default();
        sums.requests += 1.0;
        sums.errors += f64::from(u8::from(entry.failed));
        sums.own_errors += f64::from(u8::from(is_own));
        sums.duration_ms += milliseconds(entry.duration_ns);
        sums.self_ms += milliseconds(entry.duration_ns - waiting);
    }

    fn call<'a>(&mut self, client: &'a Span, traces: &Traces<'a>) {
        let server = traces.server_of(client);
        let named = client.peer.as_ref().map(|peer| &peer.entity);
        let answering = named.and_then(|peer| traces.answers.get(&(&client.service, peer)));
        let to = server
            .map(|span| &span.service)
            .or(answering.copied())
            .or(named);
        let Some(to) = to.cloned() else { return };
        let bucket = self.window.bucket(client.start);
        let calls = self.calls.entry((client.service.clone(), to)).or_default();
        calls.is_instrumented |= server.is_some();
        if calls.condition.is_none() {
            calls.condition = client
                .peer
                .as_ref()
                .map(|Address { condition, .. }| condition.clone());
        }
        let sums = calls.buckets.entry(bucket).or_default();
        let took = milliseconds(client.duration_ns);
        sums.calls += 1.0;
        sums.client_ms += took;
        sums.failed += f64::from(u8::from(client.failed));
        match server {
            Some(server) => {
                sums.answered += 1.0;
                sums.answered_client_ms += took;
                sums.server_ms += milliseconds(server.duration_ns);
            }
            None => sums.unanswered += f64::from(u8::from(client.failed)),
        }
    }

    fn points(
        &self,
        service: &EntityId,
        value: impl Fn(&ServiceSums) -> Option<f64>,
    ) -> Vec<Point> {
        let buckets = self.services.get(service).into_iter().flatten();
        buckets
            .filter_map(|(at, sums)| Some((Nanos(*at), value(sums)?)))
            .collect()
    }

    /// What spans say of each service.
    pub(crate) fn services(&self, window: &Window) -> BTreeMap<EntityId, ServiceFacts> {
        let facts = self.services.keys().map(|id| {
            let share = |part: fn(&ServiceSums) -> f64| {
                let points = self.points(id, |sums| {
                    (sums.requests > 0.0).then(|| part(sums) / sums.requests)
                });
                window.shift(&points)
            };
            let facts = ServiceFacts {
                rate: window.shift(&self.rates(id, window)),
                errors: share(|sums| sums.errors),
                own_errors: share(|sums| sums.own_errors),
                latency_ms: share(|sums| sums.duration_ms),
                self_ms: share(|sums| sums.self_ms),
            };
            (id.clone(), facts)
        });
        facts.collect()
    }

    /// Requests per second, in each range from the service's first bucket on, the empty buckets as well; the last, unfinished one
    /// is left out.
    fn rates(&self, service: &EntityId, window: &Window) -> Vec<Point> {
        let Some(buckets) = self.services.get(service) else {
            return Vec::new();
        };
        let step = i64::try_from(window.step.as_nanos())
            .unwrap_or(i64::MAX)
            .max(1);
        let mut points = Vec::new();
        for range in window.ranges() {
            let within = self.window.bucket(range.start())..range.end().0;
            let Some((first, _)) = buckets.range(within).next() else {
                continue;
            };
            let mut at = *first;
            while at + step <= range.end().0 {
                let requests = buckets.get(&at).map_or(0.0, |sums| sums.requests);
                points.push((Nanos(at), requests / window.step.as_secs_f64()));
                at += step;
            }
        }
        points
    }

    /// What spans say of each call.
    pub(crate) fn calls(&self, graph: &Graph, window: &Window) -> Vec<CallFacts> {
        let mut hosts: BTreeMap<&EntityId, BTreeSet<EntityId>> = BTreeMap::new();
        for id in self.calls.keys().flat_map(|(from, to)| [from, to]) {
            hosts.entry(id).or_insert_with(|| graph.host_ids(id));
        }
        let facts = self.calls.iter().map(|((from, to), calls)| {
            let shift = |value: &dyn Fn(i64, &CallSums) -> Option<f64>| {
                let points: Vec<Point> = calls
                    .buckets
                    .iter()
                    .filter_map(|(at, sums)| Some((Nanos(*at), value(*at, sums)?)))
                    .collect();
                window.shift(&points)
            };
            let answered =
                |part: f64, sums: &CallSums| (sums.answered > 0.0).then(|| part / sums.answered);
            let requests = |at: i64| Some(self.services.get(from)?.get(&at)?.requests);
            CallFacts {
                from: from.clone(),
                to: to.clone(),
                is_instrumented: calls.is_instrumented,
                per_request: shift(&|at, sums| Some(sums.calls / requests(at)?)),
                client_ms: shift(&|_, sums| Some(sums.client_ms / sums.calls)),
                server_ms: shift(&|_, sums| answered(sums.server_ms, sums)),
                gap: None,
                gap_ms: shift(&|_, sums| answered(sums.answered_client_ms - sums.server_ms, sums)),
                failed: shift(&|_, sums| Some(sums.failed / sums.calls)),
                unanswered: shift(&|_, sums| Some(sums.unanswered / sums.calls)),
                links: graph
                    .links_between(&hosts[from], &hosts[to])
                    .iter()
                    .map(|link| link.id.clone())
                    .collect(),
                query: call_query(from, calls.condition.as_deref(), window),
            }
        });
        facts.collect()
    }
}

/// A service's requests by bucket of time.
#[derive(Debug, Default)]
pub(crate) struct RequestPoints {
    /// Mean durations, in milliseconds.
    pub(crate) latency: Vec<Point>,
    /// Shares that fail.
    pub(crate) errors: Vec<Point>,
}

impl RequestPoints {
    /// Of the service's own spans alone; as [`Ledger::of`] counts them, without what it says of calls.
    pub(crate) fn of(spans: &[&Span], window: &Window, service: &EntityId) -> Self {
        let mut buckets: BTreeMap<i64, ServiceSums> = BTreeMap::new();
        let own = spans.iter().filter(|span| span.service == *service);
        for span in own.filter(|span| is_entry(span)) {
            let sums = buckets.entry(window.bucket(span.start)).or_default();
            sums.requests += 1.0;
            sums.errors += f64::from(u8::from(span.failed));
            sums.duration_ms += milliseconds(span.duration_ns);
        }
        let mut points = Self::default();
        for (at, sums) in buckets {
            let mean = |part: f64| (Nanos(at), part / sums.requests);
            points.latency.push(mean(sums.duration_ms));
            points.errors.push(mean(sums.errors));
        }
        points
    }
}

/// How much of `(start, end)` the intervals cover, in nanoseconds; what overlaps counts once.
pub(crate) fn covered((start, end): (i64, i64), mut intervals: Vec<(i64, i64)>) -> i64 {
    intervals.sort_unstable();
    let (mut sum, mut reached) = (0, start);
    for (from, to) in intervals {
        let (from, to) = (from.max(reached), to.min(end));
        sum += (to - from).max(0);
        reached = reached.max(to);
    }
    sum
}

fn milliseconds(nanoseconds: i64) -> f64 {
    nanoseconds.max(0) as f64 / 1e6
}

/// The tenant, the namespace and the name in a service's id.
pub(crate) fn service_parts(id: &EntityId) -> (&str, Option<&str>, &str) {
    let path = id.0.strip_prefix("service:").unwrap_or(&id.0);
    let (tenant, rest) = path.split_once('/').unwrap_or(("default", path));
    match rest.rsplit_once('/') {
        Some((namespace, name)) => (tenant, Some(namespace), name),
        None => (tenant, None, rest),
    }
}

/// The SQL condition that selects a service's spans.
pub(crate) fn service_condition(id: &EntityId) -> String {
    let (_, namespace, name) = service_parts(id);
    let namespace = namespace.map_or_else(String::new, |namespace| {
        format!(
            " AND resource_attributes['service.namespace'] = {}",
            quoted(namespace)
        )
    });
    format!("service = {}{namespace}", quoted(name))
}

fn call_query(from: &EntityId, condition: Option<&str>, window: &Window) -> StoredQuery {
    let condition = condition.map_or_else(String::new, |condition| format!(" AND {condition}"));
    let text = format!(
        "SELECT {during} AS during, count(*) AS calls, avg(duration) / 1e6 AS mean_ms, \
         avg(CASE WHEN status_code = 'ERROR' THEN 1.0 ELSE 0.0 END) AS failed FROM spans WHERE {service} \
         AND kind IN ('CLIENT', 'PRODUCER'){condition} AND {within} GROUP BY 1 ORDER BY 1",
        during = ended_within(&[(window.onset.0, window.until.0)]),
        within = ended_within(&window.bounds()),
        service = service_condition(from),
    );
    sql(service_parts(from).0, text, window)
}

/// A query in SQL over the window.
pub(crate) fn sql(tenant: &str, text: String, window: &Window) -> StoredQuery {
    StoredQuery {
        tenant: tenant.to_owned(),
        language: QueryLanguage::Sql,
        text,
        start: window.start.to_millis().0,
        end: window.until.to_millis().0,
        step: 0,
        digest: String::new(),
    }
}
