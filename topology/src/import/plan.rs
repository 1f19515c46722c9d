//! What an inventory changes of what is known.

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::{EntityId, Nanos};

use super::{
    ImportMode, ImportReport, RefusedLine,
    entry::{EntityEntry, Entry, Importer, RelationEntry, Valid, entry},
    read::Row,
};
use crate::{
    CallStats, Provenance, RelationKind, TopologyConfig, TopologyError,
    history::{Claim, Sighting, Tie, Told},
    interval::Intervals,
    state::State,
};

/// What is to be done, in order.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) report: ImportReport,
    entities: Vec<(EntityEntry, (Nanos, Nanos))>,
    relations: Vec<(RelationEntry, (Nanos, Nanos))>,
    /// What ends, and when.
    ended_entities: Vec<(EntityId, Nanos)>,
    ended_relations: Vec<(RelationName, Nanos)>,
}

type RelationName = (EntityId, EntityId, RelationKind);

/// What the plan is made from.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) state: &'a State,
    pub(crate) claim: &'a Claim,
    pub(crate) now: Nanos,
    pub(crate) mode: ImportMode,
}

/// Plans an import; does nothing yet.
pub(crate) fn plan(
    ground: Ground<'_>,
    (rows, refused): (Vec<Row>, Vec<RefusedLine>),
    importer: Importer<'_>,
) -> Plan {
    let mut plan = Plan::default();
    plan.report.refused = refused;
    let (mut entities, mut relations) = (BTreeMap::new(), BTreeMap::new());
    for row in rows {
        let line = row.line;
        let taken = match entry(&row, importer) {
            Ok(Entry::Entity(one)) => insert(&mut entities, one.id.clone(), (line, one)),
            Ok(Entry::Relation(one)) => {
                let key = (one.from.clone(), one.to.clone(), one.kind);
                insert(&mut relations, key, (line, one))
            }
            Err(reason) => Err(reason),
        };
        if let Err(reason) = taken {
            plan.report.refused.push(RefusedLine { line, reason });
        }
    }
    for (_, one) in entities.values() {
        plan.entity(ground, one);
    }
    for (line, one) in relations.values() {
        let ends = [("from", &one.from), ("to", &one.to)];
        let unknown = ends
            .into_iter()
            .find(|(_, id)| !entities.contains_key(*id) && ground.state.node(id).is_none());
        match unknown {
            None => plan.relation(ground, one),
            Some((field, id)) => plan.report.refused.push(RefusedLine {
                line: *line,
                reason: format!(
                    "{field} {:?}: must be an entity of this file or one that is known",
                    id.0
                ),
            }),
        }
    }
    if ground.mode == ImportMode::Replace {
        plan.end_untold(
            ground,
            &entities.into_keys().collect(),
            &relations.into_keys().collect(),
        );
    }
    plan.report.refused.sort();
    plan.report.ended.sort();
    plan
}

/// Takes an entry unless there was one of its key.
fn insert<K: Ord, V>(
    known: &mut BTreeMap<K, (u64, V)>,
    key: K,
    (line, one): (u64, V),
) -> Result<(), String> {
    match known.get(&key) {
        Some((first, _)) => Err(format!("tells again of what line {first} tells of")),
        None => {
            known.insert(key, (line, one));
            Ok(())
        }
    }
}

impl Plan {
    fn entity(&mut self, ground: Ground<'_>, one: &EntityEntry) {
        let known = ground.state.node(&one.id);
        let versions = known
            .map(|node| ground.state.graph[node].versions.as_slice())
            .unwrap_or_default();
        let mut own = versions
            .iter()
            .filter(|version| version.told.claim == *ground.claim);
        let at = one.valid.from.unwrap_or(ground.now);
        let told = one.told(ground.claim);
        let before = own.find(|version| lasts(&version.seen, at));
        let during = during(one.valid, at);
        match before {
            None => self.report.added.push(one.words()),
            Some(version) if *version.told == told => {
                if is_covered(&version.seen, one.valid, at) {
                    self.report.unchanged += 1;
                    return;
                }
                self.report
                    .changed
                    .push(format!("{}: valid otherwise", one.id));
                self.ended_entities
                    .extend(one.valid.to.map(|to| (one.id.clone(), to)));
            }
            Some(version) => {
                let different = differences(&version.told, &told);
                self.report.changed.push(format!("{}: {different}", one.id));
                self.ended_entities.push((one.id.clone(), at));
            }
        }
        self.entities.push((one.clone(), during));
    }

    fn relation(&mut self, ground: Ground<'_>, one: &RelationEntry) {
        let name = (one.from.clone(), one.to.clone(), one.kind);
        let at = one.valid.from.unwrap_or(ground.now);
        let known = declared(ground, &name).filter(|(_, seen)| lasts(seen, at));
        match known {
            None => self.report.added.push(words(&name)),
            Some((confidence, seen)) => {
                let is_as_sure = confidence == one.confidence;
                if is_as_sure && is_covered(seen, one.valid, at) {
                    self.report.unchanged += 1;
                    return;
                }
                let different = if is_as_sure {
                    "valid otherwise".to_owned()
                } else {
                    format!("confidence {confidence} -> {}", one.confidence)
                };
                self.report
                    .changed
                    .push(format!("{}: {different}", words(&name)));
                let ends = one.valid.to.into_iter();
                self.ended_relations
                    .extend(ends.map(|to| (name.clone(), to)));
            }
        }
        self.relations.push((one.clone(), during(one.valid, at)));
    }

