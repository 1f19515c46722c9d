//! One entity and one relation through time, as the signals told of them.

use std::{cmp::Ordering, fmt, sync::Arc, time::Duration};

use demarc_proto::{Attributes, EntityId, Nanos, TenantId};

use crate::{
    CallStats, EntityKind, Provenance, TopologyConfig,
    interval::{Interval, Intervals},
};

/// Most versions kept of one entity, and most signals of one relation; those that were seen least lately go first.
const MAX_VERSIONS: usize = 32;

/// Who says so: a signal and, where it has several origins, which of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    pub(crate) provenance: Provenance,
    /// The exporter, the inventory; empty where there is only one origin.
    pub(crate) source: Arc<str>,
}

impl Claim {
    pub(crate) fn of(provenance: Provenance) -> Self {
        Self::from(provenance, "")
    }

    pub(crate) fn from(provenance: Provenance, source: &str) -> Self {
        Self {
            provenance,
            source: source.into(),
        }
    }

    /// The claim that [`fmt::Display`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (word, source) = text.split_once(':').unwrap_or((text, ""));
        Some(Self::from(Provenance::parse(word)?, source))
    }

    /// How long something holds that this claim told of last: an inventory says itself when it ends.
    pub(crate) fn gap(&self, of_telemetry: Duration) -> Duration {
        match self.provenance {
            Provenance::Cmdb => Duration::ZERO,
            _ => of_telemetry,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.provenance.as_str())?;
        if self.source.is_empty() {
            return Ok(());
        }
        f.write_str(":")?;
        f.write_str(&self.source)
    }
}

/// Most callers kept of one name.
const MAX_CALLERS: usize = 1024;

/// What one signal says of an entity.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) kind: EntityKind,
    pub(crate) name: String,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) claim: Claim,
    pub(crate) attributes: Attributes,
}

/// An entity as one observation tells of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sighting {
    pub(crate) id: EntityId,
    pub(crate) told: Told,
}

/// One thing that was told of an entity, and when.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) told: Arc<Told>,
    pub(crate) seen: Intervals<()>,
}

/// One entity through time.
#[derive(Clone, Debug)]
pub(crate) struct EntityHistory {
    pub(crate) id: EntityId,
    pub(crate) versions: Vec<Version>,
    /// Whether it waits to be written to the store.
    pub(crate) is_queued: bool,
}

/// Whether what was noted had been told before; what is new is the last of the versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    Known,
    New,
}

/// An entity as all signals tell of it at one time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    pub(crate) kind: EntityKind,
    pub(crate) name: String,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) attributes: Attributes,
    pub(crate) first: Nanos,
    pub(crate) last: Nanos,
}

impl Known {
    /// The value of an attribute, or the name, by which entities are tied.
    pub(crate) fn value(&self, key: &str) -> Option<String> {
        let value = match key {
            crate::mapping::NAME => Some(self.name.clone()),
            key => self.attributes.text(key).map(|value| value.into_owned()),
        };
        value.filter(|value| !value.is_empty())
    }
}

impl EntityHistory {
    pub(crate) fn new(id: EntityId) -> Self {
        Self {
            id,
            versions: Vec::new(),
            is_queued: false,
        }
    }

    /// Notes what was told during `[first, last]`.
    pub(crate) fn note(
        &mut self,
        told: Told,
        during: (Nanos, Nanos),
        config: &TopologyConfig,
    ) -> Noted {
        let gap = told.claim.gap(config.entity_gap());
        let known = self
            .versions
            .iter_mut()
            .find(|version| *version.told == told);
        if let Some(version) = known {
            version.seen.widen(during, (), gap);
            return Noted::Known;
        }
        if self.versions.len() >= MAX_VERSIONS {
            let oldest = (0..self.versions.len()).min_by_key(|at| self.versions[*at].seen.newest());
            self.versions
                .swap_remove(oldest.expect("there are MAX_VERSIONS"));
        }
        let mut seen = Intervals::default();
        seen.widen(during, (), gap);
        let told = Arc::new(told);
        self.versions.push(Version { told, seen });
        Noted::New
    }

    /// What holds at `at`, the least trusted first; of equally trusted ones what began last comes last.
    pub(crate) fn alive(
        &self,
        at: Nanos,
        config: &TopologyConfig,
    ) -> Vec<(&Arc<Told>, &Interval<()>)> {
        let mut alive: Vec<(&Arc<Told>, &Interval<()>)> = self
            .versions
            .iter()
            .filter_map(|version| {
                let gap = version.told.claim.gap(config.entity_gap());
                Some((&version.told, version.seen.alive(at, gap)?))
            })
            .collect();
        alive.sort_by(|(a, a_seen), (b, b_seen)| {
            let trust = |told: &Told| told.claim.provenance.confidence();
            trust(a)
                .total_cmp(&trust(b))
                .then(a_seen.first.cmp(&b_seen.first))
                .then_with(|| a.compared(b))
        });
        alive
    }

    /// What the entity is at `at`; `None` when nothing tells of it then.
    pub(crate) fn kind_at(&self, at: Nanos, config: &TopologyConfig) -> Option<EntityKind> {
        let alive = self.versions.iter().filter(|version| {
            let gap = version.told.claim.gap(config.entity_gap());
            version.seen.alive(at, gap).is_some()
        });
        // A service that also says what database it is, is that database.
        alive.map(|version| version.told.kind).max()
    }

