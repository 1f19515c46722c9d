//! The frame that the requests of all OTLP signals share: groups of one resource each, in them scopes, in them items.
//!
//! Source: OpenTelemetry, `opentelemetry-proto`: the fields have the same numbers in every signal.

use std::sync::Arc;

use demarc_proto::{
    Attributes, EntityRef,
    otlp::{common::v1::InstrumentationScope, resource::v1::Resource},
};
use prost::Message;

use crate::{
    IngestError, Limits, Signal, WireError,
    attribute::{start_of, utf8},
    receipt::Refusal,
    resource::{entity_refs, resource},
    wire::Wire,
};

/// What one resource sent, as it stands in a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group<'a> {
    bytes: &'a [u8],
}

/// What one scope of a resource sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// Its name; empty when it has none.
    pub(crate) name: &'a str,
    bytes: &'a [u8],
}

/// The attributes of a resource and the entities that it names.
pub(crate) struct Sender {
    pub(crate) resource: Arc<Attributes>,
    pub(crate) entities: Vec<EntityRef>,
}

/// The groups of a request.
pub(crate) fn groups(body: &[u8]) -> impl Iterator<Item = Result<Group<'_>, WireError>> {
    messages(body, 1).map(|group| Ok(Group { bytes: group? }))
}

impl<'a> Group<'a> {
    /// Who sent it; the inner error refuses all its items.
    pub(crate) fn sender(
        &self,
        signal: Signal,
        limits: &Limits,
    ) -> Result<Result<Sender, Refusal>, IngestError> {
        let mut found: Option<Resource> = None;
        for part in messages(self.bytes, 1) {
            let merged = found.get_or_insert_default().merge(part?);
            merged.map_err(|source| IngestError::Protobuf { signal, source })?;
        }
        let entities = entity_refs(found.as_ref());
        Ok(resource(found, limits).map(|resource| Sender { resource, entities }))
    }

    /// Its scopes.
    pub(crate) fn scopes(
        &self,
        limits: &Limits,
    ) -> impl Iterator<Item = Result<Scope<'a>, WireError>> + use<'a> {
        let max_bytes = limits.max_value_bytes;
        let scopes = messages(self.bytes, 2);
        scopes.map(move |scope| {
            let bytes = scope?;
            // Every item repeats the name.
            let name = start_of(scope_name(bytes)?, max_bytes);
            Ok(Scope { name, bytes })
        })
    }

    /// How many items there are in all scopes.
    pub(crate) fn count(&self) -> Result<usize, WireError> {
        let mut count = 0;
        for scope in messages(self.bytes, 2) {
            for item in messages(scope?, 2) {
                item?;
                count += 1;
            }
        }
        Ok(count)
    }
}

impl<'a> Scope<'a> {
    /// What it says of itself, if anything, and the URL of its schema.
    pub(crate) fn named(
        &self,
        signal: Signal,
    ) -> Result<(Option<InstrumentationScope>, &'a str), IngestError> {
        let mut found: Option<InstrumentationScope> = None;
        for part in messages(self.bytes, 1) {
            let merged = found.get_or_insert_default().merge(part?);
            merged.map_err(|source| IngestError::Protobuf { signal, source })?;
        }
        let mut schema_url = "";
        for url in messages(self.bytes, 3) {
            schema_url = utf8(3, url?)?;
        }
        Ok((found, schema_url))
    }

    /// Its items.
    pub(crate) fn items(&self) -> impl Iterator<Item = Result<&'a [u8], WireError>> + use<'a> {
        messages(self.bytes, 2)
    }
}

fn scope_name(bytes: &[u8]) -> Result<&str, WireError> {
    let mut name = "";
    for scope in messages(bytes, 1) {
        for text in messages(scope?, 1) {
            name = utf8(1, text?)?;
        }
    }
    Ok(name)
}

/// The values of a field that holds messages or texts, in their order. Ends after the first error.
pub(crate) fn messages(bytes: &[u8], field: u32) -> impl Iterator<Item = Result<&[u8], WireError>> {
    let mut fields = Wire::new(bytes);
    std::iter::from_fn(move || {
        loop {
            let value = match fields.next() {
                Ok(None) => return None,
                Ok(Some((number, value))) if number == field => value.bytes(field),
                Ok(Some(_)) => continue,
                Err(error) => Err(error),
            };
            if value.is_err() {
                fields = Wire::new(&[]);
            }
            return Some(value);
        }
    })
}
