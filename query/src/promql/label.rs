//! Functions that rewrite labels.

use demarc_proto::METRIC_NAME;
use regex::Regex;

use super::{
    ast::Call,
    eval::{Eval, Outcome},
    value::{Series, Steps, merge_same},
};
use crate::QueryError;

impl Eval<'_> {
    /// `label_replace(v, destination, replacement, source, regex)`
    pub(super) fn label_replace(&self, call: &Call, steps: Steps) -> Result<Outcome, QueryError> {
        let texts: Result<Vec<String>, _> = call.arguments[1..]
            .iter()
            .map(|argument| self.text(argument))
            .collect();
        let texts = texts?;
        let [destination, replacement, source, pattern] = texts.as_slice() else {
            return Err(fault(
                "label_replace takes a vector and 4 strings".to_owned(),
            ));
        };
        let regex = Regex::new(&format!("^(?s:{pattern})$")).map_err(|_| {
            fault(format!(
                "invalid regular expression in label_replace(): {pattern}"
            ))
        })?;
        self.check_destination(call)?;
        let series = self.vector(&call.arguments[0], steps)?;
        relabelled(series, destination, |one| {
            let captures = regex.captures(one.labels.get(source))?;
            let mut value = String::new();
            captures.expand(replacement, &mut value);
            Some(value)
        })
    }

    /// A label's name is any UTF-8 text but the empty one.
    fn check_destination(&self, call: &Call) -> Result<(), QueryError> {
        let bytes = self.text_bytes(&call.arguments[1])?;
        if std::str::from_utf8(&bytes).is_ok_and(|name| !name.is_empty()) {
            return Ok(());
        }
        Err(fault(format!(
            "invalid destination label name in {}(): {}",
            call.function.name,
            String::from_utf8_lossy(&bytes)
        )))
    }

    /// `label_join(v, destination, separator, source...)`
    pub(super) fn label_join(&self, call: &Call, steps: Steps) -> Result<Outcome, QueryError> {
        let texts: Result<Vec<String>, _> = call.arguments[1..]
            .iter()
            .map(|argument| self.text(argument))
            .collect();
        let texts = texts?;
        let [destination, separator, sources @ ..] = texts.as_slice() else {
            return Err(fault("label_join takes a vector and strings".to_owned()));
        };
        self.check_destination(call)?;
        for source in sources {
            if source.is_empty() {
                return Err(fault(format!(
                    "invalid source label name in label_join(): {source}"
                )));
            }
        }
        let series = self.vector(&call.arguments[0], steps)?;
        relabelled(series, destination, |one| {
            let parts: Vec<&str> = sources
                .iter()
                .map(|source| one.labels.get(source))
                .collect();
            Some(parts.join(separator))
        })
    }
}

/// Gives series the label that `value` says; those for which it says nothing stay as they are.
fn relabelled(
    mut series: Vec<Series>,
    destination: &str,
    value: impl Fn(&Series) -> Option<String>,
) -> Result<Outcome, QueryError> {
    for one in &mut series {
        if let Some(value) = value(one) {
            let mut labels = one.labels.clone().into_labels();
            labels.set(destination, &value);
            one.labels = labels.into();
            // A name that is given anew stays.
            if destination == METRIC_NAME {
                one.drop_name = false;
            }
        }
    }
    merge_same(series).map(Outcome::Vector)
}

fn fault(sentence: String) -> QueryError {
    QueryError::Evaluation(sentence)
}