    /// The entity at `at`; `None` when nothing tells of it then.
    pub(crate) fn at(&self, at: Nanos, config: &TopologyConfig) -> Option<Known> {
        let alive = self.alive(at, config);
        let (best, seen) = alive.last()?;
        let mut known = Known {
            kind: best.kind,
            name: best.name.clone(),
            tenant: best.tenant.clone(),
            attributes: Attributes::default(),
            first: seen.first,
            last: seen.last,
        };
        for (told, seen) in &alive {
            known.kind = known.kind.max(told.kind);
            // Told of by two tenants, it is shared.
            if known.tenant != told.tenant {
                known.tenant = None;
            }
            known.first = known.first.min(seen.first);
            known.last = known.last.max(seen.last);
            let pairs = told.attributes.0.iter();
            known
                .attributes
                .0
                .extend(pairs.map(|(key, value)| (key.clone(), value.clone())));
        }
        known.first = self.since(known.first, config);
        known.last = known.last.min(at);
        Some(known)
    }

    /// Since when the entity was there without a gap, if it was there at `from`.
    fn since(&self, mut from: Nanos, config: &TopologyConfig) -> Nanos {
        loop {
            let before = self.versions.iter().filter_map(|version| {
                let gap = version.told.claim.gap(config.entity_gap());
                version.seen.alive(from, gap).map(|seen| seen.first)
            });
            match before.min() {
                Some(earlier) if earlier < from => from = earlier,
                _ => return from,
            }
        }
    }

    /// When anything was told of it last.
    pub(crate) fn newest(&self) -> Option<Nanos> {
        self.versions
            .iter()
            .filter_map(|version| version.seen.newest())
            .max()
    }
}

impl Told {
    /// Orders things that are told, whatever order they were told in.
    fn compared(&self, other: &Self) -> Ordering {
        let own = (&self.claim, self.kind, &self.name, &self.tenant);
        let others = (&other.claim, other.kind, &other.name, &other.tenant);
        own.cmp(&others).then_with(|| {
            let pairs = self
                .attributes
                .iter()
                .map(|(key, value)| (key, value.text()));
            pairs.cmp(
                other
                    .attributes
                    .iter()
                    .map(|(key, value)| (key, value.text())),
            )
        })
    }

    /// A text that orders what is told, whatever order it was told in.
    pub(crate) fn order(&self) -> String {
        let pairs: Vec<String> = self
            .attributes
            .iter()
            .map(|(key, value)| format!("{key}={}", value.text()))
            .collect();
        let tenant = self.tenant.as_ref().map_or("", |tenant| tenant.as_str());
        format!(
            "{}\u{1}{tenant}\u{1}{}\u{1}{}\u{1}{}",
            self.claim,
            self.kind,
            self.name,
            pairs.join("\u{1}")
        )
    }
}

/// What one claim says of a relation, and when.
#[derive(Clone, Debug)]
pub(crate) struct Evidenced {
    pub(crate) claim: Claim,
    /// How far it may be trusted, 0 to 1.
    pub(crate) confidence: f64,
    pub(crate) seen: Intervals<CallStats>,
}

/// One relation through time.
#[derive(Clone, Debug)]
pub(crate) struct RelationHistory {
    pub(crate) kind: Tie,
    pub(crate) claims: Vec<Evidenced>,
    /// Whether it waits to be written to the store.
    pub(crate) is_queued: bool,
}

/// What an edge of the state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tie {
    /// A relation of the graph.
    Relation(crate::RelationKind),
    /// The first is a name by which a caller, named by the claim's source, calls the second.
    Alias,
}

impl Tie {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Relation(kind) => kind.as_str(),
            Self::Alias => "alias",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "alias" => Some(Self::Alias),
            word => crate::RelationKind::parse(word).map(Self::Relation),
        }
    }
}

impl RelationHistory {
    pub(crate) fn new(kind: Tie) -> Self {
        Self {
            kind,
            claims: Vec::new(),
            is_queued: false,
        }
    }

    /// Notes what a claim says of `[first, last]`.
    pub(crate) fn note(
        &mut self,
        (claim, confidence): (Claim, f64),
        during: (Nanos, Nanos),
        calls: CallStats,
        config: &TopologyConfig,
    ) {
        let gap = claim.gap(config.relation_gap());
        let at = self.claims.iter().position(|known| known.claim == claim);
        let at = at.unwrap_or_else(|| {
            self.claims.push(Evidenced {
                claim,
                confidence,
                seen: Intervals::default(),
            });
            self.claims.len() - 1
        });
        self.claims[at].confidence = self.claims[at].confidence.max(confidence);
        self.claims[at].seen.widen(during, calls, gap);
        let most = match self.kind {
            Tie::Alias => MAX_CALLERS,
            Tie::Relation(_) => MAX_VERSIONS,
        };
        if self.claims.len() > most {
            let oldest = (0..self.claims.len()).min_by_key(|at| self.claims[*at].seen.newest());
            self.claims
                .swap_remove(oldest.expect("there are more than the most"));
        }
    }

    /// The claims that hold at `at`, sorted.
    pub(crate) fn alive(
        &self,
        at: Nanos,
        config: &TopologyConfig,
    ) -> Vec<(&Evidenced, Interval<CallStats>)> {
        let mut alive: Vec<_> = self
            .claims
            .iter()
            .filter_map(|one| {
                let gap = one.claim.gap(config.relation_gap());
                Some((one, *one.seen.alive(at, gap)?))
            })
            .collect();
        alive.sort_by(|(a, _), (b, _)| a.claim.cmp(&b.claim));
        alive
    }

    pub(crate) fn is_alive(&self, at: Nanos, config: &TopologyConfig) -> bool {
        self.claims.iter().any(|one| {
            let gap = one.claim.gap(config.relation_gap());
            one.seen.alive(at, gap).is_some()
        })
    }

    /// When anything was told of it last.
    pub(crate) fn newest(&self) -> Option<Nanos> {
        self.claims.iter().filter_map(|one| one.seen.newest()).max()
    }
}
