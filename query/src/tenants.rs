//! Whose data a query reads.

use std::fmt;

use demarc_proto::{IdError, TenantId};

/// Whose data a query reads: one tenant's, or that of several side by side. Sorted, each once, never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tenants(Vec<TenantId>);

impl Tenants {
    /// Reads `a`, or `a|b|c` for several.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let mut tenants = Vec::new();
        for one in text.split('|') {
            tenants.push(TenantId::new(one)?);
        }
        tenants.sort();
        tenants.dedup();
        Ok(Self(tenants))
    }

    /// The only one; `None` when there are several.
    pub fn only(&self) -> Option<&TenantId> {
        match self.0.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Each of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &TenantId> {
        self.0.iter()
    }
}

impl From<TenantId> for Tenants {
    fn from(tenant: TenantId) -> Self {
        Self(vec![tenant])
    }
}

impl From<&TenantId> for Tenants {
    fn from(tenant: &TenantId) -> Self {
        Self(vec![tenant.clone()])
    }
}

impl fmt::Display for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, tenant) in self.0.iter().enumerate() {
            let bar = if at == 0 { "" } else { "|" };
            write!(f, "{bar}{tenant}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_tenants_are_sorted_and_named_once() {
        let tenants = Tenants::parse("b|a|b").unwrap();
        assert_eq!(tenants.to_string(), "a|b");
        assert!(tenants.only().is_none());
        assert!(Tenants::parse("a|").is_err() && Tenants::parse("").is_err());
    }
}
