//! The targets by name.

use std::sync::LazyLock;

use demarc_ingest::{RemoteWrite, Signal};

use crate::{Ground, compressed, otlp, promql, remote_write, rule_file, wal};

/// Something that reads what others wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `ExportTraceServiceRequest` in protobuf.
    OtlpTraces,
    /// `ExportMetricsServiceRequest` in protobuf.
    OtlpMetrics,
    /// `ExportLogsServiceRequest` in protobuf.
    OtlpLogs,
    /// A byte that chooses the signal, then a request in JSON.
    OtlpJson,
    /// `prometheus.WriteRequest`, before snappy.
    RemoteWriteV1,
    /// `io.prometheus.write.v2.Request`, before snappy.
    RemoteWriteV2,
    /// A byte that chooses the compression, then a body.
    Compressed,
    /// A segment of the write-ahead log.
    WalSegment,
    /// The body of one record of the write-ahead log, its checksum being right.
    WalRecord,
    /// A PromQL query.
    Promql,
    /// A label set or selector.
    Labels,
    /// A rule file.
    RuleFile,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::OtlpTraces,
        Self::OtlpMetrics,
        Self::OtlpLogs,
        Self::OtlpJson,
        Self::RemoteWriteV1,
        Self::RemoteWriteV2,
        Self::Compressed,
        Self::WalSegment,
        Self::WalRecord,
        Self::Promql,
        Self::Labels,
        Self::RuleFile,
    ];

    /// The name of its program (after `fuzz_`) and of its folders.
    pub fn name(self) -> &'static str {
        match self {
            Self::OtlpTraces => "otlp_traces",
            Self::OtlpMetrics => "otlp_metrics",
            Self::OtlpLogs => "otlp_logs",
            Self::OtlpJson => "otlp_json",
            Self::RemoteWriteV1 => "remote_write_v1",
            Self::RemoteWriteV2 => "remote_write_v2",
            Self::Compressed => "compressed",
            Self::WalSegment => "wal_segment",
            Self::WalRecord => "wal_record",
            Self::Promql => "promql",
            Self::Labels => "labels",
            Self::RuleFile => "rule_file",
        }
    }

    /// Feeds it.
    ///
    /// # Panics
    /// Where it does not do what it promises for whatever bytes.
    pub fn run(self, ground: &Ground, bytes: &[u8]) {
        match self {
            Self::OtlpTraces => otlp::protobuf(ground, Signal::Traces, bytes),
            Self::OtlpMetrics => otlp::protobuf(ground, Signal::Metrics, bytes),
            Self::OtlpLogs => otlp::protobuf(ground, Signal::Logs, bytes),
            Self::OtlpJson => otlp::json(ground, bytes),
            Self::RemoteWriteV1 => remote_write::run(ground, RemoteWrite::V1, bytes),
            Self::RemoteWriteV2 => remote_write::run(ground, RemoteWrite::V2, bytes),
            Self::Compressed => compressed::run(bytes),
            Self::WalSegment => wal::segment(bytes),
            Self::WalRecord => wal::record(bytes),
            Self::Promql => promql::query(bytes),
            Self::Labels => promql::labels(bytes),
            Self::RuleFile => rule_file::run(bytes),
        }
    }

    /// Good inputs to begin with.
    pub fn seeds(self, ground: &Ground) -> Vec<Vec<u8>> {
        match self {
            Self::OtlpTraces => vec![otlp::traces()],
            Self::OtlpMetrics => vec![otlp::metrics()],
            Self::OtlpLogs => vec![otlp::logs()],
            Self::OtlpJson => otlp::json_seeds(),
            Self::RemoteWriteV1 => vec![remote_write::version_1()],
            Self::RemoteWriteV2 => vec![remote_write::version_2()],
            Self::Compressed => compressed::seeds(),
            Self::WalSegment => vec![ground.log_segment()],
            Self::WalRecord => wal::bodies(&ground.log_segment()),
            Self::Promql => promql::queries(),
            Self::Labels => promql::label_sets(),
            Self::RuleFile => vec![rule_file::seed()],
        }
    }
}

/// Feeds a target of a program that does nothing else.
pub fn feed(target: Target, bytes: &[u8]) {
    static GROUND: LazyLock<Ground> = LazyLock::new(Ground::new);
    target.run(&GROUND, bytes);
}
