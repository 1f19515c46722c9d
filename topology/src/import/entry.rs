//! One row of an inventory, checked.

use demarc_proto::{AttrValue, Attributes, EntityId, Nanos, TenantId};

use super::{read::Row, time};
use crate::{EntityKind, Provenance, RelationKind};

/// What a row says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    Entity(EntityEntry),
    Relation(RelationEntry),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EntityEntry {
    pub(crate) id: EntityId,
    pub(crate) kind: EntityKind,
    pub(crate) name: String,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) attributes: Attributes,
    pub(crate) valid: Valid,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RelationEntry {
    pub(crate) from: EntityId,
    pub(crate) to: EntityId,
    pub(crate) kind: RelationKind,
    pub(crate) confidence: f64,
    pub(crate) valid: Valid,
}

/// When it holds: `None` is what the import says by default, now and without an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Valid {
    pub(crate) from: Option<Nanos>,
    pub(crate) to: Option<Nanos>,
}

/// Who imports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Importer<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) operator: &'a str,
}

impl Importer<'_> {
    fn is_operator(self) -> bool {
        self.tenant.as_str() == self.operator
    }

    /// Refuses an id that is neither the importer's own nor, for the operator, anybody's.
    pub(crate) fn may_name(self, field: &str, id: &EntityId) -> Result<(), String> {
        let (word, rest) =
            id.0.split_once(':')
                .filter(|(_, rest)| !rest.is_empty())
                .ok_or_else(|| format!("{field} {:?}: must be <kind>:<name>", id.0))?;
        let kind = kind(field, word)?;
        if self.is_operator() {
            return Ok(());
        }
        if !kind.is_tenants_own() {
            return Err(format!(
                "{field} {:?}: shared infrastructure; only the tenant {:?} may import it",
                id.0, self.operator
            ));
        }
        if rest.split('/').next() != Some(self.tenant.as_str()) {
            return Err(format!(
                "{field} {:?}: must be the tenant's own, {word}:{}/<name>",
                id.0, self.tenant
            ));
        }
        Ok(())
    }
}

/// Checks a row; the error names the field, its value, and what would be right.
pub(crate) fn entry(row: &Row, importer: Importer<'_>) -> Result<Entry, String> {
    let is_relation = row.fields.contains_key("from") || row.fields.contains_key("to");
    if is_relation {
        relation(row, importer).map(Entry::Relation)
    } else {
        entity(row, importer).map(Entry::Entity)
    }
}

fn entity(row: &Row, importer: Importer<'_>) -> Result<EntityEntry, String> {
    let field = |name: &str| row.fields.get(name).map(String::as_str);
    let told = field("kind").map(|word| kind("kind", word)).transpose()?;
    let tenant = match field("tenant") {
        Some(name) => Some(TenantId::new(name).map_err(|error| error.to_string())?),
        None => None,
    };
    let owner = tenant.clone().unwrap_or_else(|| importer.tenant.clone());
    let (id, kind) = match (field("id"), told, field("name")) {
        (Some(id), told, _) => {
            let id = EntityId(id.to_owned());
            let word = id.0.split(':').next().unwrap_or_default();
            let named = kind("id", word)?;
            (id, told.unwrap_or(named))
        }
        (None, Some(kind), Some(name)) => (kind.id(&owner, name), kind),
        (None, None, _) => return Err("kind: must be given where there is no id".to_owned()),
        (None, Some(_), None) => return Err("name: must be given where there is no id".to_owned()),
    };
    importer.may_name("id", &id)?;
    let name = field("name").unwrap_or_else(|| own_name(&id));
    Ok(EntityEntry {
        name: name.to_owned(),
        tenant: match tenant {
            Some(tenant) => Some(tenant),
            None if kind.is_tenants_own() => tenant_of(&id).or(Some(owner)),
            None => None,
        },
        attributes: row
            .attributes
            .iter()
            .map(|(key, value)| (key.as_str(), AttrValue::from(value.as_str())))
            .collect::<Attributes>(),
        valid: valid(row)?,
        id,
        kind,
    })
}

fn relation(row: &Row, importer: Importer<'_>) -> Result<RelationEntry, String> {
    let end = |name: &str| match row.fields.get(name) {
        Some(id) => Ok(EntityId(id.clone())),
        None => Err(format!("{name}: must name an entity")),
    };
    let (from, to) = (end("from")?, end("to")?);
    importer.may_name("from", &from)?;
    importer.may_name("to", &to)?;
    if from == to {
        return Err(format!("to {:?}: must be another entity than from", to.0));
    }
    let word = row.fields.get("kind").map_or("", String::as_str);
    let kind = RelationKind::parse(word).ok_or_else(|| {
        let known: Vec<&str> = RelationKind::ALL.map(RelationKind::as_str).to_vec();
        format!("kind {word:?}: must be one of {}", known.join(", "))
    })?;
    let confidence = match row.fields.get("confidence") {
        None => Provenance::Cmdb.confidence(),
        Some(text) => text
            .parse::<f64>()
            .ok()
            .filter(|confidence| *confidence > 0.0 && *confidence <= 1.0)
            .ok_or_else(|| format!("confidence {text:?}: must be above 0 and at most 1"))?,
    };
    if let Some(key) = row.attributes.keys().next() {
        return Err(format!("{key}: a relation has no attributes"));
    }
    Ok(RelationEntry {
        from,
        to,
        kind,
        confidence,
        valid: valid(row)?,
    })
}

fn kind(field: &str, word: &str) -> Result<EntityKind, String> {
    EntityKind::parse(word).ok_or_else(|| {
        let known: Vec<&str> = EntityKind::ALL.map(EntityKind::as_str).to_vec();
        format!("{field} {word:?}: must be one of {}", known.join(", "))
    })
}

/// The name within an id: without kind and tenant.
fn own_name(id: &EntityId) -> &str {
    let name = id.0.split_once(':').map_or(id.as_str(), |(_, name)| name);
    let is_own =
        id.0.split(':')
            .next()
            .and_then(EntityKind::parse)
            .is_some_and(EntityKind::is_tenants_own);
    match name.split_once('/') {
        Some((_, name)) if is_own => name,
        _ => name,
    }
}

/// The tenant within the id of an entity that belongs to one.
fn tenant_of(id: &EntityId) -> Option<TenantId> {
    let (_, name) = id.0.split_once(':')?;
    let (tenant, _) = name.split_once('/')?;
    TenantId::new(tenant).ok()
}

fn valid(row: &Row) -> Result<Valid, String> {
    let at = |name: &str| match row.fields.get(name) {
        None => Ok(None),
        Some(text) => time(text).map(Some).ok_or_else(|| {
            format!(
                "{name} {text:?}: must be a time such as 2026-01-31T10:02:00+08:00, or Unix seconds"
            )
        }),
    };
    let valid = Valid {
        from: at("valid_from")?,
        to: at("valid_to")?,
    };
    match valid {
        Valid {
            from: Some(from),
            to: Some(to),
        } if from >= to => {
            let text = &row.fields["valid_to"];
            Err(format!("valid_to {text:?}: must be after valid_from"))
        }
        valid => Ok(valid),
    }
}
