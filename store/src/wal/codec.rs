//! Bytes of segments and records. Pure.

use std::ops::Range;

/// Length of a segment's header.
pub(super) const SEGMENT_HEADER_LEN: usize = 20;
/// Length of a record without its body.
pub(super) const RECORD_HEADER_LEN: usize = 20;

const SEGMENT_MAGIC: &[u8; 8] = b"DMRCWAL1";
const RECORD_MAGIC: &[u8; 4] = b"DREC";

/// The header of a segment whose first record has (or would have) the number `first_seq`.
pub(crate) fn segment_header(first_seq: u64) -> [u8; SEGMENT_HEADER_LEN] {
    let mut header = [0; SEGMENT_HEADER_LEN];
    header[..8].copy_from_slice(SEGMENT_MAGIC);
    header[8..16].copy_from_slice(&first_seq.to_le_bytes());
    let crc = crc32fast::hash(&header[..16]);
    header[16..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The first sequence number of a segment; `None` when its header is short or damaged.
pub(super) fn parse_segment_header(bytes: &[u8]) -> Option<u64> {
    let header = bytes.get(..SEGMENT_HEADER_LEN)?;
    let intact =
        header[..8] == *SEGMENT_MAGIC && u32_at(header, 16) == crc32fast::hash(&header[..16]);
    intact.then(|| u64_at(header, 8))
}

/// Appends one record to `out`. `body_len` is the length of `body`, which its maker has checked to fit.
pub(crate) fn push_record(out: &mut Vec<u8>, seq: u64, body: &[u8], body_len: u32) {
    let start = out.len();
    begin_record(out);
    out.extend_from_slice(body);
    finish_record(out, start, seq, body_len);
}

/// Appends the place of a record's header to `out`. Its body is to be appended next, and then [`finish_record`] to be called.
pub(super) fn begin_record(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; RECORD_HEADER_LEN]);
}

/// Fills in the header at `start` of the record that ends `out`. `body_len` is the length of its body.
pub(super) fn finish_record(out: &mut [u8], start: usize, seq: u64, body_len: u32) {
    let (header, body) = out[start..].split_at_mut(RECORD_HEADER_LEN);
    header[..4].copy_from_slice(RECORD_MAGIC);
    header[4..8].copy_from_slice(&body_len.to_le_bytes());
    header[8..12].copy_from_slice(&record_crc(body_len, seq, body).to_le_bytes());
    header[12..].copy_from_slice(&seq.to_le_bytes());
}

/// What stands in a stretch of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A whole record.
    Record {
        /// Its number.
        seq: u64,
        /// All of it, header included.
        whole: Range<usize>,
        /// Its body.
        body: Range<usize>,
    },
    /// Bytes that are no record, with a whole record after them or long enough to have been one.
    Damaged(Range<usize>),
    /// The segment ends within a record.
    Torn(Range<usize>),
}

/// Everything in a segment after its header, in order and without gaps.
pub(crate) fn scan(segment: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut at = SEGMENT_HEADER_LEN;
    while at < segment.len() {
        if let Some(item) = record_at(segment, at) {
            if let Item::Record { whole, .. } = &item {
                at = whole.end;
            }
            items.push(item);
            continue;
        }
        match next_record(segment, at + 1) {
            Some(next) => {
                items.push(Item::Damaged(at..next));
                at = next;
            }
            None => {
                items.push(tail(segment, at));
                break;
            }
        }
    }
    items
}

/// What the last bytes are when no whole record begins at or after `at`.
fn tail(segment: &[u8], at: usize) -> Item {
    let rest = at..segment.len();
    let header = segment.get(at..at + RECORD_HEADER_LEN);
    let is_whole = header.is_some_and(|header| {
        header.starts_with(RECORD_MAGIC)
            && u32_at(header, 4) as usize <= segment.len() - at - RECORD_HEADER_LEN
    });
    if is_whole {
        Item::Damaged(rest)
    } else {
        Item::Torn(rest)
    }
}

fn next_record(segment: &[u8], from: usize) -> Option<usize> {
    let places = segment.get(from..)?.windows(RECORD_MAGIC.len());
    places
        .enumerate()
        .filter(|(_, window)| window == RECORD_MAGIC)
        .map(|(offset, _)| from + offset)
        .find(|at| record_at(segment, *at).is_some())
}

fn record_at(segment: &[u8], at: usize) -> Option<Item> {
    let header = segment.get(at..at.checked_add(RECORD_HEADER_LEN)?)?;
    if !header.starts_with(RECORD_MAGIC) {
        return None;
    }
    let body_len = u32_at(header, 4);
    let seq = u64_at(header, 12);
    let start = at + RECORD_HEADER_LEN;
    let range = start..start.checked_add(body_len as usize)?;
    let body = segment.get(range.clone())?;
    if u32_at(header, 8) != record_crc(body_len, seq, body) {
        return None;
    }
    Some(Item::Record {
        seq,
        whole: at..range.end,
        body: range,
    })
}

fn record_crc(body_len: u32, seq: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&body_len.to_le_bytes());
    hasher.update(&seq.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let word = bytes[at..at + 4].try_into();
    u32::from_le_bytes(word.expect("four bytes were taken"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let word = bytes[at..at + 8].try_into();
    u64::from_le_bytes(word.expect("eight bytes were taken"))
}

#[cfg(test)]
mod tests;
