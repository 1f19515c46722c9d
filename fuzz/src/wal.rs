//! The write-ahead log: whatever is on disk is read as what was written, or reported; never skipped in silence.

use std::collections::BTreeMap;

use demarc_proto::{Attributes, Labels, Millis, Nanos};
use demarc_store::{ChangeRow, LogItem, LogRow, MetricRows, Rows, Sample, read_log_segment};

use crate::ground::NOW;

/// Length of the header of a segment, and of that of a record.
const HEADER_LEN: usize = 20;

pub(crate) fn segment(bytes: &[u8]) {
    let segment = read_log_segment(bytes);
    let mut at = HEADER_LEN.min(bytes.len());
    for (number, item) in segment.items.iter().enumerate() {
        let place = match item {
            LogItem::Record { place, batches, .. } => {
                let rows: usize = batches.iter().map(|(_, batch)| batch.num_rows()).sum();
                assert!(rows <= 16 * place.len(), "{rows} rows in {place:?}");
                place
            }
            LogItem::Damaged { place, reason } => {
                assert!(!reason.is_empty());
                place
            }
            LogItem::Torn { place } => {
                assert_eq!(number + 1, segment.items.len(), "torn before the end");
                place
            }
        };
        assert_eq!(place.start, at, "a gap before {place:?}");
        assert!(place.end > at);
        at = place.end;
    }
    assert_eq!(at, bytes.len());
}

/// Frames `body` as the format says, with checksums that are right, and damages the record after it.
pub(crate) fn record(body: &[u8]) {
    let mut bytes = framed(1, body);
    let second = bytes.len();
    bytes.extend_from_slice(&framed(2, body)[HEADER_LEN..]);
    let items = read_log_segment(&bytes).items;
    assert_eq!(items.len(), 2);
    let shown: Vec<String> = items.iter().map(content).collect();
    assert_eq!(shown[0], shown[1], "the same bytes are read in two ways");
    // One changed byte is never a changed value.
    let last = bytes.len() - 1;
    bytes[last] ^= 0x10;
    let items = read_log_segment(&bytes).items;
    assert_eq!(content(&items[0]), shown[0]);
    assert!(
        items[1..]
            .iter()
            .all(|item| !matches!(item, LogItem::Record { .. }))
    );
    // Cut off in the middle, the first is there still.
    let items = read_log_segment(&bytes[..last]).items;
    assert_eq!(content(&items[0]), shown[0]);
    assert!(matches!(&items[1..], [LogItem::Torn { place }] if place.start == second));
}

/// What is read, whatever its number and place.
fn content(item: &LogItem) -> String {
    match item {
        LogItem::Record {
            tenant, batches, ..
        } => format!("{tenant} {batches:?}"),
        LogItem::Damaged { reason, .. } => format!("damaged: {reason}"),
        LogItem::Torn { .. } => "torn".to_owned(),
    }
}

/// A segment with one record. Source: the documentation of the store's module `wal`.
fn framed(seq: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"DMRCWAL1".to_vec();
    bytes.extend_from_slice(&1_u64.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    let len = u32::try_from(body.len()).expect("inputs are short");
    let checked = [&len.to_le_bytes(), seq.to_le_bytes().as_slice(), body].concat();
    bytes.extend_from_slice(b"DREC");
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&checked).to_le_bytes());
    bytes.extend_from_slice(&seq.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The bodies of the records of a good segment, each kind once.
pub(crate) fn bodies(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut bodies = BTreeMap::new();
    for item in read_log_segment(bytes).items {
        if let LogItem::Record { place, batches, .. } = item {
            let tables: Vec<_> = batches.iter().map(|(table, _)| table.name()).collect();
            let body = bytes[place.start + HEADER_LEN..place.end].to_vec();
            bodies.entry(tables).or_insert(body);
        }
    }
    bodies.into_values().collect()
}

/// Rows of several tables, one append each.
pub(crate) fn rows() -> [Rows; 3] {
    let sample = |offset| Sample::new(Millis(NOW.0 / 1_000_000 + offset), 0.5);
    let metric = MetricRows {
        labels: Labels::from_pairs([("__name__", "up"), ("job", "node")]),
        samples: vec![sample(0), sample(1)],
        ..MetricRows::default()
    };
    let log = LogRow {
        time: NOW,
        observed_time: Nanos(NOW.0 + 1),
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: "took 12 ms".to_owned(),
        event_name: String::new(),
        template_id: 7,
        trace_id: None,
        span_id: None,
        service: "shop".to_owned(),
        scope: "log".to_owned(),
        resource: Attributes::from_iter([("service.name", "shop".into())]).into(),
        attributes: Attributes::from_iter([("thread", "main".into())]),
    };
    let change = ChangeRow {
        time: NOW,
        kind: "deployment".to_owned(),
        entity: None,
        who: "release".to_owned(),
        what: "version 2".to_owned(),
        attributes: Attributes::default(),
    };
    [
        Rows {
            metrics: vec![metric],
            ..Rows::default()
        },
        Rows {
            logs: vec![log],
            ..Rows::default()
        },
        Rows {
            changes: vec![change],
            ..Rows::default()
        },
    ]
}
