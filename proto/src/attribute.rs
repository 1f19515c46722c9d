//! Attributes of resources, spans, logs and entities.

use std::{borrow::Cow, collections::BTreeMap};

/// The value of one attribute, with the type that the sender gave it.
#[derive(Clone, Debug, PartialEq)]
pub enum AttrValue {
    /// Text.
    Str(String),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// An array, a map or bytes (base64), as JSON.
    Json(String),
}

impl AttrValue {
    /// The value as text: what the stored attribute columns and Prometheus labels hold.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Str(text) | Self::Json(text) => Cow::Borrowed(text),
            Self::Int(number) => Cow::Owned(number.to_string()),
            Self::Double(number) => Cow::Owned(number.to_string()),
            Self::Bool(truth) => Cow::Borrowed(if *truth { "true" } else { "false" }),
        }
    }
}

impl From<&str> for AttrValue {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

/// Attributes by key, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(pub BTreeMap<String, AttrValue>);

impl Attributes {
    /// The text of an attribute that is text and not empty.
    pub fn str(&self, key: &str) -> Option<&str> {
        match self.0.get(key) {
            Some(AttrValue::Str(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Any attribute as text.
    pub fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        self.0.get(key).map(AttrValue::text)
    }

    /// Sets one attribute.
    pub fn set(&mut self, key: impl Into<String>, value: AttrValue) {
        self.0.insert(key.into(), value);
    }

    /// Key and value of each attribute, sorted by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &AttrValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many attributes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>> FromIterator<(K, AttrValue)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (K, AttrValue)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect(),
        )
    }
}
