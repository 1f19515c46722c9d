//! How data files are encoded, chosen by measurement: docs/performance.md has the table.
//!
//! Dictionaries (the default) suit names, label maps and other repeating text. Sorted times compress best as differences,
//! but the times of samples as they are: the series of one scrape share them, so that each stretch is a copy of the last.
//! Ids are as good as random: a dictionary would hold every one of them, so they stand one behind the other, and those that are
//! looked up get a Bloom filter. Bodies of log records hardly repeat as a whole.

use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::SortingColumn,
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
    },
    schema::types::ColumnPath,
};

use super::Effort;
use crate::Table;

const FAST_ZSTD_LEVEL: i32 = 1;
/// Finds the copies of times where level 3 does not, for as good as no time.
const THOROUGH_ZSTD_LEVEL: i32 = 6;
const ROW_GROUP_ROWS: usize = 1 << 17;
/// Columns of times that mostly rise from row to row.
const TIMES: [&str; 7] = [
    "time",
    "start_time",
    "observed_time",
    "first_seen",
    "valid_from",
    "first_time",
    "last_time",
];
/// More than a row group of samples takes in one column.
const SAMPLES_PAGE_BYTES: usize = 2 << 20;

/// Bodies of log records are half of what a line takes, and longer matches are found in them.
const THOROUGH_BODY_ZSTD_LEVEL: i32 = 9;

/// The encoding of a file of `table` with `rows` rows.
pub(super) fn of(table: Table, rows: usize, effort: Effort) -> WriterProperties {
    if table == Table::Samples {
        return of_samples(effort);
    }
    let properties = WriterProperties::builder()
        .set_compression(zstd(effort))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        // Page statistics are what the page index consists of.
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(sorting(table));
    let properties = with_numbers(properties, table);
    let properties = with_ids(properties, table, rows);
    with_bodies(properties, table, effort).build()
}

fn with_numbers(mut properties: WriterPropertiesBuilder, table: Table) -> WriterPropertiesBuilder {
    let mut encoded = |column: &str, encoding| {
        let column = ColumnPath::from(column);
        let properties_of = std::mem::take(&mut properties);
        properties = properties_of
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, encoding);
    };
    let is_of_windows = matches!(table, Table::Samples5m | Table::Samples1h);
    for column in TIMES {
        if table.schema().column_with_name(column).is_some() {
            // The series of one scrape share those of windows, as they share those of samples.
            let encoding = if is_of_windows {
                Encoding::PLAIN
            } else {
                Encoding::DELTA_BINARY_PACKED
            };
            encoded(column, encoding);
        }
    }
    if is_of_windows {
        for column in ["value", "sum", "min", "max", "first", "last"] {
            encoded(column, Encoding::BYTE_STREAM_SPLIT);
        }
    }
    for column in ["duration", "value"] {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    properties
}

fn with_ids(
    mut properties: WriterPropertiesBuilder,
    table: Table,
    rows: usize,
) -> WriterPropertiesBuilder {
    for column in ["trace_id", "span_id", "parent_span_id"] {
        let column = ColumnPath::from(column);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::DELTA_LENGTH_BYTE_ARRAY);
    }
    let looked_up: &[&str] = match table {
        Table::Spans => &["trace_id", "span_id"],
        Table::Logs => &["trace_id"],
        _ => &[],
    };
    for column in looked_up {
        let column = ColumnPath::from(*column);
        properties = properties
            .set_column_bloom_filter_enabled(column.clone(), true)
            .set_column_bloom_filter_max_ndv(column, rows.clamp(1, ROW_GROUP_ROWS) as u64);
    }
    // Nothing to be found in those of spans, and looking for it takes its time; the lines of one request share theirs.
    let random: &[&str] = match table {
        Table::Spans => &["span_id", "parent_span_id"],
        _ => &[],
    };
    for column in random {
        let column = ColumnPath::from(*column);
        properties = properties.set_column_compression(column, Compression::UNCOMPRESSED);
    }
    properties
}

fn with_bodies(
    properties: WriterPropertiesBuilder,
    table: Table,
    effort: Effort,
) -> WriterPropertiesBuilder {
    if table != Table::Logs {
        return properties;
    }
    let body = || ColumnPath::from("body");
    let properties = properties.set_column_dictionary_enabled(body(), false);
    match effort {
        Effort::Fast => properties,
        Effort::Thorough => {
            properties.set_column_compression(body(), zstd_of(THOROUGH_BODY_ZSTD_LEVEL))
        }
    }
}

/// A row group is one page: the longer it is, the more series find their times in it again. Readers skip by row group, for which
/// a page index would be of no use.
fn of_samples(effort: Effort) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(zstd(effort))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(ROW_GROUP_ROWS)
        .set_data_page_size_limit(SAMPLES_PAGE_BYTES)
        // Room for the ids of a row group in which no series has two samples.
        .set_dictionary_page_size_limit(32 * ROW_GROUP_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_sorting_columns(sorting(Table::Samples))
        .set_column_encoding(
            ColumnPath::from("value_digits"),
            Encoding::BYTE_STREAM_SPLIT,
        );
    for column in ["time", "value", "value_digits"] {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    properties.build()
}

fn zstd(effort: Effort) -> Compression {
    zstd_of(match effort {
        Effort::Fast => FAST_ZSTD_LEVEL,
        Effort::Thorough => THOROUGH_ZSTD_LEVEL,
    })
}

fn zstd_of(level: i32) -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(level).expect("the level is one that zstd knows"))
}

/// The sort order, as far as its columns are not nested: leaf columns count on through nested ones.
fn sorting(table: Table) -> Option<Vec<SortingColumn>> {
    let schema = table.schema();
    let mut sorting = Vec::new();
    for name in table.sort_columns() {
        let (at, _) = schema.column_with_name(name)?;
        if schema.fields()[..at]
            .iter()
            .any(|field| field.data_type().is_nested())
        {
            break;
        }
        sorting.push(SortingColumn {
            column_idx: i32::try_from(at).ok()?,
            descending: false,
            nulls_first: true,
        });
    }
    (!sorting.is_empty()).then_some(sorting)
}
