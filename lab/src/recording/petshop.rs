//! Cases with figures per entity (requests, availability, latency) every five minutes and a graph of calls, no spans.
//!
//! The figures are sent as what the span metrics connector of the OpenTelemetry Collector would have made of the same requests,
//! the graph as its service graph. An entity's name ends in what kind of thing it is; that becomes the attributes in which such
//! things name themselves.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::Context;

use super::{
    label::Alarm,
    set::{Cut, Recording, System},
    table::records,
    telemetry::{Attributes, CALLS, Durations, Points, Series, Telemetry, Unix},
};

/// Distance of two rows.
const INTERVAL_NS: i64 = 300_000_000_000;
/// How often a call is counted.
const SIGHT_NS: i64 = 60_000_000_000;
/// Number of the header rows of a table of figures.
const HEADER_ROWS: usize = 3;

/// The fault-free telemetry of a system; those of all others of the set where it has none of its own.
pub(crate) fn system(dir: &Path) -> anyhow::Result<System> {
    let own = dir.join("normal_metrics.csv.gz");
    let mut files = vec![own.clone()];
    if !own.exists() {
        let all = dir.parent().context("the folder of all systems")?;
        let others = std::fs::read_dir(all)?.filter_map(|entry| Some(entry.ok()?.path()));
        files = others
            .map(|other| other.join("normal_metrics.csv.gz"))
            .filter(|file| file.exists())
            .collect();
        files.sort();
    }
    let mut system = System::default();
    for file in files {
        let telemetry = figures(&file)?;
        system.history.extend(telemetry.range());
        system.telemetry.extend(telemetry);
    }
    Ok(system)
}

/// One case: the rows around an alarm.
pub(crate) fn recording(
    case: &Path,
    system: &Path,
    alarm: &Alarm,
    cut: &Cut,
) -> anyhow::Result<Recording> {
    let mut telemetry = figures(&case.join("metrics.csv.gz"))?;
    let range = telemetry
        .range()
        .with_context(|| format!("{}: holds no row", case.display()))?;
    telemetry.extend(calls(system, cut, range)?);
    let told = alarm.timestamp as i64 * 1_000_000_000;
    Ok(Recording {
        telemetry,
        entry: alarm.entity.clone(),
        symptom: match alarm.metric.as_str() {
            "latency" => Some("latency"),
            "availability" => Some("errors"),
            _ => None,
        },
        since: told,
        until: range.1 + 1_000_000_000,
        interval_ns: INTERVAL_NS,
    })
}

/// One row of one entity.
#[derive(Clone, Debug, Default)]
struct Figures {
    requests: Option<f64>,
    /// Per cent.
    availability: Option<f64>,
    /// Seconds.
    mean: Option<f64>,
    quantiles: Vec<(f64, f64)>,
}

fn figures(file: &Path) -> anyhow::Result<Telemetry> {
    let rows = records(file)?;
    let (head, rows) = rows.split_at(HEADER_ROWS.min(rows.len()));
    let [entities, metrics, statistics] = head else {
        anyhow::bail!(
            "{}: a table of figures begins with three header rows",
            file.display()
        );
    };
    let mut by_entity: BTreeMap<&str, BTreeMap<Unix, Figures>> = BTreeMap::new();
    for row in rows {
        let Some(at) = row.get(0).and_then(|text| text.parse::<f64>().ok()) else {
            continue;
        };
        let at = at as i64 * 1_000_000_000;
        for (column, text) in row.iter().enumerate().skip(1) {
            let names = (
                entities.get(column),
                metrics.get(column),
                statistics.get(column),
            );
            let (Some(entity), Some(metric), Some(statistic)) = names else {
                continue;
            };
            let figures = by_entity.entry(entity).or_default().entry(at).or_default();
            if let Ok(value) = text.parse::<f64>() {
                figures.note(metric, statistic, value);
            }
        }
    }
    let series = by_entity
        .into_iter()
        .flat_map(|(entity, rows)| entity_series(entity, &rows));
    Ok(Telemetry {
        series: series.collect(),
        ..Telemetry::default()
    })
}

impl Figures {
    fn note(&mut self, metric: &str, statistic: &str, value: f64) {
        let quantile = statistic
            .strip_prefix('p')
            .and_then(|percent| percent.parse::<f64>().ok());
        match (metric, statistic, quantile) {
            ("requests", _, _) => self.requests = Some(value),
            ("availability", _, _) => self.availability = Some(value),
            ("latency", "Average", _) => self.mean = Some(value),
            ("latency", _, Some(percent)) => self.quantiles.push((percent / 100.0, value)),
            _ => {}
        }
    }
}

/// What the connector would have counted. A row tells of the interval that begins at its time, so that it is counted at its end. A row without requests is a row in which nothing came; a row that says nothing is none.
fn entity_series(entity: &str, rows: &BTreeMap<Unix, Figures>) -> Vec<Series> {
    let Some(first) = rows.keys().next() else {
        return Vec::new();
    };
    let zero = *first;
    let (mut good, mut bad) = (vec![(zero, 0.0)], vec![(zero, 0.0)]);
    let mut took = vec![Durations {
        at: zero,
        count: 0.0,
        sum: 0.0,
        quantiles: Vec::new(),
    }];
    let (mut goods, mut bads, mut count, mut sum) = (0.0, 0.0, 0.0, 0.0);
    for (at, row) in rows {
        let Some(requests) = row.requests else {
            continue;
        };
        let failed = requests * (1.0 - row.availability.unwrap_or(100.0) / 100.0);
        let at = at + INTERVAL_NS;
        goods += requests - failed;
        bads += failed;
        good.push((at, goods));
        bad.push((at, bads));
        if let Some(mean) = row.mean {
            count += requests;
            sum += requests * mean;
        }
        took.push(Durations {
            at,
            count,
            sum,
            quantiles: row.quantiles.clone(),
        });
    }
    series(entity, [good, bad], took)
}

