//! A web front or an API: takes requests, computes, calls others.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use opentelemetry::{
    KeyValue, global,
    metrics::Histogram,
    propagation::Extractor,
    trace::{SpanKind, Status, TraceContextExt, Tracer},
};
use tokio::net::TcpListener;

use super::{RoleConfig, compute, defect::Watched, outgoing, telemetry};

struct Service {
    config: RoleConfig,
    defect: Watched,
    client: reqwest::Client,
    durations: Histogram<f64>,
}

pub(crate) async fn run(config: RoleConfig, defect: Watched) -> anyhow::Result<()> {
    telemetry::start(&config, telemetry::resource(&config, Vec::new()))?;
    let listener = TcpListener::bind(config.listen).await?;
    let durations = global::meter("demarc-lab")
        .f64_histogram("http.server.request.duration")
        .with_unit("s")
        .build();
    let client = reqwest::Client::new();
    let service = Arc::new(Service {
        config,
        defect,
        client,
        durations,
    });
    let router = Router::new().route("/", get(handle)).with_state(service);
    Ok(axum::serve(listener, router).await?)
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

async fn handle(State(service): State<Arc<Service>>, headers: HeaderMap) -> (StatusCode, String) {
    let started = Instant::now();
    let tracer = telemetry::tracer();
    let parent = telemetry::extract(&Headers(&headers));
    let span = tracer
        .span_builder("GET /")
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("http.request.method", "GET"),
            KeyValue::new("http.route", "/"),
        ])
        .start_with_context(&tracer, &parent);
    let context = parent.with_span(span);
    let result = work(&service, &context).await;
    let (status, body) = match result {
        Ok(()) => (StatusCode::OK, "ok".to_owned()),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")),
    };
    if status != StatusCode::OK {
        context.span().set_status(Status::error(body.clone()));
    }
    let code = i64::from(status.as_u16());
    context
        .span()
        .set_attribute(KeyValue::new("http.response.status_code", code));
    context.span().end();
    let attributes = [KeyValue::new("http.response.status_code", code)];
    service
        .durations
        .record(started.elapsed().as_secs_f64(), &attributes);
    (status, body)
}

async fn work(service: &Service, context: &opentelemetry::Context) -> anyhow::Result<()> {
    let milliseconds = service.config.work_ms;
    tokio::task::spawn_blocking(move || compute(milliseconds)).await?;
    let defect = service.defect.borrow().clone();
    if defect.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(defect.delay_ms)).await;
    }
    if rand::random::<f64>() < defect.fail_share {
        anyhow::bail!("null reference in declaration form");
    }
    outgoing::call_all(&service.client, &service.config.calls, context).await
}
