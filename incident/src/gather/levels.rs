//! How services serve that send no spans: requests, failures and durations out of their metrics.

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::{EntityId, Labels, Nanos, TimeRange};

use super::{Series, signals::service_id};
use crate::{
    Evidence, IncidentError, LevelFacts, LevelHistory, LevelPoint, ServiceFacts, Side,
    shift::{Point, kept, median, quantile},
};

/// A family of metrics that count requests.
struct Source {
    /// Counter of requests.
    calls: &'static str,
    /// Counter of the sum of their durations.
    sum: &'static str,
    /// Counter of those that the sum is of.
    count: &'static str,
    /// Milliseconds in the unit of the sum.
    unit_ms: f64,
}

/// Source of names: OpenTelemetry Collector, span metrics connector; Tempo, metrics-generator; OpenTelemetry semantic
/// conventions, "HTTP" and "RPC" metrics.
const SOURCES: [Source; 5] = [
    Source {
        calls: "traces_span_metrics_calls_total",
        sum: "traces_span_metrics_duration_milliseconds_sum",
        count: "traces_span_metrics_duration_milliseconds_count",
        unit_ms: 1.0,
    },
    Source {
        calls: "traces_span_metrics_calls_total",
        sum: "traces_span_metrics_duration_seconds_sum",
        count: "traces_span_metrics_duration_seconds_count",
        unit_ms: 1000.0,
    },
    Source {
        calls: "traces_spanmetrics_calls_total",
        sum: "traces_spanmetrics_latency_sum",
        count: "traces_spanmetrics_latency_count",
        unit_ms: 1000.0,
    },
    Source {
        calls: "http_server_request_duration_seconds_count",
        sum: "http_server_request_duration_seconds_sum",
        count: "http_server_request_duration_seconds_count",
        unit_ms: 1000.0,
    },
    Source {
        calls: "rpc_server_duration_milliseconds_count",
        sum: "rpc_server_duration_milliseconds_sum",
        count: "rpc_server_duration_milliseconds_count",
        unit_ms: 1.0,
    },
];

/// What was added within one interval.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    seconds: f64,
    calls: f64,
    failed: f64,
    duration_ms: f64,
    timed: f64,
}

/// Sums by service, by who measured them, by range and by the start of the interval.
type Board = BTreeMap<EntityId, BTreeMap<Side, BTreeMap<(usize, i64), Sums>>>;

/// Reads the metrics of services in scope that have no spans.
pub(crate) async fn read(
    series: &Series<'_>,
    evidence: &mut Evidence,
) -> Result<(), IncidentError> {
    let own = format!("service:{}/", series.tenant);
    let silent = |id: &&EntityId| id.0.starts_with(&own) && !evidence.services.contains_key(*id);
    let wanted: BTreeSet<EntityId> = evidence.entities.keys().filter(silent).cloned().collect();
    if wanted.is_empty() {
        return Ok(());
    }
    for source in &SOURCES {
        if !series.has(source.calls) || !series.has(source.sum) {
            continue;
        }
        for (service, sides) in source.board(series, &wanted).await? {
            // What a service says of itself counts more than what its callers say.
            let Some((side, sums)) = sides.into_iter().next() else {
                continue;
            };
            let facts = source.facts(series, &service, side, &sums);
            evidence.services.entry(service.clone()).or_insert_with(|| {
                let shift =
                    |value: fn(&Sums) -> Option<f64>| series.window.shift(&points(&sums, value));
                ServiceFacts {
                    rate: shift(Sums::rate),
                    errors: shift(Sums::errors),
                    latency_ms: shift(Sums::latency_ms),
                    ..ServiceFacts::default()
                }
            });
            evidence.levels.entry(service).or_insert(facts);
        }
    }
    Ok(())
}

impl Source {
    async fn board(
        &self,
        series: &Series<'_>,
        wanted: &BTreeSet<EntityId>,
    ) -> Result<Board, IncidentError> {
        let mut board = Board::new();
        for (at, range) in series.window.ranges().into_iter().enumerate() {
            for metric in [self.calls, self.sum, self.count] {
                if metric == self.count && self.count == self.calls {
                    continue;
                }
                for (labels, samples) in series.samples(metric, range).await?.iter() {
                    let service = service_id(series.tenant, labels);
                    if wanted.contains(&service) {
                        let sides = board.entry(service).or_default();
                        let sums = sides.entry(side(labels)).or_default();
                        for (start, seconds, more) in added(samples, range) {
                            let sums = sums.entry((at, start)).or_default();
                            sums.seconds = seconds;
                            self.add(metric, labels, more, sums);
                        }
                    }
                }
            }
        }
        Ok(board)
    }

