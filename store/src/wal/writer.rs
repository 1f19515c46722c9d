//! The one thread that writes the log and the head.
//!
//! Because it alone inserts rows, freezes the head and merges its batches, those three never race, and the log's order is
//! the head's order.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use demarc_proto::TenantId;
use opentelemetry::KeyValue;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    body::{self, Payload, record_len},
    codec::{begin_record, finish_record},
    mark::Mark,
    segment::{Failure, SegmentWriter, Segments},
};
use crate::{
    SeriesIndex, StoreError, Table,
    day::Day,
    head::{Frozen, Head, Insert},
    metric,
    rows::{Encoded, SeriesRef, series_batch},
};

/// Bytes after which a group takes no further append.
const MAX_GROUP_BYTES: usize = 8 << 20;

/// Memory for a group that is kept for the next one, at most.
const KEPT_BUFFER_BYTES: usize = 2 * MAX_GROUP_BYTES;

/// Rows that wait for the log.
#[derive(Debug)]
pub(crate) struct Append {
    /// What is to be written.
    pub(crate) content: Content,
    /// Told once the rows are on disk and in the head, or why they are not.
    pub(crate) done: oneshot::Sender<Result<(), StoreError>>,
}

/// The rows of one append, for the log and for the head.
#[derive(Debug)]
pub(crate) struct Content {
    /// Whose rows.
    pub(crate) tenant: TenantId,
    /// The tenant's series.
    pub(crate) index: Arc<SeriesIndex>,
    /// The rows as columns.
    pub(crate) rows: Encoded,
    /// The same as bytes.
    pub(crate) payloads: Vec<Payload>,
}

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Append rows.
    Append(Box<Append>),
    /// Freeze the head and begin a new segment, so that the frozen rows are those of the closed segments.
    Freeze(oneshot::Sender<Frozen>),
    /// End, whoever may still send.
    Stop,
}

/// The writer's state.
#[derive(Debug)]
pub(crate) struct Writer {
    /// Where the segments are.
    pub(crate) dir: PathBuf,
    /// Length at which a segment is closed.
    pub(crate) segment_bytes: u64,
    /// The closed segments.
    pub(crate) segments: Segments,
    /// The open one; made when it is needed.
    pub(crate) segment: Option<SegmentWriter>,
    /// The number of the next segment.
    pub(crate) next_segment: u64,
    /// The sequence number of the next record.
    pub(crate) next_seq: u64,
    /// Shows the last acknowledged record.
    pub(crate) mark: Mark,
    /// Where rows go once they are on disk.
    pub(crate) head: Arc<Head>,
    /// Told when the head is full.
    pub(crate) full: Arc<Notify>,
    /// Memory for the next group.
    pub(crate) buffer: Vec<u8>,
}

/// What goes into the head, and who waits for it.
type Prepared = (Insert, oneshot::Sender<Result<(), StoreError>>);

/// Appends that share one write and one sync.
#[derive(Default)]
struct Group {
    /// Their records.
    bytes: Vec<u8>,
    /// For when the records are on disk.
    prepared: Vec<Prepared>,
    /// Series that the group has made known.
    announced: HashSet<(TenantId, SeriesRef, Day)>,
}

