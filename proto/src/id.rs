//! Identities that must not be confused with each other.

use std::fmt;

use crate::label::Labels;

/// Why a text is not an id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdError {
    /// Not a tenant id.
    #[error(
        "tenant id {0:?}: must be 1 to 150 characters out of letters, digits and !-_.*'(), and not \".\" or \"..\""
    )]
    Tenant(String),
    /// Not a trace or span id.
    #[error("{got:?}: must be {digits} hexadecimal digits, not all zero")]
    Hex {
        /// What was given.
        got: String,
        /// How many digits it must have.
        digits: usize,
    },
}

/// The unit of isolation and retention, named by `X-Scope-OrgID`.
///
/// Source: Grafana Mimir, "About tenant IDs" (allowed characters and length).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(String);

impl TenantId {
    /// Checks `text` and takes it as a tenant id.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c);
        let is_path_step = text == "." || text == "..";
        if text.is_empty() || text.len() > 150 || is_path_step || !text.chars().all(allowed) {
            return Err(IdError::Tenant(text));
        }
        Ok(Self(text))
    }

    /// The id as it appears in `X-Scope-OrgID`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TenantId {
    /// The tenant of requests that name none.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A 128-bit hash of a tenant and a label set; the same on every node and after every restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u128);

impl SeriesId {
    /// The id of `labels` within `tenant`.
    pub fn of(tenant: &TenantId, labels: &Labels) -> Self {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(tenant.as_str().as_bytes());
        for (name, value) in labels.iter() {
            // 0xff cannot occur in UTF-8, so no two label sets share these bytes.
            hasher.update(&[0xff]);
            hasher.update(name.as_bytes());
            hasher.update(&[0xff]);
            hasher.update(value.as_bytes());
        }
        Self(hasher.digest128())
    }

    /// Big-endian bytes, as stored in the `series_id` columns.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The id stored as `bytes`; `None` unless there are 16 of them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(u128::from_be_bytes(bytes.try_into().ok()?)))
    }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// `None` unless `bytes` has the right length and is not all zero, which OTLP calls invalid.
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let bytes: [u8; $len] = bytes.try_into().ok()?;
                if bytes == [0; $len] { None } else { Some(Self(bytes)) }
            }

            /// The id written as hexadecimal digits, upper or lower case.
            pub fn from_hex(text: &str) -> Result<Self, IdError> {
                let invalid = || IdError::Hex { got: text.to_owned(), digits: 2 * $len };
                let mut bytes = [0; $len];
                const_hex::decode_to_slice(text, &mut bytes).map_err(|_| invalid())?;
                Self::from_bytes(&bytes).ok_or_else(invalid)
            }

            /// Lower-case hexadecimal digits.
            pub fn to_hex(self) -> String {
                const_hex::encode(self.0)
            }

            /// The raw bytes, as stored.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }
    };
}

hex_id!(
    /// Names one trace: 16 bytes, not all zero.
    TraceId, 16
);
hex_id!(
    /// Names one span within a trace: 8 bytes, not all zero.
    SpanId, 8
);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// Names one entity of the topology: `<kind>:<name>`, or `<kind>:<tenant>/<name>` where the kind belongs to a tenant.
    EntityId
);
impl EntityId {
    /// A service of a tenant, within its namespace if it has one.
    pub fn service(tenant: &TenantId, namespace: Option<&str>, name: &str) -> Self {
        Self(match namespace {
            Some(namespace) => format!("service:{tenant}/{namespace}/{name}"),
            None => format!("service:{tenant}/{name}"),
        })
    }

    /// Infrastructure that is no tenant's own, by the steps of its name from the outside in: of a pod its cluster, its namespace
    /// and its name. Empty steps are left out.
    pub fn shared(kind: &str, steps: &[&str]) -> Self {
        let steps: Vec<&str> = steps
            .iter()
            .copied()
            .filter(|step| !step.is_empty())
            .collect();
        Self(format!("{kind}:{}", steps.join("/")))
    }
}

text_id!(
    /// Names one accountable party: an agency, a vendor, the operator or a third party.
    OwnerId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_ids_follow_the_rules_of_x_scope_orgid() {
        for good in ["default", "tax-bureau", "a.b_c*(1)'!", "A1"] {
            assert!(TenantId::new(good).is_ok(), "{good}");
        }
        let too_long = "x".repeat(151);
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "税务",
            "a|b",
            too_long.as_str(),
        ] {
            assert!(TenantId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hex_ids_round_trip_and_refuse_zero() {
        let id = TraceId::from_hex("5B8EFFF798038103D269B633813FC60C").unwrap();
        assert_eq!(id.to_hex(), "5b8efff798038103d269b633813fc60c");
        assert!(SpanId::from_hex("0000000000000000").is_err());
        assert!(SpanId::from_hex("eee19b7ec3c1b17").is_err());
    }

    #[test]
    fn moving_a_byte_between_name_and_value_changes_the_series() {
        let tenant = TenantId::default();
        let one = Labels::from_pairs([("ab", "c")]);
        let other = Labels::from_pairs([("a", "bc")]);
        assert_ne!(SeriesId::of(&tenant, &one), SeriesId::of(&tenant, &other));
    }
}
