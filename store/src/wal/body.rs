//! The body of a record: one tenant's batches.

use std::panic;

use arrow::{
    array::RecordBatch,
    error::ArrowError,
    ipc::{reader::StreamReader, root_as_message, writer::StreamWriter},
};
use demarc_proto::TenantId;

use super::points;
use crate::{SeriesIndex, StoreError, Table, rows::Samples};

/// Marks a part that holds samples as points.
const POINTS: u8 = 0x80;

/// One table's rows as they stand in a record.
#[derive(Debug)]
pub(crate) struct Payload {
    code: u8,
    bytes: Vec<u8>,
}

impl Payload {
    /// Encodes `batch`.
    pub(crate) fn new(table: Table, batch: &RecordBatch) -> Result<Self, ArrowError> {
        // Buffers are padded to 64 bytes, and the schema is written before them.
        let room = batch.get_array_memory_size() + 8192;
        let mut writer = StreamWriter::try_new(Vec::with_capacity(room), batch.schema_ref())?;
        writer.write(batch)?;
        Ok(Self {
            code: u8::try_from(table.index()).expect("there are fewer tables than 128"),
            bytes: writer.into_inner()?,
        })
    }

    /// Encodes sorted samples.
    pub(crate) fn of_samples(samples: &Samples, index: &SeriesIndex) -> Self {
        Self {
            code: POINTS,
            bytes: points::encode(samples, index),
        }
    }

    /// Length of the encoded batch.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// A record's content, decoded.
#[derive(Debug)]
pub(crate) struct Body {
    /// Whose rows.
    pub(crate) tenant: TenantId,
    /// Table and rows.
    pub(crate) batches: Vec<(Table, RecordBatch)>,
}

/// Appends a body to `out`; [`StoreError::TooLarge`] when a length does not fit its field.
pub(super) fn encode(
    tenant: &TenantId,
    payloads: &[&Payload],
    out: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let size: usize = payloads.iter().map(|payload| payload.len() + 5).sum();
    out.reserve(size + tenant.as_str().len() + 3);
    let tenant_len = u16::try_from(tenant.as_str().len()).expect("tenant ids are short");
    out.extend_from_slice(&tenant_len.to_le_bytes());
    out.extend_from_slice(tenant.as_str().as_bytes());
    out.push(u8::try_from(payloads.len()).expect("there are fewer tables than 256"));
    for payload in payloads {
        let len = record_len(payload.len())?;
        out.push(payload.code);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&payload.bytes);
    }
    Ok(())
}

/// A length as the log's format holds it.
pub(super) fn record_len(bytes: usize) -> Result<u32, StoreError> {
    u32::try_from(bytes).map_err(|_| StoreError::TooLarge { bytes })
}

/// Decodes a body; the error says what is wrong with it.
pub(super) fn decode(bytes: &[u8]) -> Result<Body, String> {
    let mut rest = bytes;
    let tenant_len = u16::from_le_bytes(take(&mut rest)?);
    let tenant = take_slice(&mut rest, usize::from(tenant_len))?;
    let tenant = std::str::from_utf8(tenant).map_err(|error| error.to_string())?;
    let tenant = TenantId::new(tenant).map_err(|error| error.to_string())?;
    let [count] = take(&mut rest)?;
    let mut batches = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let [code] = take(&mut rest)?;
        let len = u32::from_le_bytes(take(&mut rest)?);
        let part = take_slice(&mut rest, len as usize)?;
        if code == POINTS {
            batches.push((Table::Samples, points::decode(part)?));
            continue;
        }
        let table = Table::ALL.get(usize::from(code)).copied();
        let table = table.ok_or_else(|| format!("unknown table number {code}"))?;
        batches.push((table, decode_batch(table, part)?));
    }
    Ok(Body { tenant, batches })
}

/// Reads the one batch of a stream. Arrow's reader takes it on trust that what a message says of lengths and places holds:
/// what does not is refused before it allocates by it, or caught where it panics.
fn decode_batch(table: Table, ipc: &[u8]) -> Result<RecordBatch, String> {
    check_lengths(ipc)?;
    let read = panic::catch_unwind(|| read_batch(table, ipc));
    let batch = read.map_err(|_| "the batch contradicts itself".to_owned())?;
    batch.map_err(|error| error.to_string())
}

