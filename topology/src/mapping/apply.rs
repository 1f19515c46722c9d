//! Series, resources and entity references to entities and relations, by the tables.

use std::borrow::Cow;

use demarc_proto::{
    AttrValue, Attributes, EntityRef, Labels, Nanos, ResourceObservation, SeriesObservation,
    TenantId,
};

use super::{EntityRule, Mappings, Rule, entity_type, template::Variables};
use crate::{
    CallStats, EntityKind, Layer, Provenance, RelationKind, TopologyConfig,
    entity::VIRTUAL,
    history::{Claim, Sighting, Tie, Told},
    identify,
    state::State,
};

/// Labels of a series, and behind them the attributes of its resource.
struct OfSeries<'a> {
    labels: &'a Labels,
    resource: Option<&'a Attributes>,
}

impl Variables for OfSeries<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.labels.get(name) {
            "" => self.resource?.text(name),
            value => Some(Cow::Borrowed(value)),
        }
    }
}

struct OfResource<'a>(&'a Attributes);

impl Variables for OfResource<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.text(name)
    }
}

impl Mappings {
    /// Notes what a series tells of.
    pub(crate) fn series(
        &self,
        state: &mut State,
        seen: &SeriesObservation,
        config: &TopologyConfig,
    ) {
        let variables = OfSeries {
            labels: &seen.labels,
            resource: seen.resource.as_deref(),
        };
        for rule in self.of_metric(seen.labels.metric()) {
            if rule.only_nonzero && seen.value == 0.0 {
                continue;
            }
            note(state, rule, &variables, (&seen.tenant, seen.at), config);
        }
    }

    /// Notes what a resource tells of beside itself and what it runs on.
    pub(crate) fn resource(
        &self,
        state: &mut State,
        seen: &ResourceObservation,
        config: &TopologyConfig,
    ) {
        let variables = OfResource(&seen.resource);
        for rule in &self.by_resource {
            note(state, rule, &variables, (&seen.tenant, seen.at), config);
        }
        self.entity_refs(state, seen, config);
    }

    /// Notes the entities that a resource names by type and id. Where attributes name the same one, it has that name.
    fn entity_refs(&self, state: &mut State, seen: &ResourceObservation, config: &TopologyConfig) {
        let teller = identify::teller(seen);
        for one in &seen.entities {
            let Some(named) = self.entity_ref(seen, one) else {
                continue;
            };
            let is_used = teller.as_ref().filter(|_| is_used(named.told.kind));
            if let Some(teller) = is_used.filter(|teller| **teller != named.id) {
                let key = (teller.clone(), named.id.clone(), RelationKind::Uses);
                let (during, none) = ((seen.at, seen.at), CallStats::default());
                state.relation(key, Provenance::EntityRef, during, none, config);
            }
            state.entity(named, (seen.at, seen.at), config);
        }
    }

    fn entity_ref(&self, seen: &ResourceObservation, one: &EntityRef) -> Option<Sighting> {
        let found = entity_type::find(&self.entity_types, &one.kind)?;
        let kind = found.kind?;
        if kind == EntityKind::Host && identify::host(&seen.resource).is_none() {
            return None;
        }
        let values = one.id_keys.iter().map(|key| seen.resource.text(key));
        let values = values.map(|value| value.map(Cow::into_owned));
        let values = values.collect::<Option<Vec<String>>>()?;
        let mut name = found.name(&OfResource(&seen.resource), &values);
        if name.is_empty() {
            return None;
        }
        if kind == EntityKind::Component {
            // Things of two types may have one name.
            name = format!("{}/{name}", one.kind);
        }
        let keys = one.id_keys.iter().chain(&one.description_keys);
        let told = keys.filter_map(|key| {
            let value = seen.resource.text(key)?.into_owned();
            Some((key.as_str(), AttrValue::Str(value)))
        });
        let mut attributes: Attributes = told.collect();
        attributes.set("otel.entity.type", AttrValue::from(one.kind.as_str()));
        let claim = Claim::of(Provenance::EntityRef);
        Some(sighting(kind, &name, &seen.tenant, (claim, attributes)))
    }
}

/// Whether whatever names such an entity uses it: what carries it, and what it is a part of, attributes tell.
fn is_used(kind: EntityKind) -> bool {
    kind == EntityKind::Component || matches!(kind.layer(), Layer::Middleware | Layer::Storage)
}

fn note(
    state: &mut State,
    rule: &Rule,
    variables: &dyn Variables,
    (tenant, at): (&TenantId, Nanos),
    config: &TopologyConfig,
) {
    if !rule.matches(variables) {
        return;
    }
    let source = match rule.provenance {
        Provenance::Metric | Provenance::ServiceGraph => rule.exporter.as_str(),
        _ => "",
    };
    let claim = Claim::from(rule.provenance, source);
    let made = rule
        .entities
        .iter()
        .map(|entity| made(entity, variables, tenant, &claim));
    let made: Vec<Option<Sighting>> = made.collect();
    for (from, kind, to) in &rule.relations {
        let (Some(from), Some(to)) = (&made[*from], &made[*to]) else {
            continue;
        };
        if from.id != to.id {
            let key = (from.id.clone(), to.id.clone(), Tie::Relation(*kind));
            let claim = (claim.clone(), rule.provenance.confidence());
            state.tie(key, claim, ((at, at), CallStats::default()), config);
        }
    }
    for sighting in made.into_iter().flatten() {
        state.entity(sighting, (at, at), config);
    }
}

fn made(
    rule: &EntityRule,
    variables: &dyn Variables,
    tenant: &TenantId,
    claim: &Claim,
) -> Option<Sighting> {
    let name = rule.name.render(variables)?;
    let attributes = rule.attributes.iter().filter_map(|(key, template)| {
        let value = template.render(variables)?;
        Some((key.as_str(), AttrValue::Str(value)))
    });
    let attributes = attributes.collect();
    Some(sighting(
        rule.kind,
        &name,
        tenant,
        (claim.clone(), attributes),
    ))
}

fn sighting(
    kind: EntityKind,
    name: &str,
    tenant: &TenantId,
    (claim, mut attributes): (Claim, Attributes),
) -> Sighting {
    if kind == EntityKind::External {
        attributes.set(VIRTUAL, AttrValue::from(crate::calls::host_of(name)));
    }
    let own = kind.is_tenants_own();
    Sighting {
        id: kind.id(tenant, name),
        told: Told {
            kind,
            // The tenant and the namespace are part of the id, not of what people call it.
            name: if own {
                name.rsplit('/').next().unwrap_or(name).to_owned()
            } else {
                name.to_owned()
            },
            tenant: own.then(|| tenant.clone()),
            claim,
            attributes,
        },
    }
}
