//! Who answers for what: the responsibility file.

mod matching;
mod review;

use std::collections::BTreeMap;

use demarc_proto::{Nanos, OwnerId};
use serde::{Deserialize, Deserializer};

use crate::{Entity, EntityKind, Layer, Relation, RelationKind, TopologyError};

pub(crate) use matching::glob_matches;
pub use review::{OwnerChange, Review};

/// The responsibility matrix. The first rule that matches an entity and is in force names its owner; without one it has none.
///
/// See `docs/responsibility.md` for the file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Responsibility {
    /// The accountable parties by id.
    pub parties: BTreeMap<OwnerId, Party>,
    /// For entities; read from the top.
    pub rules: Vec<OwnerRule>,
    /// For relations; read from the top. Without one that matches, whoever answers for the end of a relation answers for it.
    pub edges: Vec<EdgeRule>,
}

/// An accountable party.
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
    /// The contract under which it answers, where a rule names none.
    #[serde(default)]
    pub contract: Option<String>,
    /// The on-call rota, where a rule names none.
    #[serde(default)]
    pub rota: Option<String>,
}

/// What an accountable party is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalName {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// One row of the matrix: for entities, or for relations.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(
    deny_unknown_fields,
    bound(deserialize = "M: Default + Deserialize<'de>")
)]
pub struct Rule<M> {
    /// Who answers for what matches.
    pub owner: OwnerId,
    /// What matches; all of it must.
    #[serde(default, rename = "match")]
    pub when: M,
    /// The contract, where it is not the party's own.
    #[serde(default)]
    pub contract: Option<String>,
    /// The on-call rota, where it is not the party's own.
    #[serde(default)]
    pub rota: Option<String>,
    /// The first instant at which the rule is in force; always, when absent.
    #[serde(default, deserialize_with = "instant")]
    pub valid_from: Option<Nanos>,
    /// The first instant at which it is in force no more; never, when absent.
    #[serde(default, deserialize_with = "instant")]
    pub valid_to: Option<Nanos>,
}

/// A rule for entities.
pub type OwnerRule = Rule<OwnerMatch>;
/// A rule for relations.
pub type EdgeRule = Rule<EdgeMatch>;

impl<M> Rule<M> {
    fn is_in_force(&self, at: Nanos) -> bool {
        self.valid_from.is_none_or(|from| from <= at) && self.valid_to.is_none_or(|to| at < to)
    }
}

/// Conditions on an entity; texts may hold `*` for any characters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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

/// Conditions on a relation.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeMatch {
    /// The kind, such as `calls`.
    pub kind: Option<String>,
    /// Where it begins.
    pub from: OwnerMatch,
    /// Where it ends.
    pub to: OwnerMatch,
}

/// Who answers for one thing, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accountable {
    /// The party.
    pub owner: OwnerId,
    /// The contract under which it answers.
    pub contract: Option<String>,
    /// The on-call rota.
    pub rota: Option<String>,
    /// The rule that says so, counted from 0; `None` for a relation whose end decides.
    pub rule: Option<usize>,
}

impl Responsibility {
    /// How rules are read, in words.
    pub const PRECEDENCE: [&'static str; 4] = [
        "rules are read from the top: the first that matches an entity and is in force at the time names who answers for it",
        "a rule's contract and rota stand before those of its party",
        "edges are read from the top in the same way; a relation that none of them matches is answered for by whoever answers for its end",
        "what no rule matches is answered for by nobody",
    ];

    /// Reads the file's text and checks that every rule names a party.
    pub fn from_yaml(text: &str) -> Result<Self, TopologyError> {
        let read: Self = serde_saphyr::from_str(text)
            .map_err(|error| TopologyError::Responsibility(error.to_string()))?;
        for (at, rule) in read.rules.iter().enumerate() {
            let place = format!("rules[{at}]");
            read.check(&place, rule)?;
            check_kind(&format!("{place}.match.kind"), rule.when.kind.as_deref())?;
        }
        for (at, rule) in read.edges.iter().enumerate() {
            let place = format!("edges[{at}]");
            read.check(&place, rule)?;
            for (end, when) in [("from", &rule.when.from), ("to", &rule.when.to)] {
                check_kind(&format!("{place}.match.{end}.kind"), when.kind.as_deref())?;
            }
            let kind = rule.when.kind.as_deref();
            if let Some(kind) = kind.filter(|kind| RelationKind::parse(kind).is_none()) {
                let known = RelationKind::ALL.map(RelationKind::as_str).join(", ");
                return Err(TopologyError::Responsibility(format!(
                    "{place}.match.kind {kind:?}: must be one of {known}"
                )));
            }
        }
        Ok(read)
    }

