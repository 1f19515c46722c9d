//! Entities that belong together because they name the same machine or address: a table of rules over equal attributes.

use serde::Deserialize;

use super::rule::{kind, relation_kind};
use crate::{EntityKind, RelationKind};

/// The pseudo attribute that is an entity's name.
pub(crate) const NAME: &str = "name";

/// A rule as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TieText {
    from: String,
    by: String,
    relation: String,
    to: String,
    #[serde(default)]
    with: Option<String>,
}

/// An entity of kind `from` is tied to the one of kind `to` whose attribute `with` is equal to its own attribute `by`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TieRule {
    pub(crate) from: EntityKind,
    pub(crate) by: String,
    pub(crate) relation: RelationKind,
    pub(crate) to: EntityKind,
    pub(crate) with: String,
}

impl TieRule {
    pub(crate) fn of(text: TieText) -> Result<Self, String> {
        Ok(Self {
            from: kind(&text.from).map_err(|fault| format!("from {fault}"))?,
            relation: relation_kind(&text.relation)?,
            to: kind(&text.to).map_err(|fault| format!("to {fault}"))?,
            with: text.with.unwrap_or_else(|| text.by.clone()),
            by: text.by,
        })
    }
}
