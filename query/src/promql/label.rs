//! Functions that rewrite labels.

use promql_parser::parser::Expr;
use regex::Regex;

use super::{
    eval::{Eval, Outcome},
    series::{Series, Steps, merge_same},
};
use crate::QueryError;

impl Eval<'_> {
    /// `label_replace(v, destination, replacement, source, regex)`
    pub(super) async fn label_replace(
        &self,
        arguments: &[&Expr],
        steps: Steps,
    ) -> Result<Outcome, QueryError> {
        let mut texts = Vec::new();
        for argument in &arguments[1..] {
            texts.push(self.text(argument, steps).await?);
        }
        let [destination, replacement, source, pattern] = texts.as_slice() else {
            return Err(QueryError::Parse(
                "label_replace takes a vector and 4 strings".to_owned(),
            ));
        };
        let regex = Regex::new(&format!("^(?s:{pattern})$")).map_err(|_| {
            QueryError::Parse(format!(
                "invalid regular expression in label_replace(): {pattern}"
            ))
        })?;
        check_name(destination, "destination label name in label_replace()")?;
        let mut series = self.vector(arguments[0], steps).await?;
        for one in &mut series {
            if let Some(captures) = regex.captures(one.labels.get(source)) {
                let mut value = String::new();
                captures.expand(replacement, &mut value);
                one.labels.set(destination, &value);
            }
        }
        merge_same(series).map(Outcome::Vector)
    }

    /// `label_join(v, destination, separator, source...)`
    pub(super) async fn label_join(
        &self,
        arguments: &[&Expr],
        steps: Steps,
    ) -> Result<Outcome, QueryError> {
        let mut texts = Vec::new();
        for argument in &arguments[1..] {
            texts.push(self.text(argument, steps).await?);
        }
        let [destination, separator, sources @ ..] = texts.as_slice() else {
            return Err(QueryError::Parse(
                "label_join takes a vector and strings".to_owned(),
            ));
        };
        check_name(destination, "destination label name in label_join()")?;
        let mut series: Vec<Series> = self.vector(arguments[0], steps).await?;
        for one in &mut series {
            let parts: Vec<&str> = sources
                .iter()
                .map(|source| one.labels.get(source))
                .collect();
            let joined = parts.join(separator);
            one.labels.set(destination, &joined);
        }
        merge_same(series).map(Outcome::Vector)
    }
}

fn check_name(name: &str, what: &str) -> Result<(), QueryError> {
    if name.is_empty() {
        return Err(QueryError::Parse(format!("invalid {what}: {name}")));
    }
    Ok(())
}
