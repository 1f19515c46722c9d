//! A process' OpenTelemetry: spans and metrics over OTLP/gRPC under its tenant.

use std::time::Duration;

use opentelemetry::{
    Context, KeyValue,
    global::{self, BoxedTracer},
    propagation::{Extractor, Injector},
};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
    propagation::TraceContextPropagator,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider},
};
use tonic::metadata::MetadataMap;

use super::RoleConfig;

/// How long spans wait in a process.
const SPAN_DELAY: Duration = Duration::from_secs(1);
/// How often metrics are sent.
const METRICS_INTERVAL: Duration = Duration::from_secs(5);

/// The resource of a service's process.
pub(crate) fn resource(config: &RoleConfig, more: Vec<KeyValue>) -> Resource {
    Resource::builder()
        .with_service_name(config.name.clone())
        .with_attributes([
            KeyValue::new("service.namespace", config.namespace.clone()),
            KeyValue::new("service.version", config.version.clone()),
            KeyValue::new(
                "service.instance.id",
                format!("{}-{}", config.host, config.name),
            ),
            KeyValue::new("host.name", config.host.clone()),
        ])
        .with_attributes(more)
        .build()
}

/// Starts exporting; providers live as long as the process.
pub(crate) fn start(config: &RoleConfig, resource: Resource) -> anyhow::Result<()> {
    let mut tenant = MetadataMap::new();
    tenant.insert("x-scope-orgid", config.tenant.parse()?);
    let spans = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&config.otlp)
        .with_metadata(tenant.clone())
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_scheduled_delay(SPAN_DELAY)
        .build();
    let processor = BatchSpanProcessor::builder(spans)
        .with_batch_config(batches)
        .build();
    let tracers = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_resource(resource.clone())
        .build();
    global::set_tracer_provider(tracers);
    let metrics = MetricExporter::builder()
        .with_tonic()
        .with_endpoint(&config.otlp)
        .with_metadata(tenant)
        .build()?;
    let reader = PeriodicReader::builder(metrics)
        .with_interval(METRICS_INTERVAL)
        .build();
    global::set_meter_provider(
        SdkMeterProvider::builder()
            .with_reader(reader)
            .with_resource(resource)
            .build(),
    );
    global::set_text_map_propagator(TraceContextPropagator::new());
    Ok(())
}

pub(crate) fn tracer() -> BoxedTracer {
    global::tracer("demarc-lab")
}

/// The caller's context out of headers, whatever carries them.
pub(crate) fn extract(carrier: &dyn Extractor) -> Context {
    global::get_text_map_propagator(|propagator| propagator.extract(carrier))
}

/// Puts a context into headers.
pub(crate) fn inject(context: &Context, carrier: &mut dyn Injector) {
    global::get_text_map_propagator(|propagator| propagator.inject_context(context, carrier));
}
