//! A background job: does a piece of work each second.

use std::time::Duration;

use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};

use super::{RoleConfig, compute, defect::Watched, outgoing, telemetry};

pub(crate) async fn run(config: RoleConfig, _defect: Watched) -> anyhow::Result<()> {
    telemetry::start(&config, telemetry::resource(&config, Vec::new()))?;
    let client = reqwest::Client::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let tracer = telemetry::tracer();
        let span = tracer
            .span_builder("settle batch")
            .with_kind(SpanKind::Internal)
            .start(&tracer);
        let context = opentelemetry::Context::new().with_span(span);
        let milliseconds = config.work_ms;
        tokio::task::spawn_blocking(move || compute(milliseconds)).await?;
        if let Err(error) = outgoing::call_all(&client, &config.calls, &context).await {
            context
                .span()
                .set_status(Status::error(format!("{error:#}")));
        }
        context.span().end();
    }
}
