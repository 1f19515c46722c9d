//! OTLP of what is no process of its own: the platform's events, and recordings.

use std::time::{SystemTime, UNIX_EPOCH};

use demarc_proto::otlp::{
    collector::{
        logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        metrics::v1::{ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient},
        trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    },
    common::v1::{AnyValue, KeyValue, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        AggregationTemporality, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
        metric::Data, number_data_point,
    },
    resource::v1::Resource,
    trace::v1::ResourceSpans,
};
use tonic::{Request, metadata::MetadataValue, transport::Channel};

use crate::role::RoleConfig;

/// Largest answer and request.
const MAX_BYTES: usize = 16 << 20;

/// A connection to an engine's OTLP/gRPC socket.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    channel: Channel,
}

/// Something that happened to a service.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) body: String,
    pub(crate) attributes: Vec<(String, String)>,
}

impl Client {
    pub(crate) async fn connect(endpoint: &str) -> anyhow::Result<Self> {
        Ok(Self {
            channel: Channel::from_shared(endpoint.to_owned())?.connect().await?,
        })
    }

    /// Sends an event as a log record of the service.
    pub(crate) async fn event(&self, config: &RoleConfig, event: Event) -> anyhow::Result<()> {
        let now = now();
        let record = LogRecord {
            time_unix_nano: now,
            observed_time_unix_nano: now,
            severity_number: 9,
            severity_text: "INFO".to_owned(),
            event_name: event.name.to_owned(),
            body: Some(text(&event.body)),
            attributes: event
                .attributes
                .iter()
                .map(|(key, value)| attribute(key, value))
                .collect(),
            ..LogRecord::default()
        };
        let logs = ResourceLogs {
            resource: Some(resource(&service_attributes(config))),
            scope_logs: vec![ScopeLogs {
                log_records: vec![record],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        };
        self.logs(&config.tenant, vec![logs]).await
    }

    /// Sends how often a service was started again.
    pub(crate) async fn restarts(&self, config: &RoleConfig, count: u64) -> anyhow::Result<()> {
        let point = NumberDataPoint {
            time_unix_nano: now(),
            value: Some(number_data_point::Value::AsInt(
                i64::try_from(count).unwrap_or(i64::MAX),
            )),
            ..NumberDataPoint::default()
        };
        let metric = Metric {
            name: "service.restarts".to_owned(),
            unit: "{restart}".to_owned(),
            data: Some(Data::Sum(Sum {
                data_points: vec![point],
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
                is_monotonic: true,
            })),
            ..Metric::default()
        };
        let metrics = resource_metrics(&service_attributes(config), vec![metric]);
        self.metrics(&config.tenant, vec![metrics]).await
    }

    pub(crate) async fn spans(
        &self,
        tenant: &str,
        spans: Vec<ResourceSpans>,
    ) -> anyhow::Result<()> {
        let request = request(
            tenant,
            ExportTraceServiceRequest {
                resource_spans: spans,
            },
        )?;
        let mut client =
            TraceServiceClient::new(self.channel.clone()).max_encoding_message_size(MAX_BYTES);
        client.export(request).await?;
        Ok(())
    }

    pub(crate) async fn metrics(
        &self,
        tenant: &str,
        metrics: Vec<ResourceMetrics>,
    ) -> anyhow::Result<()> {
        let request = request(
            tenant,
            ExportMetricsServiceRequest {
                resource_metrics: metrics,
            },
        )?;
        let mut client =
            MetricsServiceClient::new(self.channel.clone()).max_encoding_message_size(MAX_BYTES);
        client.export(request).await?;
        Ok(())
    }

    pub(crate) async fn logs(&self, tenant: &str, logs: Vec<ResourceLogs>) -> anyhow::Result<()> {
        let request = request(
            tenant,
            ExportLogsServiceRequest {
                resource_logs: logs,
            },
        )?;
        let mut client =
            LogsServiceClient::new(self.channel.clone()).max_encoding_message_size(MAX_BYTES);
        client.export(request).await?;
        Ok(())
    }
}

fn request<T>(tenant: &str, message: T) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("x-scope-orgid", MetadataValue::try_from(tenant)?);
    Ok(request)
}

fn service_attributes(config: &RoleConfig) -> Vec<(String, String)> {
    vec![
        ("service.name".to_owned(), config.name.clone()),
        ("service.namespace".to_owned(), config.namespace.clone()),
    ]
}

/// A resource of text attributes.
pub(crate) fn resource(pairs: &[(String, String)]) -> Resource {
    Resource {
        attributes: attributes(pairs),
        ..Resource::default()
    }
}

/// Text attributes.
pub(crate) fn attributes(pairs: &[(String, String)]) -> Vec<KeyValue> {
    pairs
        .iter()
        .map(|(key, value)| attribute(key, value))
        .collect()
}

/// Metrics of one resource.
pub(crate) fn resource_metrics(
    attributes: &[(String, String)],
    metrics: Vec<Metric>,
) -> ResourceMetrics {
    ResourceMetrics {
        resource: Some(resource(attributes)),
        scope_metrics: vec![ScopeMetrics {
            metrics,
            ..ScopeMetrics::default()
        }],
        ..ResourceMetrics::default()
    }
}

/// A text attribute.
pub(crate) fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(text(value)),
        ..KeyValue::default()
    }
}

pub(crate) fn text(value: &str) -> AnyValue {
    AnyValue {
        value: Some(any_value::Value::StringValue(value.to_owned())),
    }
}

/// Unix nanoseconds.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
