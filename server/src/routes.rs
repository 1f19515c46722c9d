//! The routes of the HTTP API.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use tower_http::compression::CompressionLayer;

use crate::{
    api::{
        changes, health, import, incident, metrics, prometheus, remote_write, responsibility,
        rules, sql, topology, trace,
    },
    app::App,
    telemetry::Metrics,
};

/// Largest body of a request to the API.
const MAX_BODY_BYTES: usize = 1 << 20;

/// All routes; `docs/api.md` describes them.
pub(crate) fn router(app: Arc<App>, metrics: Metrics) -> Router {
    let prometheus = Router::new()
        .route(
            "/api/v1/query",
            get(prometheus::query).post(prometheus::query),
        )
        .route(
            "/api/v1/query_range",
            get(prometheus::query_range).post(prometheus::query_range),
        )
        .route(
            "/api/v1/series",
            get(prometheus::series).post(prometheus::series),
        )
        .route(
            "/api/v1/labels",
            get(prometheus::labels).post(prometheus::labels),
        )
        .route("/api/v1/label/{name}/values", get(prometheus::label_values))
        .route("/api/v1/metadata", get(prometheus::metadata))
        .route("/api/v1/status/buildinfo", get(prometheus::buildinfo))
        .route("/api/v1/alerts", get(rules::alerts))
        .route("/api/v1/rules", get(rules::rules));
    let own = Router::new()
        .route("/api/v1/sql", post(sql::sql))
        .route("/api/v1/traces/{id}", get(trace::trace))
        .route("/api/v1/topology", get(topology::topology))
        .route(
            "/api/v1/topology/neighbourhood",
            get(topology::neighbourhood),
        )
        .route("/api/v1/topology/problems", get(topology::problems))
        .route("/api/v1/responsibility", get(responsibility::matrix))
        .route("/api/v1/responsibility/check", post(responsibility::check))
        .route(
            "/api/v1/topology/import",
            post(import::import).layer(DefaultBodyLimit::max(import::MAX_IMPORT_BYTES)),
        )
        .route("/api/v1/changes", post(changes::report))
        .route("/api/v1/demarcate", post(incident::demarcate))
        .route("/api/v1/incidents", get(incident::list))
        .route("/api/v1/incidents/{id}", get(incident::get))
        .route("/api/v1/incidents/{id}/report", get(incident::report))
        .route("/api/v1/incidents/{id}/verify", post(incident::verify))
        .route("/api/v1/notifications", get(incident::notifications));
    prometheus
        .merge(own)
        .route("/api/v1/write", post(remote_write::write))
        .route("/api/v1/push", post(remote_write::write))
        .route("/", get(health::index))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .with_state(app)
        .merge(
            Router::new()
                .route("/metrics", get(metrics::metrics))
                .with_state(metrics),
        )
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(CompressionLayer::new())
}