/// The three series of an entity: requests by how they ended, and durations.
fn series(entity: &str, [good, bad]: [Vec<(Unix, f64)>; 2], took: Vec<Durations>) -> Vec<Series> {
    let nature = Nature::of(entity);
    let resource = Arc::new(nature.resource(entity));
    let series = |name, unit, status: &str, points| Series {
        resource: Arc::clone(&resource),
        name,
        unit,
        attributes: nature.point(status),
        points,
    };
    let (calls, duration) = ("traces.span.metrics.calls", "traces.span.metrics.duration");
    vec![
        series(calls, "", "STATUS_CODE_UNSET", Points::Total(good)),
        series(calls, "", "STATUS_CODE_ERROR", Points::Total(bad)),
        series(duration, "s", "", Points::Durations(took)),
    ]
}

/// What an entity is, by the end of its name.
struct Nature {
    /// Further attributes of its resource.
    attributes: &'static [(&'static str, &'static str)],
    /// Whether its figures are its callers', or its own.
    span_kind: &'static str,
}

const CLIENT: &str = "SPAN_KIND_CLIENT";
const SERVER: &str = "SPAN_KIND_SERVER";
/// Work that nobody waits for.
const CONSUMER: &str = "SPAN_KIND_CONSUMER";

impl Nature {
    /// Source: AWS X-Ray developer guide, "Service graph": the type of a node is appended to its name; `remote` is inferred
    /// from its callers' segments, `client` is who called without a segment of its own.
    fn of(entity: &str) -> Self {
        let end = entity.rsplit_once('_').map_or("", |(_, end)| end);
        let is_kind = end.contains("::") || ["remote", "client"].contains(&end);
        let kind = match entity {
            _ if entity.starts_with("AWS::") => entity,
            _ if is_kind => end,
            _ => "",
        };
        let (attributes, span_kind): (&[_], _) = match kind {
            "AWS::DynamoDB::Table" => (&[("db.system.name", "aws.dynamodb")], CLIENT),
            "Database::SQL" => (&[("db.system.name", "postgresql")], CLIENT),
            "AWS::SQS::Queue" => (&[("messaging.system", "aws_sqs")], CLIENT),
            "AWS::Lambda::Function" => (&[("cloud.platform", "aws_lambda")], SERVER),
            "AWS::ECS::Fargate" | "AWS::ECS::Container" => {
                (&[("cloud.platform", "aws_ecs")], SERVER)
            }
            "" | "AWS::ApiGateway::Stage" => (&[], SERVER),
            "AWS::StepFunctions::StateMachine" => (&[], CONSUMER),
            _ => (&[], CLIENT),
        };
        Self {
            attributes,
            span_kind,
        }
    }

    fn resource(&self, entity: &str) -> Attributes {
        let mut resource = vec![("service.name".to_owned(), entity.to_owned())];
        let more = self.attributes.iter();
        resource.extend(more.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        if self.attributes == [("cloud.platform", "aws_lambda")] {
            resource.push(("faas.name".to_owned(), entity.to_owned()));
        }
        resource
    }

    fn point(&self, status: &str) -> Attributes {
        let mut point = vec![("span.kind".to_owned(), self.span_kind.to_owned())];
        if !status.is_empty() {
            point.push(("status.code".to_owned(), status.to_owned()));
        }
        point
    }
}

/// The graph of calls as counts. It says who calls whom and not how often: each call is counted once a minute.
fn calls(system: &Path, cut: &Cut, range: (Unix, Unix)) -> anyhow::Result<Telemetry> {
    let file = system.join("graph.csv");
    let rows = records(&file)?;
    let (header, rows) = rows
        .split_first()
        .with_context(|| format!("{}: is empty", file.display()))?;
    let mut calls = Vec::new();
    for row in rows {
        let caller = row.get(0).unwrap_or_default();
        for (column, text) in row.iter().enumerate().skip(1) {
            let is_call = text.parse::<f64>().is_ok_and(|value| value != 0.0);
            if let (true, Some(called)) = (is_call, header.get(column)) {
                calls.push((caller.to_owned(), called.to_owned()));
            }
        }
    }
    Ok(service_graph(&cut.kept(calls), range))
}

/// Who calls whom, counted once a minute.
pub(super) fn service_graph(calls: &[(String, String)], (first, last): (Unix, Unix)) -> Telemetry {
    let steps = (last - first) / SIGHT_NS + 1;
    let mut points: Vec<(Unix, f64)> = (0..=steps)
        .map(|step| ((first + step * SIGHT_NS).min(last), step as f64))
        .collect();
    points.dedup_by_key(|(at, _)| *at);
    let series = calls.iter().map(|(client, server)| Series {
        resource: Arc::default(),
        name: CALLS,
        unit: "",
        attributes: vec![
            ("client".to_owned(), client.clone()),
            ("server".to_owned(), server.clone()),
        ],
        points: Points::Total(points.clone()),
    });
    Telemetry {
        series: series.collect(),
        ..Telemetry::default()
    }
}
