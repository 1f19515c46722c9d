//! The Prometheus HTTP API.
//!
//! Source: Prometheus, "HTTP API".

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use demarc_proto::{Labels, Millis};
use demarc_query::{Answer, Point, PointValue, RangeParams, Value, promql::Histogram};
use serde_json::{Value as Body, json};

use super::params::Params;
use crate::{app::App, status::ApiError, tenant::Tenant};

type Reply = Result<Json<Body>, ApiError>;

pub(crate) async fn query(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Reply {
    let query = params.require("query")?;
    let at = params
        .millis("time")?
        .unwrap_or_else(|| app.clock.now().to_millis());
    Ok(Json(answer(app.engine.instant(&tenant, query, at).await?)))
}

pub(crate) async fn query_range(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Reply {
    let required = |name: &str| -> Result<Millis, ApiError> {
        params.require(name)?;
        Ok(params.millis(name)?.unwrap_or_default())
    };
    let range = RangeParams {
        start: required("start")?,
        end: required("end")?,
        step: params.duration("step")?,
    };
    Ok(Json(answer(
        app.engine
            .range(&tenant, params.require("query")?, range)
            .await?,
    )))
}

pub(crate) async fn series(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Reply {
    let selectors = params.all("match[]");
    if selectors.is_empty() {
        return Err(ApiError::bad_request("no match[] parameter provided"));
    }
    let range = params.range(app.clock.now())?;
    let found = app.engine.series(&tenant, &selectors, range).await?;
    success(found.iter().map(labels_body).collect())
}

pub(crate) async fn labels(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Reply {
    let range = params.range(app.clock.now())?;
    success(json!(
        app.engine
            .label_names(&tenant, &params.all("match[]"), range)
            .await?
    ))
}

pub(crate) async fn label_values(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    let range = params.range(app.clock.now())?;
    success(json!(
        app.engine
            .label_values(&tenant, &name, &params.all("match[]"), range)
            .await?
    ))
}

pub(crate) async fn metadata(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Reply {
    let known = app.engine.metadata(&tenant, params.get("metric")).await?;
    let limit = match params.get("limit") {
        None => usize::MAX,
        Some(text) => text.parse().map_err(|_| {
            ApiError::bad_request(format!("limit {text:?}: must be a whole number"))
        })?,
    };
    let entries = known.into_iter().take(limit).map(|(name, all)| {
        let all: Vec<Body> = all
            .iter()
            .map(|one| json!({"type": one.kind.as_str(), "help": one.help, "unit": one.unit}))
            .collect();
        (name, Body::from(all))
    });
    success(Body::Object(entries.collect()))
}

pub(crate) async fn buildinfo() -> Json<Body> {
    // Grafana decides by the version which parts of the API it may use.
    let data = json!({
        "version": "3.0.0", "revision": env!("CARGO_PKG_VERSION"), "branch": "", "buildUser": "",
        "buildDate": "", "goVersion": "", "application": "Demarc",
    });
    Json(json!({"status": "success", "data": data}))
}

/// A successful answer.
pub(crate) fn success(data: Body) -> Reply {
    Ok(Json(json!({"status": "success", "data": data})))
}

fn answer(answer: Answer) -> Body {
    let (kind, result) = match answer.value {
        Value::Scalar(at, value) => ("scalar", json!([seconds(at), number(value)])),
        Value::Text(at, text) => ("string", json!([seconds(at), text])),
        Value::Vector(vector) => {
            let rows = vector.iter().map(|(labels, point)| {
                let (name, body) = point_body(point);
                json!({"metric": labels_body(labels), name: body})
            });
            ("vector", rows.collect())
        }
        Value::Matrix(matrix) => {
            let rows = matrix.iter().map(|(labels, points)| {
                let mut row = json!({"metric": labels_body(labels)});
                for (name, body) in points.iter().map(point_body) {
                    let name = format!("{name}s");
                    match row.get_mut(&name).and_then(Body::as_array_mut) {
                        Some(bodies) => bodies.push(body),
                        None => row[name] = json!([body]),
                    }
                }
                row
            });
            ("matrix", rows.collect())
        }
    };
    let mut body = json!({"status": "success", "data": {"resultType": kind, "result": result}});
    if !answer.warnings.is_empty() {
        body["warnings"] = json!(answer.warnings);
    }
    if !answer.infos.is_empty() {
        body["infos"] = json!(answer.infos);
    }
    body
}

fn labels_body(labels: &Labels) -> Body {
    Body::Object(
        labels
            .iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect(),
    )
}

/// A point and the name of the field that it stands in.
fn point_body(point: &Point) -> (&'static str, Body) {
    let at = seconds(point.time);
    match &point.value {
        PointValue::Float(value) => ("value", json!([at, number(*value)])),
        PointValue::Histogram(histogram) => ("histogram", json!([at, histogram_body(histogram)])),
    }
}

/// Each bucket is `[boundaries, lower, upper, count]`; boundaries 0: `(]`, 1: `[)`, 2: `()`, 3: `[]`.
fn histogram_body(histogram: &Histogram) -> Body {
    let buckets = histogram.buckets().into_iter().map(|bucket| {
        let boundaries = match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        };
        json!([
            boundaries,
            number(bucket.lower),
            number(bucket.upper),
            number(bucket.count)
        ])
    });
    json!({
        "count": number(histogram.count),
        "sum": number(histogram.sum),
        "buckets": buckets.collect::<Vec<Body>>(),
    })
}

fn seconds(at: Millis) -> Body {
    if at.0 % 1000 == 0 {
        json!(at.0 / 1000)
    } else {
        json!(at.0 as f64 / 1e3)
    }
}

/// A number as Go writes it.
pub(crate) fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}
