//! Takes an inventory in, or says what that would change.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Uri, header},
};
use demarc_topology::{ImportFormat, ImportMode, ImportReport, ImportRequest, ImportRun};
use serde_json::{Value as Body, json};

use super::{params::Params, prometheus::success};
use crate::{app::App, status::ApiError, tenant::Tenant};

/// Largest inventory.
pub(crate) const MAX_IMPORT_BYTES: usize = 256 << 20;

/// `dry_run`, `source`, `mode` (`merge`, `replace`) and `format` (`csv`, `yaml`, `json`; else by the content type).
pub(crate) async fn import(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    uri: Uri,
    headers: HeaderMap,
    text: String,
) -> Result<Json<Body>, ApiError> {
    let params = Params::of_url(&uri)?;
    let run = match params.get("dry_run") {
        Some("true" | "1") => ImportRun::Dry,
        None | Some("false" | "0") => ImportRun::Real,
        Some(other) => return Err(wrong("dry_run", other, "true or false")),
    };
    let mode = match params.get("mode") {
        None | Some("merge") => ImportMode::Merge,
        Some("replace") => ImportMode::Replace,
        Some(other) => return Err(wrong("mode", other, "merge or replace")),
    };
    let request = ImportRequest {
        tenant,
        source: params.get("source").unwrap_or("cmdb").to_owned(),
        format: format(&params, &headers)?,
        mode,
        run,
        text: &text,
    };
    let report = app.topology.import(&request).await?;
    success(body(&report, &request))
}

fn wrong(name: &str, got: &str, right: &str) -> ApiError {
    ApiError::bad_request(format!("{name} {got:?}: must be {right}"))
}

fn format(params: &Params, headers: &HeaderMap) -> Result<ImportFormat, ApiError> {
    let told = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    match (params.get("format"), told) {
        (Some("csv"), _) => Ok(ImportFormat::Csv),
        (Some("yaml" | "json"), _) => Ok(ImportFormat::Yaml),
        (Some(other), _) => Err(wrong("format", other, "csv, yaml or json")),
        (None, Some(told)) if told.starts_with("text/csv") => Ok(ImportFormat::Csv),
        (None, _) => Ok(ImportFormat::Yaml),
    }
}

fn body(report: &ImportReport, request: &ImportRequest<'_>) -> Body {
    let refused = report.refused.iter();
    let refused: Vec<Body> = refused
        .map(|one| json!({"line": one.line, "reason": one.reason}))
        .collect();
    json!({
        "dryRun": request.run == ImportRun::Dry,
        "source": request.source,
        "added": report.added,
        "changed": report.changed,
        "ended": report.ended,
        "unchanged": report.unchanged,
        "refused": refused,
    })
}
