//! Who answers for what: the responsibility file.

use std::collections::BTreeMap;

use demarc_proto::OwnerId;

use crate::{Entity, Layer, TopologyError};

/// The responsibility matrix. The first rule that matches an entity names its owner; without one it has none.
///
/// See `docs/responsibility.md` for the file.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Responsibility {
    /// The accountable parties by id.
    pub parties: BTreeMap<OwnerId, Party>,
    /// Read from the top.
    pub rules: Vec<OwnerRule>,
}

/// An accountable party.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// What it is.
    pub kind: PartyKind,
    /// The tenant whose telemetry is its own, if it has one.
    #[serde(default)]
    pub tenant: Option<String>,
    /// How people call it.
    pub name: LocalName,
    /// How to reach whoever is on duty.
    #[serde(default)]
    pub contact: String,
}

/// What an accountable party is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartyKind {
    /// A public body that owns applications.
    Agency,
    /// A software vendor that builds and runs an agency's applications.
    Vendor,
    /// Whoever runs the platform.
    Operator,
    /// Somebody outside the cloud.
    ThirdParty,
}

/// A name in the two languages of everything that people read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalName {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// One row of the matrix.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerRule {
    /// Who answers for what matches.
    pub owner: OwnerId,
    /// What matches; all of it must.
    #[serde(default, rename = "match")]
    pub when: OwnerMatch,
}

/// Conditions on an entity; texts may hold `*` for any characters.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnerMatch {
    /// The tenant; infrastructure that several tenants share has none and matches only when this is absent.
    pub tenant: Option<String>,
    /// The layer.
    pub layer: Option<Layer>,
    /// The kind, such as `host`.
    pub kind: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// Attributes.
    pub attributes: BTreeMap<String, String>,
}

impl Responsibility {
    /// Reads the file's text and checks that every rule names a party.
    pub fn from_yaml(text: &str) -> Result<Self, TopologyError> {
        let read: Self = serde_saphyr::from_str(text)
            .map_err(|error| TopologyError::Responsibility(error.to_string()))?;
        for (at, rule) in read.rules.iter().enumerate() {
            if !read.parties.contains_key(&rule.owner) {
                let known: Vec<&str> = read.parties.keys().map(OwnerId::as_str).collect();
                return Err(TopologyError::Responsibility(format!(
                    "rules[{at}].owner {:?}: must be one of the parties {}",
                    rule.owner.0,
                    known.join(", ")
                )));
            }
            let kind = rule.when.kind.as_deref();
            if let Some(kind) = kind.filter(|kind| crate::EntityKind::parse(kind).is_none()) {
                let known: Vec<&str> = crate::EntityKind::ALL
                    .into_iter()
                    .map(crate::EntityKind::as_str)
                    .collect();
                return Err(TopologyError::Responsibility(format!(
                    "rules[{at}].match.kind {kind:?}: must be one of {}",
                    known.join(", ")
                )));
            }
        }
        Ok(read)
    }

    /// Who answers for `entity`.
    pub fn owner_of(&self, entity: &Entity) -> Option<OwnerId> {
        let rule = self.rules.iter().find(|rule| rule.when.matches(entity));
        rule.map(|rule| rule.owner.clone())
    }

    /// The party whose telemetry `tenant` is.
    pub fn party_of_tenant(&self, tenant: &str) -> Option<(&OwnerId, &Party)> {
        self.parties
            .iter()
            .find(|(_, party)| party.tenant.as_deref() == Some(tenant))
    }
}

impl OwnerMatch {
    fn matches(&self, entity: &Entity) -> bool {
        let text = |wanted: &Option<String>, got: Option<&str>| match wanted {
            None => true,
            Some(glob) => got.is_some_and(|got| glob_matches(glob, got)),
        };
        text(
            &self.tenant,
            entity.tenant.as_ref().map(|tenant| tenant.as_str()),
        ) && self.layer.is_none_or(|layer| layer == entity.layer)
            && text(&self.kind, Some(entity.kind.as_str()))
            && text(&self.name, Some(&entity.name))
            && self.attributes.iter().all(|(key, glob)| {
                entity
                    .attributes
                    .text(key)
                    .is_some_and(|got| glob_matches(glob, &got))
            })
    }
}

/// Whether `text` is `glob`, in which `*` stands for any characters.
fn glob_matches(glob: &str, text: &str) -> bool {
    let Some((before, after)) = glob.split_once('*') else {
        return glob == text;
    };
    let Some(rest) = text.strip_prefix(before) else {
        return false;
    };
    let mut starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    starts.any(|at| glob_matches(after, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (glob, text, matches) in [
            ("*", "", true),
            ("host-*", "host-a", true),
            ("host-*", "ghost-a", false),
            ("*-db", "gov-db", true),
            ("a*b*c", "a-b-b-c", true),
            ("税*", "税务局", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(glob_matches(glob, text), matches, "{glob} {text}");
        }
    }

    #[test]
    fn a_rule_for_an_unknown_party_is_refused_with_its_place() {
        let error = Responsibility::from_yaml("rules: [{owner: nobody}]").unwrap_err();
        assert!(
            error.to_string().contains("rules[0].owner \"nobody\""),
            "{error}"
        );
    }
}
