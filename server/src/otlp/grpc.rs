//! OTLP over gRPC.

use std::{future::Future, sync::Arc};

use demarc_ingest::{Ingest, IngestError, Receipt};
use demarc_proto::{
    TenantId,
    otlp::collector::{
        logs::v1::{
            ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::{
            ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status,
    codec::CompressionEncoding,
    transport::{Server, server::TcpIncoming},
};

use crate::{app::App, status::otlp_grpc, telemetry, tenant};

/// Serves until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let limit = app.ingest.config().max_body_bytes;
    let service = || Otlp {
        ingest: Arc::clone(&app.ingest),
    };
    let traces = TraceServiceServer::new(service())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(limit);
    let metrics = MetricsServiceServer::new(service())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(limit);
    let logs = LogsServiceServer::new(service())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(limit);
    let stopped = async move { stop.cancelled().await };
    Server::builder()
        .add_service(traces)
        .add_service(metrics)
        .add_service(logs)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), stopped)
        .await?;
    Ok(())
}

#[derive(Clone)]
struct Otlp {
    ingest: Arc<Ingest>,
}

#[tonic::async_trait]
impl TraceService for Otlp {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let tenant = tenant_of(&request)?;
        let receipt = accept(&tenant, self.ingest.traces(&tenant, request.into_inner())).await?;
        let partial_success =
            partial(&receipt).map(
                |(rejected_spans, error_message)| ExportTracePartialSuccess {
                    rejected_spans,
                    error_message,
                },
            );
        Ok(Response::new(ExportTraceServiceResponse {
            partial_success,
        }))
    }
}

#[tonic::async_trait]
impl MetricsService for Otlp {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let tenant = tenant_of(&request)?;
        let receipt = accept(&tenant, self.ingest.metrics(&tenant, request.into_inner())).await?;
        let partial_success = partial(&receipt).map(|(rejected_data_points, error_message)| {
            ExportMetricsPartialSuccess {
                rejected_data_points,
                error_message,
            }
        });
        Ok(Response::new(ExportMetricsServiceResponse {
            partial_success,
        }))
    }
}

#[tonic::async_trait]
impl LogsService for Otlp {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let tenant = tenant_of(&request)?;
        let receipt = accept(&tenant, self.ingest.logs(&tenant, request.into_inner())).await?;
        let partial_success = partial(&receipt).map(|(rejected_log_records, error_message)| {
            ExportLogsPartialSuccess {
                rejected_log_records,
                error_message,
            }
        });
        Ok(Response::new(ExportLogsServiceResponse { partial_success }))
    }
}

async fn accept(
    tenant: &TenantId,
    work: impl Future<Output = Result<Receipt, IngestError>>,
) -> Result<Receipt, Status> {
    telemetry::unless_own(tenant, work)
        .await
        .map_err(|error| otlp_grpc(&error))
}

fn tenant_of<T>(request: &Request<T>) -> Result<TenantId, Status> {
    let value = request.metadata().get(tenant::HEADER);
    tenant::of(value.map(|value| value.as_bytes())).map_err(Status::invalid_argument)
}

/// Count and reason of refused rows; `None` when there are none.
fn partial(receipt: &Receipt) -> Option<(i64, String)> {
    (receipt.rejected_count() > 0).then(|| (receipt.rejected_count(), receipt.message()))
}
