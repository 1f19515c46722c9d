//! The files: rows of fields, each with its line.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_saphyr::Spanned;

use super::{ImportFormat, RefusedLine};
use crate::TopologyError;

/// One entity or relation as it stands in the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) fields: BTreeMap<String, String>,
    /// The fields below `attributes`, and those columns that are none of ours.
    pub(crate) attributes: BTreeMap<String, String>,
}

/// Reads the rows of a file. Rows that cannot be read are refused one by one; a file that is no such file is an error.
pub(crate) fn read(
    text: &str,
    format: ImportFormat,
) -> Result<(Vec<Row>, Vec<RefusedLine>), TopologyError> {
    match format {
        ImportFormat::Csv => csv_rows(text),
        ImportFormat::Yaml => yaml_rows(text),
    }
}

/// The names of fields; every other column of a table is an attribute.
const FIELDS: [&str; 9] = [
    "id",
    "kind",
    "name",
    "tenant",
    "from",
    "to",
    "confidence",
    "valid_from",
    "valid_to",
];

fn csv_rows(text: &str) -> Result<(Vec<Row>, Vec<RefusedLine>), TopologyError> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let bad = |error: csv::Error| TopologyError::Import(error.to_string());
    let names: Vec<String> = reader
        .headers()
        .map_err(bad)?
        .iter()
        .map(str::to_owned)
        .collect();
    if !names
        .iter()
        .any(|name| matches!(name.as_str(), "id" | "kind" | "from"))
    {
        return Err(TopologyError::Import(format!(
            "line 1: the header {:?} must name at least one of the columns id, kind, from",
            names.join(",")
        )));
    }
    let (mut rows, mut refused) = (Vec::new(), Vec::new());
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                let cells = names.iter().zip(&record);
                rows.push(row_of(
                    line,
                    cells.map(|(name, cell)| (name.clone(), cell.to_owned())),
                ));
            }
            Err(error) => refused.push(RefusedLine {
                line: error.position().map_or(0, csv::Position::line),
                reason: match error.kind() {
                    csv::ErrorKind::UnequalLengths {
                        expected_len, len, ..
                    } => {
                        format!("has {len} cells: must have {expected_len}, as the header has")
                    }
                    _ => error.to_string(),
                },
            }),
        }
    }
    Ok((rows, refused))
}

fn row_of(line: u64, cells: impl Iterator<Item = (String, String)>) -> Row {
    let mut row = Row {
        line,
        ..Row::default()
    };
    for (name, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
        if FIELDS.contains(&name.as_str()) {
            row.fields.insert(name, cell);
        } else {
            row.attributes.insert(name, cell);
        }
    }
    row
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Document {
    entities: Vec<Spanned<Entry>>,
    relations: Vec<Spanned<Entry>>,
}

/// Anything: what is wrong with it is said of its line, not of the file.
type Entry = Field;

enum Field {
    Text(String),
    Map(BTreeMap<String, Field>),
    Other(&'static str),
}

fn yaml_rows(text: &str) -> Result<(Vec<Row>, Vec<RefusedLine>), TopologyError> {
    // A city's inventory is large; what is small here guards against documents that unfold.
    let budget = serde_saphyr::budget! { max_events: 60_000_000, max_nodes: 30_000_000 };
    let options = serde_saphyr::options! { budget: budget };
    let document: Document = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| TopologyError::Import(error.to_string()))?;
    let (mut rows, mut refused) = (Vec::new(), Vec::new());
    let entities = document.entities.into_iter();
    let relations = document.relations.into_iter();
    let entries = entities.map(|entry| (entry, false));
    for (entry, is_relation) in entries.chain(relations.map(|entry| (entry, true))) {
        let line = entry.referenced.line();
        match row_of_entry(line, entry.value) {
            Ok(row) if is_relation && !row.fields.contains_key("from") => {
                refused.push(RefusedLine {
                    line,
                    reason: "from: must name where the relation begins".to_owned(),
                });
            }
            Ok(row) => rows.push(row),
            Err(reason) => refused.push(RefusedLine { line, reason }),
        }
    }
    Ok((rows, refused))
}

fn row_of_entry(line: u64, entry: Entry) -> Result<Row, String> {
    let mut row = Row {
        line,
        ..Row::default()
    };
    let Field::Map(entry) = entry else {
        return Err("must be a mapping".to_owned());
    };
    for (name, field) in entry {
        match field {
            Field::Text(text) if FIELDS.contains(&name.as_str()) => {
                row.fields.insert(name, text);
            }
            Field::Map(attributes) if name == "attributes" => {
                for (key, value) in attributes {
                    let Field::Text(text) = value else {
                        return Err(format!(
                            "attributes.{key}: must be a text, a number, true or false"
                        ));
                    };
                    row.attributes.insert(key, text);
                }
            }
            Field::Other("nothing") => {}
            Field::Text(_) | Field::Map(_) | Field::Other(_) => {
                let known = FIELDS.join(", ");
                return Err(format!(
                    "{name}: must be one of {known} with one value, or attributes with a mapping"
                ));
            }
        }
    }
    Ok(row)
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyField)
    }
}

struct AnyField;

impl<'de> Visitor<'de> for AnyField {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a mapping")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Field, E> {
        Ok(Field::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Field, E> {
        Ok(Field::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Field, E> {
        Ok(Field::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Field, E> {
        Ok(Field::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Field, E> {
        Ok(Field::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::Other("nothing"))
    }

    fn visit_none<E>(self) -> Result<Field, E> {
        Ok(Field::Other("nothing"))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Field, A::Error> {
        while list.next_element::<Field>()?.is_some() {}
        Ok(Field::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
        let mut read = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, Field>()? {
            read.insert(key, value);
        }
        Ok(Field::Map(read))
    }
}
