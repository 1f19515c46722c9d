//! The routes of the HTTP API.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn,
    routing::{delete, get, post},
};
use tower_http::compression::CompressionLayer;

use crate::{
    api::{
        admin, changes, health, import, incident, metrics, prometheus, remote_write,
        responsibility, rules, sql, tempo, topology, trace,
    },
    app::App,
    compression,
    telemetry::Metrics,
};

/// Largest body of a request to the API.
const MAX_BODY_BYTES: usize = 1 << 20;

/// All routes; `docs/api.md` describes them.
pub(crate) fn router(app: Arc<App>, metrics: Metrics) -> Router {
    let own = Router::new()
        .route("/api/v1/sql", post(sql::sql))
        .route("/api/v1/traces/{id}", get(trace::trace))
        .route("/api/echo", get(tempo::echo))
        .route("/api/traces/{id}", get(tempo::plain))
        .route("/api/v2/traces/{id}", get(tempo::found))
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
        .route("/api/v1/tenants/{tenant}", delete(admin::delete_tenant))
        .route("/api/v1/status/damage", get(admin::damage))
        .route("/api/v1/notifications", get(incident::notifications));
    prometheus()
        .merge(own)
        .route("/api/v1/write", post(remote_write::write))
        .route("/api/v1/push", post(remote_write::write))
        // Clients of Mimir and Cortex ask below this prefix.
        .nest("/prometheus", prometheus())
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
        .layer(from_fn(compression::zstd))
}

/// The Prometheus HTTP API.
fn prometheus() -> Router<Arc<App>> {
    use prometheus::{discover, exemplar, federate, status, syntax, target};
    let queries = Router::new()
        .route("/query", get(prometheus::query).post(prometheus::query))
        .route(
            "/query_range",
            get(prometheus::query_range).post(prometheus::query_range),
        )
        .route(
            "/query_exemplars",
            get(exemplar::exemplars).post(exemplar::exemplars),
        )
        .route("/format_query", get(syntax::format).post(syntax::format))
        .route("/parse_query", get(syntax::parse).post(syntax::parse))
        .route("/series", get(discover::series).post(discover::series))
        .route("/labels", get(discover::labels).post(discover::labels))
        .route("/label/{name}/values", get(discover::label_values))
        .route("/metadata", get(discover::metadata))
        .route("/alerts", get(rules::alerts))
        .route("/rules", get(rules::rules));
    let status = Router::new()
        .route("/targets", get(target::targets))
        .route("/alertmanagers", get(status::alertmanagers))
        .route("/status/buildinfo", get(status::buildinfo))
        .route("/status/config", get(status::config))
        .route("/status/flags", get(status::flags))
        .route("/status/runtimeinfo", get(status::runtimeinfo))
        .route("/status/tsdb", get(status::tsdb));
    Router::new()
        .nest("/api/v1", queries.merge(status))
        .route("/federate", get(federate::federate))
        .route("/-/healthy", get(health::healthz))
        .route("/-/ready", get(health::readyz))
}
