//! What the server tells of itself: logs, metrics, traces.

mod text;

use std::{future::Future, io::IsTerminal, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use demarc_proto::TenantId;
use opentelemetry::{KeyValue, global, trace::TracerProvider};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    metrics::{
        InstrumentKind, ManualReader, PeriodicReader, Pipeline, SdkMeterProvider, Temporality,
        data::ResourceMetrics, reader::MetricReader,
    },
    trace::SdkTracerProvider,
};
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// The tenant of the server's own telemetry.
const OWN_TENANT: &str = "demarc";

/// What the server's telemetry may be told.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TelemetryConfig {
    /// What is logged, in the form of `RUST_LOG`, which lies over it.
    pub(crate) log: String,
    /// Where own traces and metrics go, by OTLP/gRPC: a URL, `self`, or nothing for nowhere.
    pub(crate) otlp_endpoint: String,
    /// How often own metrics are exported, in seconds.
    pub(crate) metrics_interval_seconds: u64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log: "info,buoyant_kernel=warn,deltalake=warn".to_owned(),
            otlp_endpoint: String::new(),
            metrics_interval_seconds: 15,
        }
    }
}

impl TelemetryConfig {
    pub(crate) fn validate(&self) -> Result<(), String> {
        let endpoint = &self.otlp_endpoint;
        let is_url = endpoint.starts_with("http://") || endpoint.starts_with("https://");
        if !(endpoint.is_empty() || endpoint == "self" || is_url) {
            return Err(format!(
                "otlp_endpoint {endpoint:?}: must be a URL, \"self\" or empty"
            ));
        }
        if self.metrics_interval_seconds == 0 {
            return Err("metrics_interval_seconds 0: must be at least 1".to_owned());
        }
        EnvFilter::try_new(&self.log)
            .map(drop)
            .map_err(|error| format!("log {:?}: {error}", self.log))
    }
}

/// The server's running telemetry.
pub(crate) struct Telemetry {
    metrics: Metrics,
    meters: SdkMeterProvider,
    tracers: Option<SdkTracerProvider>,
}

/// Reads the server's metrics on demand.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<ManualReader>);

impl Metrics {
    /// All metrics in Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let mut collected = ResourceMetrics::default();
        match self.0.collect(&mut collected) {
            Ok(()) => text::render(&collected),
            Err(error) => format!("# metrics cannot be read: {error}\n"),
        }
    }
}

/// A reader that the provider owns and the handler shares.
#[derive(Debug)]
struct Shared(Arc<ManualReader>);

impl MetricReader for Shared {
    fn register_pipeline(&self, pipeline: std::sync::Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

/// Starts logging, metrics and traces. `own_address` is the OTLP/gRPC socket, for the endpoint `self`.
pub(crate) fn start(
    config: &TelemetryConfig,
    own_address: SocketAddr,
) -> anyhow::Result<Telemetry> {
    let endpoint = match config.otlp_endpoint.as_str() {
        "" => None,
        "self" => Some(format!("http://{own_address}")),
        url => Some(url.to_owned()),
    };
    let resource = Resource::builder()
        .with_service_name("demarc")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new(
            "service.instance.id",
            format!("{}", std::process::id()),
        ))
        .build();
    let reader = Arc::new(ManualReader::builder().build());
    let mut meters = SdkMeterProvider::builder()
        .with_reader(Shared(Arc::clone(&reader)))
        .with_resource(resource.clone());
    let mut tracers = None;
    if let Some(endpoint) = endpoint {
        let exporter = MetricExporter::builder()
            .with_tonic()
            .with_endpoint(&endpoint)
            .with_metadata(own_metadata()?)
            .build()?;
        let every = Duration::from_secs(config.metrics_interval_seconds);
        meters = meters.with_reader(
            PeriodicReader::builder(exporter)
                .with_interval(every)
                .build(),
        );
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&endpoint)
            .with_metadata(own_metadata()?)
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        tracers = Some(provider);
    }
    let meters = meters.build();
    global::set_meter_provider(meters.clone());
    log(config, tracers.as_ref())?;
    Ok(Telemetry {
        metrics: Metrics(reader),
        meters,
        tracers,
    })
}

fn own_metadata() -> anyhow::Result<tonic::metadata::MetadataMap> {
    let mut metadata = tonic::metadata::MetadataMap::new();
    metadata.insert(crate::tenant::HEADER, OWN_TENANT.parse()?);
    Ok(metadata)
}

/// Logs for people on a terminal, as JSON otherwise; to standard error, since standard output tells the addresses.
fn log(config: &TelemetryConfig, tracers: Option<&SdkTracerProvider>) -> anyhow::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) => {
            EnvFilter::try_new(&filter).with_context(|| format!("RUST_LOG {filter:?}"))?
        }
        Err(_) => EnvFilter::try_new(&config.log)?,
    };
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let format = if std::io::stderr().is_terminal() {
        format.boxed()
    } else {
        format.json().with_ansi(false).boxed()
    };
    let spans = tracers.map(|provider| {
        // The exporter's own spans would be exported in turn.
        let own = EnvFilter::new("off,demarc=info,demarc_ingest=info,demarc_store=info,demarc_query=info,\
                                  demarc_rules=info,demarc_incident=info,demarc_notify=info,demarc_topology=info");
        tracing_opentelemetry::layer().with_tracer(provider.tracer("demarc")).with_filter(own)
    });
    tracing_subscriber::registry()
        .with(spans)
        .with(format.with_filter(filter))
        .try_init()
        .context("start logging")
}

impl Telemetry {
    pub(crate) fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Exports what waits. Failures are the exporter's to log; there is nothing else to be done at the end.
    pub(crate) async fn flush(&self) {
        let (meters, tracers) = (self.meters.clone(), self.tracers.clone());
        let flush = tokio::task::spawn_blocking(move || {
            if let Some(tracers) = tracers {
                let _ = tracers.shutdown_with_timeout(Duration::from_secs(2));
                let _ = meters.force_flush();
            }
        });
        let _ = tokio::time::timeout(Duration::from_secs(3), flush).await;
    }
}

/// Does work for a tenant; unobserved when it is the server's own telemetry, which would otherwise make more of itself.
pub(crate) async fn unless_own<T>(tenant: &TenantId, work: impl Future<Output = T>) -> T {
    if tenant.as_str() == OWN_TENANT {
        work.with_subscriber(NoSubscriber::new()).await
    } else {
        work.await
    }
}
