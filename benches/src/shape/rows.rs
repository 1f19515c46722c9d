//! What spans and log lines take on disk.

use demarc_benches::{Bed, Traffic};
use demarc_proto::{
    Clock, SystemClock,
    otlp::{
        collector::logs::v1::ExportLogsServiceRequest, common::v1::any_value::Value,
        logs::v1::LogRecord,
    },
};
use demarc_store::Table;

use super::files;
use crate::{cli::ShapeRowsArgs, table};

/// Items of one request.
const BATCH: usize = 2_000;
/// How long ago the first item happened.
const AGO_NS: i64 = 1_800_000_000_000;
/// A time as text and the spaces of a line.
const TIME_BYTES: usize = 32;

/// Prints bytes per span and per line, by column, before and after files are merged.
pub(crate) async fn run(args: &ShapeRowsArgs) -> anyhow::Result<()> {
    let bed = Bed::with(files::config()).await;
    let start_ns = (SystemClock.now().0 - AGO_NS).unsigned_abs();
    let mut traffic = Traffic::new(7, start_ns);
    let (mut spans, mut raw_bytes, mut lines) = (0_u64, 0, 0_usize);
    for _ in 0..args.flushes {
        for _ in 0..args.spans.div_ceil(BATCH * args.flushes) {
            let request = traffic.spans(BATCH);
            spans += bed.ingest.traces(&bed.tenant, request).await?.accepted;
        }
        for _ in 0..args.lines.div_ceil(BATCH * args.flushes) {
            let request = traffic.logs(BATCH);
            (raw_bytes, lines) = (raw_bytes + raw(&request), lines + BATCH);
            bed.ingest.logs(&bed.tenant, request).await?;
        }
        bed.store.flush().await?;
    }
    for what in ["as written", "merged"] {
        table::say(&format!("{what}: {spans} spans, {lines} lines"));
        table::print(&files::rows(&bed.store, Table::Spans, spans as f64)?);
        table::print(&files::rows(&bed.store, Table::Logs, lines as f64)?);
        let share = files::bytes(&bed.store, Table::Logs) as f64 / raw_bytes as f64;
        table::say(&format!(
            "{:.1} bytes of text a line, {:.2} % of it on disk",
            raw_bytes as f64 / lines as f64,
            100.0 * share
        ));
        bed.store.maintain().await?;
    }
    bed.store.close().await?;
    Ok(())
}

/// Bytes that the lines would take in a file of text: time, severity, thread, logger, body.
fn raw(request: &ExportLogsServiceRequest) -> usize {
    let scopes = request
        .resource_logs
        .iter()
        .flat_map(|group| &group.scope_logs);
    let records = scopes.flat_map(|scope| &scope.log_records);
    records.map(line_bytes).sum()
}

fn line_bytes(record: &LogRecord) -> usize {
    let text = |value: &Option<Value>| match value {
        Some(Value::StringValue(text)) => text.len(),
        _ => 0,
    };
    let of_any = |any: &Option<_>| {
        any.as_ref()
            .map_or(0, |any: &demarc_proto::otlp::common::v1::AnyValue| {
                text(&any.value)
            })
    };
    let attributes: usize = record
        .attributes
        .iter()
        .map(|pair| of_any(&pair.value) + 1)
        .sum();
    TIME_BYTES + record.severity_text.len() + attributes + of_any(&record.body)
}
