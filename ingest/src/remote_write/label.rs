//! The labels of a series that is not known yet.

use std::collections::HashSet;

use demarc_proto::{Labels, METRIC_NAME};

use crate::{Limits, attribute::start_of, receipt::Refusal};

/// Checks name and value of each label and takes them over. Labels without a value are none.
pub(super) fn labels<'a>(
    pairs: impl Iterator<Item = Result<(&'a [u8], &'a [u8]), Refusal>>,
    limits: &Limits,
) -> Result<Labels, Refusal> {
    let mut checked: Vec<(&str, &str)> = Vec::with_capacity(16);
    let mut names = HashSet::with_capacity(16);
    for pair in pairs {
        let (name, value) = pair?;
        if checked.len() >= limits.max_attributes {
            let sentence = format!(
                "labels: more than {} of one series (max_attributes)",
                limits.max_attributes
            );
            return Err(Refusal::new("too_many_attributes", sentence));
        }
        let (name, value) = (text("label name", name)?, text("label value", value)?);
        if name.is_empty() {
            let sentence = format!(
                "label name \"\" with value {:?}: must not be empty",
                shown(value)
            );
            return Err(Refusal::new("bad_label", sentence));
        }
        too_long("label name", name, limits.max_name_bytes, "max_name_bytes")?;
        too_long(name, value, limits.max_value_bytes, "max_value_bytes")?;
        if !names.insert(name) {
            let sentence = format!("label {name:?}: must be given once");
            return Err(Refusal::new("duplicate_label", sentence));
        }
        checked.push((name, value));
    }
    let labels = Labels::from_pairs(checked);
    if labels.get(METRIC_NAME).is_empty() {
        let sentence = format!(
            "series {}: must have the label __name__",
            shown(&labels.to_string())
        );
        return Err(Refusal::new("no_metric_name", sentence));
    }
    Ok(labels)
}

fn text<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a str, Refusal> {
    std::str::from_utf8(bytes).map_err(|error| {
        let sentence = format!(
            "{what} {:?}: must be UTF-8, breaks at byte {}",
            shown(&String::from_utf8_lossy(&bytes[..bytes.len().min(80)])),
            error.valid_up_to()
        );
        Refusal::new("invalid_utf8", sentence)
    })
}

fn too_long(what: &str, text: &str, limit: usize, setting: &str) -> Result<(), Refusal> {
    if text.len() <= limit {
        return Ok(());
    }
    let sentence = format!(
        "{} {:?}: {} bytes, at most {limit} ({setting})",
        shown(what),
        shown(text),
        text.len()
    );
    Err(Refusal::new("label_too_long", sentence))
}

/// As much of a sender's text as a message repeats.
pub(super) fn shown(text: &str) -> &str {
    start_of(text, 120)
}
