"""Sends one trace, three metrics and one log record by the official SDK."""

import logging
import sys

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

protocol, endpoint = sys.argv[1:3]
tenant = {"x-scope-orgid": f"python-{protocol}"}
if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    def exporter(kind, _path):
        return kind(endpoint=endpoint, insecure=True, headers=tuple(tenant.items()))
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    def exporter(kind, path):
        return kind(endpoint=f"{endpoint}/v1/{path}", headers=tenant, compression=Compression.Gzip)

resource = Resource.create({"service.name": "python-client"})
tracers = TracerProvider(resource=resource)
tracers.add_span_processor(BatchSpanProcessor(exporter(OTLPSpanExporter, "traces")))
meters = MeterProvider([PeriodicExportingMetricReader(exporter(OTLPMetricExporter, "metrics"))], resource=resource)
loggers = LoggerProvider(resource=resource)
loggers.add_log_record_processor(BatchLogRecordProcessor(exporter(OTLPLogExporter, "logs")))
set_logger_provider(loggers)
log = logging.getLogger("job")
log.addHandler(LoggingHandler(logger_provider=loggers))

meter = meters.get_meter("job")
meter.create_counter("jobs").add(3)
duration = meter.create_histogram("job.duration", unit="s")
duration.record(0.5)
duration.record(2.5)
meter.create_gauge("queue.fill", unit="1").set(0.25)

tracer = tracers.get_tracer("job")
with tracer.start_as_current_span("parent", kind=trace.SpanKind.SERVER):
    log.warning("hello from %s", "python")
    with tracer.start_as_current_span("child", kind=trace.SpanKind.CLIENT) as child:
        child.set_status(trace.StatusCode.ERROR, "refused")

tracers.shutdown()
meters.shutdown()
loggers.shutdown()
