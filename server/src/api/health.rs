//! Whether the server lives, and where to look.

use std::sync::Arc;

use axum::extract::State;

use crate::{app::App, status::ApiError};

/// What there is to ask.
pub(crate) async fn index() -> &'static str {
    concat!(
        "Demarc ",
        env!("CARGO_PKG_VERSION"),
        "\n\n",
        "GET  /api/v1/query, /api/v1/query_range ...   the Prometheus HTTP API: point Grafana here\n",
        "POST /api/v1/sql                              SQL over all tables\n",
        "GET  /api/v1/traces/{id}                      one trace, as OTLP/JSON\n",
        "GET  /api/v1/topology?at=                     entities, relations, owners\n",
        "POST /api/v1/demarcate                        why is this service bad?\n",
        "GET  /api/v1/incidents                        disturbances and their verdicts\n",
        "GET  /api/v1/incidents/{id}/report?lang=zh    the report as HTML\n",
        "GET  /metrics, /healthz, /readyz\n\n",
        "The tenant is the header X-Scope-OrgID (or the parameter tenant, for a browser).\n",
    )
}

/// The process runs.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Rows are taken and queries are answered.
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str, ApiError> {
    let writable = app.store.check();
    writable.map_err(|error| ApiError::unavailable(&error))?;
    let now = app.clock.now().to_millis();
    app.engine.instant(&app.operator, "vector(1)", now).await?;
    Ok("ready\n")
}
