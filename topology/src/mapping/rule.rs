//! One rule of a table.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    entity_type::EntityTypeText,
    template::{Template, Variables},
    tie::TieText,
};
use crate::{EntityKind, Provenance, RelationKind, owner::glob_matches};

/// A table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) exporter: String,
    #[serde(default)]
    pub(crate) covers: Vec<String>,
    #[serde(default)]
    pub(crate) metrics: Vec<RuleText>,
    #[serde(default)]
    pub(crate) resources: Vec<RuleText>,
    #[serde(default)]
    pub(crate) ties: Vec<TieText>,
    #[serde(default)]
    pub(crate) entity_types: BTreeMap<String, EntityTypeText>,
}

/// A rule as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleText {
    #[serde(default)]
    pub(crate) metric: String,
    #[serde(default)]
    when: BTreeMap<String, String>,
    #[serde(default)]
    only_nonzero: bool,
    #[serde(default)]
    provenance: Option<String>,
    #[serde(default)]
    entities: BTreeMap<String, EntityText>,
    #[serde(default)]
    relations: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntityText {
    kind: String,
    name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

/// What is made of a series, or of a resource.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) exporter: String,
    pub(crate) provenance: Provenance,
    /// Globs that labels must match; `!` before one negates it.
    when: Vec<(String, String)>,
    pub(crate) only_nonzero: bool,
    pub(crate) entities: Vec<EntityRule>,
    /// Between two of the entities, by their places.
    pub(crate) relations: Vec<(usize, RelationKind, usize)>,
}

/// An entity that a rule makes.
#[derive(Clone, Debug)]
pub(crate) struct EntityRule {
    pub(crate) kind: EntityKind,
    pub(crate) name: Template,
    pub(crate) attributes: Vec<(String, Template)>,
}

impl Rule {
    pub(crate) fn of(text: RuleText, exporter: &str) -> Result<Self, String> {
        let provenance = match text.provenance.as_deref() {
            None if text.metric.is_empty() => Provenance::Resource,
            None => Provenance::Metric,
            Some(word) => Provenance::parse(word).ok_or_else(|| {
                let known = Provenance::ALL.map(Provenance::as_str).join(", ");
                format!("provenance {word:?}: must be one of {known}")
            })?,
        };
        let names: Vec<&String> = text.entities.keys().collect();
        let place = |name: &str, relation: &str| {
            let at = names.iter().position(|known| *known == name);
            at.ok_or_else(|| {
                let known: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
                format!(
                    "relations {relation:?}: {name:?} must be one of {}",
                    known.join(", ")
                )
            })
        };
        let mut relations = Vec::new();
        for relation in &text.relations {
            let words: Vec<&str> = relation.split_whitespace().collect();
            let [from, kind, to] = words.as_slice() else {
                return Err(format!(
                    "relations {relation:?}: must be <entity> <relation> <entity>"
                ));
            };
            let kind = relation_kind(kind)?;
            relations.push((place(from, relation)?, kind, place(to, relation)?));
        }
        let entities = text.entities.iter().map(|(name, entity)| {
            EntityRule::of(entity).map_err(|fault| format!("entities.{name}.{fault}"))
        });
        Ok(Self {
            exporter: exporter.to_owned(),
            provenance,
            entities: entities.collect::<Result<_, _>>()?,
            relations,
            when: text.when.into_iter().collect(),
            only_nonzero: text.only_nonzero,
        })
    }

    /// Whether the conditions hold; a label that is not there is the empty text.
    pub(crate) fn matches(&self, variables: &dyn Variables) -> bool {
        self.when.iter().all(|(name, glob)| {
            let value = variables.value(name).unwrap_or_default();
            match glob.strip_prefix('!') {
                Some(glob) => !glob_matches(glob, &value),
                None => glob_matches(glob, &value),
            }
        })
    }
}

impl EntityRule {
    fn of(text: &EntityText) -> Result<Self, String> {
        let template = |field: &str, text: &str| {
            Template::parse(text).map_err(|fault| format!("{field} {fault}"))
        };
        let attributes = text.attributes.iter().map(|(key, text)| {
            let template = template(&format!("attributes.{key}"), text)?;
            Ok((key.clone(), template))
        });
        Ok(Self {
            kind: kind(&text.kind).map_err(|fault| format!("kind {fault}"))?,
            name: template("name", &text.name)?,
            attributes: attributes.collect::<Result<_, String>>()?,
        })
    }
}

/// The kind that a word names.
pub(crate) fn kind(word: &str) -> Result<EntityKind, String> {
    EntityKind::parse(word).ok_or_else(|| {
        let known = EntityKind::ALL.map(EntityKind::as_str).join(", ");
        format!("{word:?}: must be one of {known}")
    })
}

/// The relation that a word names.
pub(crate) fn relation_kind(word: &str) -> Result<RelationKind, String> {
    RelationKind::parse(word).ok_or_else(|| {
        let known = RelationKind::ALL.map(RelationKind::as_str).join(", ");
        format!("relation {word:?}: must be one of {known}")
    })
}