    fn add(&self, metric: &str, labels: &Labels, more: f64, sums: &mut Sums) {
        if metric == self.sum {
            sums.duration_ms += more * self.unit_ms;
        }
        if metric == self.count {
            sums.timed += more;
        }
        if metric == self.calls {
            sums.calls += more;
            sums.failed += if is_failure(labels) { more } else { 0.0 };
        }
    }

    fn facts(
        &self,
        series: &Series<'_>,
        service: &EntityId,
        side: Side,
        sums: &BTreeMap<(usize, i64), Sums>,
    ) -> LevelFacts {
        let window = series.window;
        let mut history: BTreeMap<usize, Vec<&Sums>> = BTreeMap::new();
        let mut recent = Vec::new();
        for ((range, start), sums) in sums {
            if window.is_well_before(Nanos(*start)) && (*range > 0 || window.history.is_empty()) {
                history.entry(*range).or_default().push(sums);
            }
            if *range == 0 {
                recent.push(LevelPoint {
                    start: *start,
                    seconds: kept(sums.seconds),
                    rate: kept(sums.rate().unwrap_or(0.0)),
                    latency_ms: sums.latency_ms().map(kept),
                    errors: sums.errors().map(kept),
                });
            }
        }
        let (_, namespace, name) = super::service_parts(service);
        let namespace = namespace.map_or_else(String::new, |namespace| {
            format!(", service_namespace={namespace:?}")
        });
        let label = if self.calls.starts_with("traces_spanmetrics") {
            "service"
        } else {
            "service_name"
        };
        let of = format!("{{{label}={name:?}{namespace}}}[10m]");
        let failures = format!(
            "sum by (status_code, http_response_status_code) (increase({}{of}))",
            self.calls
        );
        let latency = format!(
            "sum(increase({}{of})) / sum(increase({}{of}))",
            self.sum, self.count
        );
        LevelFacts {
            side,
            history: history.into_values().map(|sums| summary(&sums)).collect(),
            recent,
            requests_query: series.stored(failures),
            latency_query: series.stored(latency),
        }
    }
}

impl Sums {
    fn rate(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.calls / self.seconds)
    }

    fn errors(&self) -> Option<f64> {
        (self.calls > 0.0).then(|| (self.failed / self.calls).clamp(0.0, 1.0))
    }

    fn latency_ms(&self) -> Option<f64> {
        (self.timed > 0.0).then(|| self.duration_ms / self.timed)
    }
}

fn summary(sums: &[&Sums]) -> LevelHistory {
    let values = |value: fn(&Sums) -> Option<f64>| -> Vec<f64> {
        sums.iter().filter_map(|sums| value(sums)).collect()
    };
    let (rates, latencies, errors) = (
        values(Sums::rate),
        values(Sums::latency_ms),
        values(Sums::errors),
    );
    let lasting = |values: &[f64]| {
        let better: Vec<f64> = values.windows(2).map(|two| two[0].min(two[1])).collect();
        quantile(&better, 0.95).map(kept)
    };
    let mean = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
    LevelHistory {
        count: u32::try_from(sums.len()).unwrap_or(u32::MAX),
        rate: kept(median(&rates).unwrap_or(0.0)),
        latency_ms: median(&latencies).map(kept),
        latency_high_ms: quantile(&latencies, 0.95).map(kept),
        errors: (!errors.is_empty()).then(|| kept(mean)),
        errors_spread: kept(
            quantile(&errors, 0.95).unwrap_or(0.0) - median(&errors).unwrap_or(0.0),
        ),
        latency_lasting_ms: lasting(&latencies),
        errors_lasting: lasting(&errors),
    }
}

fn points(sums: &BTreeMap<(usize, i64), Sums>, value: fn(&Sums) -> Option<f64>) -> Vec<Point> {
    let points = sums.iter();
    points
        .filter_map(|((_, start), sums)| Some((Nanos(*start), value(sums)?)))
        .collect()
}

/// What a counter grew by between each two samples: where the interval begins, its seconds, by how much. A fall is a restart.
fn added(samples: &[Point], range: TimeRange) -> Vec<(i64, f64, f64)> {
    let pairs = samples.windows(2).filter_map(|pair| {
        let ((from, before), (to, after)) = (pair[0], pair[1]);
        let more = if after >= before {
            after - before
        } else {
            after
        };
        let seconds = to.since(from).as_secs_f64();
        range.contains(from).then_some((from.0, seconds, more))
    });
    pairs.collect()
}

fn side(labels: &Labels) -> Side {
    match labels.get("span_kind") {
        "SPAN_KIND_CLIENT" | "SPAN_KIND_PRODUCER" => Side::Client,
        "SPAN_KIND_CONSUMER" => Side::Consumer,
        _ => Side::Server,
    }
}

fn is_failure(labels: &Labels) -> bool {
    let is_status = labels.get("status_code") == "STATUS_CODE_ERROR";
    is_status || labels.get("http_response_status_code").starts_with('5')
}
