//! What the rows of a file take in memory, as its footer says: compressed, they may be a thousandth of that.

use std::{fs::File, path::Path};

use parquet::file::metadata::{ParquetMetaDataReader, RowGroupMetaData};

use crate::StoreError;

/// What a value takes at least, with its place.
const VALUE_BYTES: u64 = 8;

/// What the rows of a file take in memory, about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowMemory {
    /// All of them.
    pub(crate) whole_bytes: u64,
    /// One of them, where they are largest.
    pub(crate) row_bytes: u64,
}

impl RowMemory {
    /// Reads the footer of the file at `path`.
    pub(crate) fn of_file(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file)?;
        let mut memory = Self::default();
        for group in metadata.row_groups() {
            let bytes = of_group(group);
            let rows = u64::try_from(group.num_rows()).unwrap_or(1).max(1);
            memory.whole_bytes += bytes;
            memory.row_bytes = memory.row_bytes.max(bytes / rows);
        }
        Ok(memory)
    }
}

fn of_group(group: &RowGroupMetaData) -> u64 {
    let columns = group.columns().iter();
    let bytes = columns.map(|column| {
        let encoded = column.uncompressed_size();
        // Of texts in a dictionary, the pages hold their numbers only.
        let texts = column.unencoded_byte_array_data_bytes().unwrap_or(0);
        let values = u64::try_from(column.num_values()).unwrap_or(0) * VALUE_BYTES;
        u64::try_from(encoded.max(texts)).unwrap_or(0) + values
    });
    bytes.sum()
}
