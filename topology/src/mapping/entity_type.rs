//! What the types of OTLP entity references are.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    rule::kind,
    template::{Template, Variables},
};
use crate::{EntityKind, owner::glob_matches};

/// What a type is, as it is written: the word of a kind, `none`, or a kind and a name.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum EntityTypeText {
    Word(String),
    Named { kind: String, name: String },
}

/// What a type is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EntityType {
    /// `None` for what is no entity of the graph.
    pub(crate) kind: Option<EntityKind>,
    /// Where attributes name the same entity, as they name it; else the values of its identifying attributes do.
    name: Option<Template>,
}

impl EntityType {
    pub(crate) fn of(text: EntityTypeText) -> Result<Self, String> {
        match text {
            EntityTypeText::Word(word) if word == "none" => Ok(Self {
                kind: None,
                name: None,
            }),
            EntityTypeText::Word(word) => Ok(Self {
                kind: Some(kind(&word)?),
                name: None,
            }),
            EntityTypeText::Named { kind: word, name } => {
                let name = Template::parse(&name).map_err(|fault| format!("name {fault}"))?;
                Ok(Self {
                    kind: Some(kind(&word)?),
                    name: Some(name),
                })
            }
        }
    }

    /// The entity's name: as its attributes say it, else by its identifying attributes.
    pub(crate) fn name(&self, variables: &dyn Variables, ids: &[String]) -> String {
        let named = self.name.as_ref().and_then(|name| name.render(variables));
        named.unwrap_or_else(|| ids.join("/"))
    }
}

/// What the type `name` is: as it is listed, else by the longest glob that matches.
pub(crate) fn find<'a>(
    types: &'a BTreeMap<String, EntityType>,
    name: &str,
) -> Option<&'a EntityType> {
    types.get(name).or_else(|| {
        let globs = types.iter().filter(|(glob, _)| glob_matches(glob, name));
        let longest = globs.max_by_key(|(glob, _)| glob.len());
        longest.map(|(_, found)| found)
    })
}
