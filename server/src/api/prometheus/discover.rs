//! What there is to ask for: series, labels, metrics.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use demarc_query::{Found, Options, Where};
use serde_json::{Value as Body, json};

use super::{
    answer::{TRUNCATED, notes, write_labels},
    success,
};
use crate::{
    api::{
        document::{Document, text},
        params::Params,
    },
    app::App,
    status::ApiError,
    tenant::Readable,
};

pub(crate) async fn series(
    State(app): State<Arc<App>>,
    Readable(tenants): Readable,
    params: Params,
) -> Result<Response, ApiError> {
    let wanted = wanted(&app, &params)?;
    if wanted.selectors.is_empty() {
        return Err(ApiError::bad_request("no match[] parameter provided"));
    }
    let reader = app.engine.reader(tenants, Options::default())?;
    let found = reader.series(wanted).await.map_err(of_selectors)?;
    Ok(list(found, write_labels))
}

pub(crate) async fn labels(
    State(app): State<Arc<App>>,
    Readable(tenants): Readable,
    params: Params,
) -> Result<Response, ApiError> {
    let reader = app.engine.reader(tenants, Options::default())?;
    let found = reader.label_names(wanted(&app, &params)?).await;
    Ok(list(found.map_err(of_selectors)?, |out, name| {
        text(out, name)
    }))
}

pub(crate) async fn label_values(
    State(app): State<Arc<App>>,
    Readable(tenants): Readable,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let reader = app.engine.reader(tenants, Options::default())?;
    let name = unescaped(&name);
    let found = reader.label_values(&name, wanted(&app, &params)?).await;
    Ok(list(found.map_err(of_selectors)?, |out, value| {
        text(out, value)
    }))
}

pub(crate) async fn metadata(
    State(app): State<Arc<App>>,
    Readable(tenants): Readable,
    params: Params,
) -> Result<Json<Body>, ApiError> {
    let limit = params.limit("limit")?.unwrap_or(usize::MAX);
    let per_metric = params.limit("limit_per_metric")?.unwrap_or(usize::MAX);
    let reader = app.engine.reader(tenants, Options::default())?;
    let known = reader.metadata(params.get("metric")).await?;
    let entries = known.into_iter().take(limit).map(|(name, all)| {
        let all: Vec<Body> = all
            .iter()
            .take(per_metric)
            .map(|one| json!({"type": one.kind.as_str(), "help": one.help, "unit": one.unit}))
            .collect();
        (name, Body::from(all))
    });
    success(Body::Object(entries.collect()))
}

fn wanted(app: &App, params: &Params) -> Result<Where, ApiError> {
    Ok(Where {
        selectors: params.all("match[]"),
        range: params.range(app.clock.now())?,
        limit: params.limit("limit")?,
    })
}

fn of_selectors(fault: demarc_query::QueryError) -> ApiError {
    ApiError::of_text("match[]", fault)
}

fn list<T: Send + 'static>(
    found: Found<T>,
    write: impl Fn(&mut Vec<u8>, &T) + Send + 'static,
) -> Response {
    let warnings: Vec<String> = found
        .truncated
        .then(|| TRUNCATED.to_owned())
        .into_iter()
        .collect();
    Document {
        head: r#"{"status":"success","data":["#.to_owned(),
        items: found.items,
        write,
        tail: format!("]{}}}", notes("warnings", &warnings)),
    }
    .into_response()
}

/// A label's name as it was before it was written with the letters of a path: `U__a_2e_b` is `a.b`.
///
/// What is no such name stays as it is. Source: Prometheus, `model.UnescapeName`.
fn unescaped(name: &str) -> String {
    let escaped = name.strip_prefix("U__");
    escaped.and_then(decoded).unwrap_or_else(|| name.to_owned())
}

fn decoded(escaped: &str) -> Option<String> {
    let mut decoded = String::new();
    let mut rest = escaped;
    while let Some((plain, after)) = rest.split_once('_') {
        decoded.push_str(plain);
        let (code, after) = after.split_once('_')?;
        if code.is_empty() {
            decoded.push('_');
        } else if code.len() <= 6 {
            let code = u32::from_str_radix(code, 16).ok()?;
            decoded.push(char::from_u32(code)?);
        } else {
            return None;
        }
        rest = after;
    }
    decoded.push_str(rest);
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_escaped_or_plain() {
        for (name, wanted) in [
            ("job", "job"),
            ("U__service_2e_name", "service.name"),
            ("U__a__b", "a_b"),
            ("U___1f600_", "😀"),
            ("U__a_zz_", "U__a_zz_"),
            ("U__a_2e", "U__a_2e"),
        ] {
            assert_eq!(unescaped(name), wanted);
        }
    }
}
