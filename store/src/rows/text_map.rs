//! Columns of maps from text to text.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, MapArray, StringArray, StringBuilder, StructArray},
    buffer::OffsetBuffer,
    datatypes::{DataType, Field, Fields},
    error::ArrowError,
};
use demarc_proto::Attributes;

/// Text that one map column may hold: past the 2 GiB that its offsets can count, building it would panic.
const MAX_BYTES: usize = 1 << 30;

/// Builds one column.
#[derive(Debug)]
pub(super) struct TextMapBuilder {
    offsets: Vec<i32>,
    keys: StringBuilder,
    values: StringBuilder,
}

/// Attributes in the form in which they are copied into a column at once, for rows that share them.
#[derive(Clone, Debug)]
pub struct SharedAttributes {
    keys: StringArray,
    values: StringArray,
}

impl From<&Attributes> for SharedAttributes {
    fn from(attributes: &Attributes) -> Self {
        let keys = attributes.iter().map(|(key, _)| key);
        let values = attributes.iter().map(|(_, value)| value.text());
        Self {
            keys: StringArray::from_iter_values(keys),
            values: StringArray::from_iter_values(values),
        }
    }
}

impl TextMapBuilder {
    /// An empty column with room for so many rows.
    pub(super) fn with_capacity(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            offsets,
            keys: StringBuilder::new(),
            values: StringBuilder::new(),
        }
    }

    /// Adds a row.
    pub(super) fn push<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), ArrowError> {
        for (key, value) in pairs {
            let (key, value) = (key.as_ref(), value.as_ref());
            self.make_room(key.len() + value.len())?;
            self.keys.append_value(key);
            self.values.append_value(value);
        }
        self.close_row()
    }

    /// Adds a row.
    pub(super) fn push_shared(&mut self, shared: &SharedAttributes) -> Result<(), ArrowError> {
        self.make_room(shared.keys.values().len() + shared.values.values().len())?;
        self.keys.append_array(&shared.keys)?;
        self.values.append_array(&shared.values)?;
        self.close_row()
    }

    /// The column, of the type that the tables' schemas say.
    pub(super) fn finish(mut self) -> Result<MapArray, ArrowError> {
        let fields = Fields::from(vec![
            Field::new("key", DataType::Utf8, false),
            Field::new("value", DataType::Utf8, false),
        ]);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(self.keys.finish()), Arc::new(self.values.finish())];
        let entries = StructArray::try_new(fields.clone(), columns, None)?;
        let entry = Field::new("key_value", DataType::Struct(fields), false);
        let offsets = OffsetBuffer::new(self.offsets.into());
        MapArray::try_new(Arc::new(entry), offsets, entries, None, false)
    }

    fn make_room(&self, more: usize) -> Result<(), ArrowError> {
        let bytes = self.keys.values_slice().len() + self.values.values_slice().len() + more;
        if bytes > MAX_BYTES {
            return Err(ArrowError::OffsetOverflowError(bytes));
        }
        Ok(())
    }

    fn close_row(&mut self) -> Result<(), ArrowError> {
        let entries = self.keys.offsets_slice().len() - 1;
        let end = i32::try_from(entries).map_err(|_| ArrowError::OffsetOverflowError(entries))?;
        self.offsets.push(end);
        Ok(())
    }
}

/// Key and value of each pair in one row of such a column.
pub(super) fn pairs_at(column: &MapArray, at: usize) -> impl Iterator<Item = (&str, &str)> {
    let offsets = column.value_offsets();
    let range = offsets[at] as usize..offsets[at + 1] as usize;
    let (keys, values) = (
        column.keys().as_string::<i32>(),
        column.values().as_string::<i32>(),
    );
    range.map(|entry| (keys.value(entry), values.value(entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_text_than_a_column_can_count_is_refused() {
        let large = "x".repeat(1 << 20);
        let mut column = TextMapBuilder::with_capacity(0);
        let pushed: Vec<_> = (0..1025).map(|_| column.push([("a", &large)])).collect();
        assert!(pushed[..1023].iter().all(Result::is_ok));
        assert!(matches!(
            pushed[1024],
            Err(ArrowError::OffsetOverflowError(_))
        ));
    }

    #[test]
    fn shared_attributes_are_those_of_their_rows() {
        let pairs = [("a", "1".into()), ("b", "定".into())];
        let attributes = Attributes::from_iter(pairs);
        let shared = SharedAttributes::from(&attributes);
        let mut column = TextMapBuilder::with_capacity(2);
        column.push([("x", "y")]).unwrap();
        column.push_shared(&shared).unwrap();
        column.push_shared(&shared).unwrap();
        let column = column.finish().unwrap();
        assert_eq!(column.value_length(0), 1);
        assert_eq!(column.value(1), column.value(2));
        assert_eq!(column.value_length(2), 2);
    }
}
