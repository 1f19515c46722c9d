//! The Prometheus HTTP API: queries. Its other parts stand in files of their own.
//!
//! Source: Prometheus, "HTTP API".

mod answer;
pub(crate) mod discover;
pub(crate) mod exemplar;
pub(crate) mod federate;
pub(crate) mod status;
pub(crate) mod syntax;
pub(crate) mod target;

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use demarc_query::{Counting, Options, QueryError, RangeParams, Reply, Reuse};
use serde_json::{Value as Body, json};

use self::answer::{Detail, respond};
use super::params::Params;
use crate::{app::App, status::ApiError, tenant::Readable};

pub(crate) async fn query(
    State(app): State<Arc<App>>,
    Readable(tenants): Readable,
    params: Params,
) -> Result<Response, ApiError> {
    let query = params.require("query")?;
    let at = params
        .millis("time")?
        .unwrap_or_else(|| app.clock.now().to_millis());
    let reader = app.engine.reader(tenants, options(&params)?)?;
    let reply = reader.instant(query, at).await;
    finish(&params, reply)
}

pub(crate) async fn query_range(
    State(app): State<Arc<App>>,
    Readable(tenants): Readable,
    params: Params,
) -> Result<Response, ApiError> {
    let (start, end) = (
        params.require_millis("start")?,
        params.require_millis("end")?,
    );
    params.require("step")?;
    let step = params.duration("step")?.unwrap_or_default();
    if end < start {
        let fault = "end timestamp must not be before start time";
        return Err(ApiError::parameter("end", fault));
    }
    if step.as_millis() == 0 {
        let fault = "zero or negative query resolution step widths are not accepted: at least 1 ms";
        return Err(ApiError::parameter("step", fault));
    }
    let range = RangeParams { start, end, step };
    let query = params.require("query")?;
    let reader = app.engine.reader(tenants, options(&params)?)?;
    let reply = reader.range(query, range).await;
    finish(&params, reply)
}

fn options(params: &Params) -> Result<Options, ApiError> {
    Ok(Options {
        lookback: params.duration("lookback_delta")?,
        timeout: params.duration("timeout")?,
        counting: match params.get("stats") {
            None => Counting::Skip,
            Some(_) => Counting::PerStep,
        },
        // As VictoriaMetrics calls it.
        reuse: match params.get("nocache") {
            Some("1") => Reuse::Nothing,
            _ => Reuse::Settled,
        },
    })
}

fn finish(params: &Params, reply: Result<Reply, QueryError>) -> Result<Response, ApiError> {
    let detail = match params.get("stats") {
        None => Detail::Plain,
        Some("all") => Detail::PerStep,
        Some(_) => Detail::Totals,
    };
    let limit = params.limit("limit")?;
    let reply = reply.map_err(|fault| ApiError::of_text("query", fault))?;
    Ok(respond(reply, limit, detail))
}

/// A successful answer.
pub(crate) fn success(data: Body) -> Result<Json<Body>, ApiError> {
    Ok(Json(json!({"status": "success", "data": data})))
}