    /// Ends what the source told before and does not tell now.
    fn end_untold(
        &mut self,
        ground: Ground<'_>,
        entities: &BTreeSet<EntityId>,
        relations: &BTreeSet<RelationName>,
    ) {
        let graph = &ground.state.graph;
        for history in graph
            .node_weights()
            .filter(|one| !entities.contains(&one.id))
        {
            let mut own = history
                .versions
                .iter()
                .filter(|version| version.told.claim == *ground.claim);
            if own.any(|version| lasts(&version.seen, ground.now)) {
                self.report.ended.push(history.id.to_string());
                self.ended_entities.push((history.id.clone(), ground.now));
            }
        }
        for edge in graph.edge_indices() {
            let Tie::Relation(kind) = graph[edge].kind else {
                continue;
            };
            let ends = graph.edge_endpoints(edge);
            let (from, to) = ends.expect("an edge has two ends");
            let name = (graph[from].id.clone(), graph[to].id.clone(), kind);
            let own = declared(ground, &name);
            let holds = own.is_some_and(|(_, seen)| lasts(seen, ground.now));
            if holds && !relations.contains(&name) {
                self.report.ended.push(words(&name));
                self.ended_relations.push((name, ground.now));
            }
        }
    }

    /// Does what was planned.
    pub(crate) fn apply(self, state: &mut State, claim: &Claim, config: &TopologyConfig) {
        for (id, at) in self.ended_entities {
            let Some(node) = state.node(&id) else {
                continue;
            };
            for version in &mut state.graph[node].versions {
                if version.told.claim == *claim {
                    version.seen.end(at);
                }
            }
            state.touch_node(node);
        }
        for ((from, to, kind), at) in self.ended_relations {
            let ends = (state.node(&from), state.node(&to));
            let (Some(from), Some(to)) = ends else {
                continue;
            };
            let Some(edge) = state.edge(from, to, Tie::Relation(kind)) else {
                continue;
            };
            for one in &mut state.graph[edge].claims {
                if one.claim == *claim {
                    one.seen.end(at);
                }
            }
            state.touch_edge(edge);
        }
        for (one, during) in self.entities {
            let told = one.told(claim);
            state.entity(Sighting { id: one.id, told }, during, config);
        }
        for (one, during) in self.relations {
            let key = (one.from, one.to, Tie::Relation(one.kind));
            let told = (during, CallStats::default());
            state.tie(key, (claim.clone(), one.confidence), told, config);
        }
    }
}

/// What the source says of a relation, and when.
fn declared<'a>(
    ground: Ground<'a>,
    (from, to, kind): &RelationName,
) -> Option<(f64, &'a Intervals<CallStats>)> {
    let ends = (ground.state.node(from)?, ground.state.node(to)?);
    let edge = ground.state.edge(ends.0, ends.1, Tie::Relation(*kind))?;
    let mut claims = ground.state.graph[edge].claims.iter();
    let own = claims.find(|one| one.claim == *ground.claim)?;
    Some((own.confidence, &own.seen))
}

fn during(valid: Valid, at: Nanos) -> (Nanos, Nanos) {
    let last = valid.to.map_or(Nanos(i64::MAX), |to| Nanos(to.0 - 1));
    (at, last.max(at))
}

/// Whether any of it holds at `at` or later.
fn lasts<T: crate::interval::Summable>(seen: &Intervals<T>, at: Nanos) -> bool {
    seen.newest().is_some_and(|newest| newest >= at)
}

/// Whether what is known already says the same.
fn is_covered<T: crate::interval::Summable>(seen: &Intervals<T>, valid: Valid, at: Nanos) -> bool {
    let (first, last) = during(valid, at);
    seen.iter()
        .any(|one| one.first <= first && one.last == last)
}

fn words((from, to, kind): &RelationName) -> String {
    format!("{from} {} {to}", kind.as_str())
}

impl EntityEntry {
    fn told(&self, claim: &Claim) -> Told {
        Told {
            kind: self.kind,
            name: self.name.clone(),
            tenant: self.tenant.clone(),
            claim: claim.clone(),
            attributes: self.attributes.clone(),
        }
    }

    fn words(&self) -> String {
        format!("{} [{} {}]", self.id, self.kind, self.kind.layer())
    }
}

/// What is different between two tellings of one entity.
fn differences(before: &Told, after: &Told) -> String {
    let mut found = Vec::new();
    let mut note = |what: &str, before: &str, after: &str| {
        if before != after {
            found.push(format!("{what} {before:?} -> {after:?}"));
        }
    };
    note("kind", before.kind.as_str(), after.kind.as_str());
    note("name", &before.name, &after.name);
    let tenant = |told: &Told| {
        told.tenant
            .as_ref()
            .map_or("", |one| one.as_str())
            .to_owned()
    };
    note("tenant", &tenant(before), &tenant(after));
    let keys: BTreeSet<&String> = before
        .attributes
        .0
        .keys()
        .chain(after.attributes.0.keys())
        .collect();
    for key in keys {
        let text = |told: &Told| told.attributes.text(key).unwrap_or_default().into_owned();
        note(key, &text(before), &text(after));
    }
    found.join(", ")
}

/// The claim of an inventory of this name.
pub(crate) fn claim(source: &str) -> Result<Claim, TopologyError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if source.is_empty() || source.len() > 100 || !source.chars().all(allowed) {
        return Err(TopologyError::Import(format!(
            "source {source:?}: must be 1 to 100 letters, digits, -, _ and ."
        )));
    }
    Ok(Claim::from(Provenance::Cmdb, source))
}