    fn check<M>(&self, place: &str, rule: &Rule<M>) -> Result<(), TopologyError> {
        if !self.parties.contains_key(&rule.owner) {
            let known: Vec<&str> = self.parties.keys().map(OwnerId::as_str).collect();
            return Err(TopologyError::Responsibility(format!(
                "{place}.owner {:?}: must be one of the parties {}",
                rule.owner.0,
                known.join(", ")
            )));
        }
        match (rule.valid_from, rule.valid_to) {
            (Some(from), Some(to)) if from >= to => Err(TopologyError::Responsibility(format!(
                "{place}.valid_to: must be after valid_from"
            ))),
            _ => Ok(()),
        }
    }

    /// Who answers for `entity` at `at`.
    pub fn answer_for(&self, entity: &Entity, at: Nanos) -> Option<Accountable> {
        let mut rules = self.rules.iter().enumerate();
        let (place, rule) =
            rules.find(|(_, rule)| rule.is_in_force(at) && rule.when.matches(entity))?;
        Some(self.accountable(rule, place))
    }

    /// Who answers for a relation between two entities at `at`.
    pub fn answer_for_edge(
        &self,
        relation: &Relation,
        (from, to): (&Entity, &Entity),
        at: Nanos,
    ) -> Option<Accountable> {
        let mut rules = self.edges.iter().enumerate();
        let found = rules.find(|(_, rule)| {
            let is_of_kind = rule.when.kind.as_deref();
            rule.is_in_force(at)
                && is_of_kind.is_none_or(|kind| kind == relation.kind.as_str())
                && rule.when.from.matches(from)
                && rule.when.to.matches(to)
        });
        if let Some((place, rule)) = found {
            return Some(self.accountable(rule, place));
        }
        let answer = self.answer_for(to, at)?;
        Some(Accountable {
            rule: None,
            ..answer
        })
    }

    fn accountable<M>(&self, rule: &Rule<M>, place: usize) -> Accountable {
        let party = self.parties.get(&rule.owner);
        let own = |own: fn(&Party) -> &Option<String>| party.and_then(|party| own(party).clone());
        let (contract, rota) = (rule.contract.clone(), rule.rota.clone());
        Accountable {
            owner: rule.owner.clone(),
            contract: contract.or_else(|| own(|party| &party.contract)),
            rota: rota.or_else(|| own(|party| &party.rota)),
            rule: Some(place),
        }
    }

    /// The party whose telemetry `tenant` is.
    pub fn party_of_tenant(&self, tenant: &str) -> Option<(&OwnerId, &Party)> {
        self.parties
            .iter()
            .find(|(_, party)| party.tenant.as_deref() == Some(tenant))
    }
}

fn check_kind(place: &str, kind: Option<&str>) -> Result<(), TopologyError> {
    match kind.filter(|kind| EntityKind::parse(kind).is_none()) {
        None => Ok(()),
        Some(kind) => {
            let known = EntityKind::ALL.map(EntityKind::as_str).join(", ");
            Err(TopologyError::Responsibility(format!(
                "{place} {kind:?}: must be one of {known}"
            )))
        }
    }
}

/// RFC 3339, or Unix seconds.
fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Nanos>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let read = crate::import::time(&text).ok_or_else(|| {
        let sentence = format!("{text:?}: must be a time such as 2026-01-31T00:00:00+08:00");
        serde::de::Error::custom(sentence)
    })?;
    Ok(Some(read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_for_an_unknown_party_is_refused_with_its_place() {
        let error = Responsibility::from_yaml("rules: [{owner: nobody}]").unwrap_err();
        assert!(
            error.to_string().contains("rules[0].owner \"nobody\""),
            "{error}"
        );
        let party = "parties: {a: {kind: operator, name: {zh: 甲, en: A}}}";
        for (rules, named) in [
            ("edges: [{owner: b}]", "edges[0].owner \"b\""),
            (
                "edges: [{owner: a, match: {kind: blames}}]",
                "edges[0].match.kind \"blames\"",
            ),
            (
                "edges: [{owner: a, match: {to: {kind: toaster}}}]",
                "edges[0].match.to.kind \"toaster\"",
            ),
            (
                "rules: [{owner: a, valid_from: 2026-02-01T00:00:00Z, valid_to: 2026-01-01T00:00:00Z}]",
                "rules[0].valid_to",
            ),
            ("rules: [{owner: a, valid_from: soon}]", "soon"),
        ] {
            let error = Responsibility::from_yaml(&format!("{party}\n{rules}")).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
