//! Columns in several encodings.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch},
    datatypes::Float64Type,
};
use demarc_proto::{SeriesId, TenantId};
use demarc_store::{MetricRows, split_values};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::WriterProperties,
};

use super::corpus::Corpus;

/// Rows of a row group, and pages to compare it with.
const GROUP_ROWS: usize = 1 << 17;
const PAGE_ROWS: [usize; 2] = [20_000, GROUP_ROWS];
const LEVELS: [i32; 3] = [3, 6, 9];

/// `None` is a dictionary.
const ENCODINGS: [(&str, Option<Encoding>); 4] = [
    ("plain", Some(Encoding::PLAIN)),
    ("BYTE_STREAM_SPLIT", Some(Encoding::BYTE_STREAM_SPLIT)),
    ("DELTA_BINARY_PACKED", Some(Encoding::DELTA_BINARY_PACKED)),
    ("dictionary", None),
];

/// Bytes per sample of each column, encoding, page length and zstd level.
pub(super) fn rows(corpus: &Corpus) -> anyhow::Result<Vec<Vec<String>>> {
    let mut heading = vec!["column".to_owned(), "encoding".to_owned()];
    for page in PAGE_ROWS {
        heading.extend(LEVELS.map(|level| format!("pages of {page}, zstd {level}")));
    }
    let mut table = vec![heading];
    for (name, column) in columns(corpus) {
        for (title, encoding) in ENCODINGS {
            let is_float = column.as_primitive_opt::<Float64Type>().is_some();
            if is_float && encoding == Some(Encoding::DELTA_BINARY_PACKED) {
                continue;
            }
            let mut row = vec![name.to_owned(), title.to_owned()];
            for page in PAGE_ROWS {
                for level in LEVELS {
                    let bytes = written(&column, encoding, page, level)?;
                    row.push(format!("{:.4}", bytes as f64 / column.len() as f64));
                }
            }
            table.push(row);
        }
    }
    Ok(table)
}

/// The columns in the order of files: by metric, series and time.
fn columns(corpus: &Corpus) -> Vec<(&'static str, ArrayRef)> {
    let tenant = TenantId::default();
    let mut series: Vec<&MetricRows> = corpus.series.iter().collect();
    series.sort_by_key(|one| (one.labels.metric(), SeriesId::of(&tenant, &one.labels)));
    let samples = || series.iter().flat_map(|one| &one.samples);
    let times: Int64Array = samples().map(|sample| Some(sample.time.0)).collect();
    let values: Float64Array = samples().map(|sample| Some(sample.value)).collect();
    let mut parts = (Vec::new(), Vec::new(), Vec::new());
    for one in &series {
        let of_series: Vec<f64> = one.samples.iter().map(|sample| sample.value).collect();
        let (rest, digits, divisors) = split_values(&of_series);
        parts.0.extend(rest.iter());
        parts.1.extend(digits.iter());
        parts.2.extend(divisors.iter());
    }
    let digits: Int64Array = parts.1.into_iter().collect();
    vec![
        ("time", Arc::new(times)),
        ("value, whole", Arc::new(values)),
        ("value_digits", Arc::new(digits)),
        ("value, the rest", Arc::new(Float64Array::from(parts.0))),
        ("value_divisor", Arc::new(Float64Array::from(parts.2))),
    ]
}

fn written(
    column: &ArrayRef,
    encoding: Option<Encoding>,
    page_rows: usize,
    level: i32,
) -> anyhow::Result<u64> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(page_rows)
        .set_data_page_size_limit(16 * GROUP_ROWS)
        .set_dictionary_page_size_limit(16 * GROUP_ROWS)
        .set_dictionary_enabled(encoding.is_none());
    if let Some(encoding) = encoding {
        properties = properties.set_encoding(encoding);
    }
    let batch = RecordBatch::try_from_iter_with_nullable([("column", column.clone(), true)])?;
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build()))?;
    writer.write(&batch)?;
    let metadata = writer.finish()?;
    let sizes = metadata
        .row_groups()
        .iter()
        .map(|group| group.compressed_size());
    Ok(sizes.sum::<i64>().unsigned_abs())
}