fn read_batch(table: Table, ipc: &[u8]) -> Result<RecordBatch, ArrowError> {
    let mut reader = StreamReader::try_new(ipc, None)?;
    let batch = reader.next().transpose()?;
    let batch = batch.ok_or_else(|| ArrowError::IpcError("no batch in the stream".to_owned()))?;
    // Every row of every table takes several bytes.
    if batch.num_rows() > ipc.len() {
        let what = format!("{} rows in {} bytes", batch.num_rows(), ipc.len());
        return Err(ArrowError::IpcError(what));
    }
    table.complete(batch)
}

/// Whether the messages of a stream are as long as they say. Source: Arrow, "Encapsulated message format".
fn check_lengths(ipc: &[u8]) -> Result<(), String> {
    const CONTINUATION: [u8; 4] = [0xff; 4];
    let mut rest = ipc;
    while !rest.is_empty() {
        let mut len = take(&mut rest)?;
        if len == CONTINUATION {
            len = take(&mut rest)?;
        }
        let metadata = take_slice(&mut rest, u32::from_le_bytes(len) as usize)?;
        if metadata.is_empty() {
            break;
        }
        let message = root_as_message(metadata).map_err(|error| error.to_string())?;
        let body = usize::try_from(message.bodyLength()).map_err(|error| error.to_string())?;
        take_slice(&mut rest, body)?;
    }
    Ok(())
}

pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], String> {
    let bytes = take_slice(rest, N)?;
    Ok(bytes
        .try_into()
        .expect("the slice has the length asked for"))
}

pub(super) fn take_slice<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], String> {
    let (head, tail) = rest.split_at_checked(len).ok_or("the body ends early")?;
    *rest = tail;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use arrow::array::{BinaryArray, Float64Array, Int64Array, StringArray};

    use super::*;

    fn body() -> Vec<u8> {
        let batch = RecordBatch::new_empty(Table::Changes.schema());
        let payload = Payload::new(Table::Changes, &batch).unwrap();
        let mut bytes = Vec::new();
        encode(&TenantId::default(), &[&payload], &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn no_changed_byte_takes_memory_or_ends_the_process() {
        let good = body();
        assert!(decode(&good).is_ok());
        for at in 0..good.len() {
            for byte in [0, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = byte;
                if let Err(reason) = decode(&bytes) {
                    assert!(!reason.is_empty());
                }
            }
        }
    }

    #[test]
    fn a_message_that_claims_to_be_longer_than_it_is_is_refused_before_it_is_believed() {
        let mut ipc = vec![0xff; 4];
        ipc.extend_from_slice(&i32::MAX.to_le_bytes());
        let error = decode_batch(Table::Changes, &ipc).unwrap_err();
        assert_eq!(error, "the body ends early");
    }

    #[test]
    fn a_record_of_an_older_version_has_nulls_in_later_columns() {
        let table = Table::Samples;
        let schema = table.schema().project(&[0, 1, 2, 3]).unwrap();
        let columns: Vec<arrow::array::ArrayRef> = vec![
            std::sync::Arc::new(BinaryArray::from_vec(vec![&[7; 16]])),
            std::sync::Arc::new(StringArray::from(vec!["up"])),
            std::sync::Arc::new(Int64Array::from(vec![5])),
            std::sync::Arc::new(Float64Array::from(vec![1.0])),
        ];
        let batch = RecordBatch::try_new(schema.into(), columns).unwrap();
        let payload = Payload::new(table, &batch).unwrap();
        let mut bytes = Vec::new();
        encode(&TenantId::default(), &[&payload], &mut bytes).unwrap();
        let (_, decoded) = decode(&bytes).unwrap().batches.remove(0);
        assert_eq!(decoded.schema(), table.schema());
        assert_eq!(
            decoded.column_by_name("start_time").unwrap().null_count(),
            1
        );
    }
}