impl Writer {
    /// Works until it is told to stop or all senders of commands are gone.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let (appends, last) = collect(first, &mut commands);
            self.commit(appends);
            match last {
                Some(Command::Stop) => return,
                // The flush that asked may be gone; what is frozen stays for the next.
                Some(Command::Freeze(reply)) => drop(reply.send(self.freeze())),
                Some(Command::Append(_)) | None => {}
            }
            self.head.coalesce();
            if self.head.is_full() {
                self.full.notify_one();
            }
        }
    }

    fn commit(&mut self, appends: Vec<Append>) {
        let mut group = Group {
            bytes: std::mem::take(&mut self.buffer),
            ..Group::default()
        };
        for append in appends {
            match self.prepare(append.content, &mut group) {
                Ok(insert) => group.prepared.push((insert, append.done)),
                // A sender that gave up waiting does not need to know.
                Err(error) => drop(append.done.send(Err(error))),
            }
        }
        if !group.prepared.is_empty() {
            let written = self.write(&group.bytes);
            self.finish(group.prepared, written);
        }
        self.buffer = group.bytes;
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER_BYTES);
    }

    /// Adds the series that are still unknown to the rows, and their record to the group.
    fn prepare(&self, content: Content, group: &mut Group) -> Result<Insert, StoreError> {
        let Content {
            tenant,
            index,
            rows,
            payloads,
        } = content;
        let seq = self.next_seq + group.prepared.len() as u64;
        let mut series = rows.series;
        series.retain(|new| {
            !index.is_known(new.series, new.day)
                && !group
                    .announced
                    .contains(&(tenant.clone(), new.series, new.day))
        });
        let mut series_payload = None;
        if !series.is_empty() {
            let batch = series_batch(&index, &series)?;
            series_payload = Some(Payload::new(Table::Series, &batch)?);
        }
        let payloads: Vec<&Payload> = series_payload.iter().chain(&payloads).collect();
        push(&mut group.bytes, seq, &tenant, &payloads)?;
        // Only now: an append that failed above leaves its series to the next one.
        let keys = series
            .iter()
            .map(|new| (tenant.clone(), new.series, new.day));
        group.announced.extend(keys);
        Ok(Insert {
            tenant,
            batches: rows.batches,
            samples: rows.samples,
            series,
        })
    }

    /// Writes a group, into a new segment where the last is full or unusable.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let is_full = self
            .segment
            .as_ref()
            .is_some_and(|segment| segment.len() >= self.segment_bytes);
        if is_full {
            self.close_segment();
        }
        let segment = match &mut self.segment {
            Some(segment) => segment,
            None => self.new_segment()?,
        };
        match segment.write(bytes) {
            Ok(()) => Ok(()),
            Err(Failure::CutOff(error)) => Err(error),
            Err(Failure::Unusable(error)) => {
                self.close_segment();
                // At once: only a next segment makes what is left of the group void. Where this fails as well, the next
                // append tries again.
                self.new_segment().ok();
                Err(error)
            }
        }
    }

    fn new_segment(&mut self) -> Result<&mut SegmentWriter, StoreError> {
        let segment = SegmentWriter::create(&self.dir, self.next_segment, self.next_seq)?;
        self.next_segment += 1;
        Ok(self.segment.insert(segment))
    }

    fn finish(&mut self, prepared: Vec<Prepared>, written: Result<(), StoreError>) {
        let (inserts, waiting): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
        let outcome = written.map_err(|error| {
            metric::WAL_ERRORS.add(1, &[]);
            with_source(&error)
        });
        if outcome.is_ok() {
            self.next_seq += inserts.len() as u64;
            self.mark.set(self.next_seq - 1);
            count_rows(&inserts);
            self.head.insert(inserts);
        }
        for done in waiting {
            let outcome = outcome.clone();
            done.send(outcome.map_err(|reason| StoreError::WalWrite { reason }))
                .ok();
        }
    }

    fn freeze(&mut self) -> Frozen {
        let has_records = self.segment.as_ref().is_some_and(|one| !one.is_empty());
        if has_records {
            self.close_segment();
        }
        self.head.freeze(self.next_seq - 1)
    }

    fn close_segment(&mut self) {
        if let Some(segment) = self.segment.take() {
            self.segments
                .close(segment.path().to_owned(), self.next_seq - 1);
        }
    }
}

/// Appends a record to `bytes`; after an error they are as they were.
fn push(
    bytes: &mut Vec<u8>,
    seq: u64,
    tenant: &TenantId,
    payloads: &[&Payload],
) -> Result<(), StoreError> {
    let start = bytes.len();
    begin_record(bytes);
    let body = bytes.len();
    let encoded = body::encode(tenant, payloads, bytes);
    match encoded.and_then(|()| record_len(bytes.len() - body)) {
        Ok(body_len) => finish_record(bytes, start, seq, body_len),
        Err(error) => {
            bytes.truncate(start);
            return Err(error);
        }
    }
    Ok(())
}

fn count_rows(inserts: &[Insert]) {
    let count = |table: Table, rows: usize| {
        let label = KeyValue::new("table", table.name());
        metric::ROWS.add(rows as u64, &[label]);
    };
    for insert in inserts {
        for (table, batch) in &insert.batches {
            count(*table, batch.num_rows());
        }
        for (table, rows) in [
            (Table::Samples, insert.samples.len()),
            (Table::Series, insert.series.len()),
        ] {
            if rows > 0 {
                count(table, rows);
            }
        }
    }
}

fn with_source(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Takes the appends that wait already, up to the size of a group or up to another command, which is returned as well.
fn collect(
    first: Command,
    commands: &mut mpsc::Receiver<Command>,
) -> (Vec<Append>, Option<Command>) {
    let mut appends = Vec::new();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(command) = next {
        let Command::Append(append) = command else {
            return (appends, Some(command));
        };
        bytes += append
            .content
            .payloads
            .iter()
            .map(Payload::len)
            .sum::<usize>();
        appends.push(*append);
        if bytes >= MAX_GROUP_BYTES {
            break;
        }
        next = commands.try_recv().ok();
    }
    (appends, None)
}
