//! Looking into a segment of the log without recovering it.

use std::ops::Range;

use arrow::array::RecordBatch;
use demarc_proto::TenantId;

use super::{
    body::{self, Body},
    codec::{Item, parse_segment_header, scan},
};
use crate::Table;

/// What stands in a segment of the write-ahead log.
#[derive(Debug)]
pub struct LogSegment {
    /// The number of its first record; `None` when its header is damaged.
    pub first_seq: Option<u64>,
    /// Everything after the header, in order and without gaps.
    pub items: Vec<LogItem>,
}

/// One stretch of a segment, as recovery takes it.
#[derive(Debug)]
pub enum LogItem {
    /// The rows of one append.
    Record {
        /// Its number.
        seq: u64,
        /// Where it stands.
        place: Range<usize>,
        /// Whose rows.
        tenant: TenantId,
        /// The rows by table.
        batches: Vec<(Table, RecordBatch)>,
    },
    /// What recovery puts aside and reports.
    Damaged {
        /// Where it stands.
        place: Range<usize>,
        /// What is wrong with it.
        reason: String,
    },
    /// The unfinished end that recovery cuts off.
    Torn {
        /// Where it stands.
        place: Range<usize>,
    },
}

/// Reads a segment, header included. Whatever the bytes are, there is an answer.
pub fn read_log_segment(bytes: &[u8]) -> LogSegment {
    let items = scan(bytes).into_iter().map(|item| match item {
        Item::Record { seq, whole, body } => record(seq, whole, &bytes[body]),
        Item::Damaged(place) => LogItem::Damaged {
            place,
            reason: "checksum or marker is wrong".to_owned(),
        },
        Item::Torn(place) => LogItem::Torn { place },
    });
    LogSegment {
        first_seq: parse_segment_header(bytes),
        items: items.collect(),
    }
}

fn record(seq: u64, place: Range<usize>, bytes: &[u8]) -> LogItem {
    match body::decode(bytes) {
        Ok(Body { tenant, batches }) => LogItem::Record {
            seq,
            place,
            tenant,
            batches,
        },
        Err(reason) => LogItem::Damaged { place, reason },
    }
}
