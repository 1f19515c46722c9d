//! Whose data a request is about: the header `X-Scope-OrgID`, else `default`.

use axum::{extract::FromRequestParts, http::request::Parts};
use demarc_proto::TenantId;
use demarc_query::Tenants;

use crate::status::ApiError;

/// The header, in lower case as HTTP/2 wants it.
pub(crate) const HEADER: &str = "x-scope-orgid";

/// The tenant of a request.
#[derive(Clone, Debug)]
pub(crate) struct Tenant(pub(crate) TenantId);

/// The tenant that a header's value names.
pub(crate) fn of(value: Option<&[u8]>) -> Result<TenantId, String> {
    match value {
        None => Ok(TenantId::default()),
        Some(value) => {
            let text =
                std::str::from_utf8(value).map_err(|_| "X-Scope-OrgID: must be text".to_owned())?;
            if text.contains('|') {
                return Err(format!(
                    "X-Scope-OrgID {text:?}: several tenants at once can be read by PromQL only"
                ));
            }
            TenantId::new(text).map_err(|error| format!("X-Scope-OrgID: {error}"))
        }
    }
}

/// The tenants whose data a query reads: one, or `a|b` for several side by side.
#[derive(Clone, Debug)]
pub(crate) struct Readable(pub(crate) Tenants);

impl<S: Sync> FromRequestParts<S> for Readable {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(HEADER) else {
            return Ok(Self(TenantId::default().into()));
        };
        let named = value.to_str().map_err(|_| "must be text".to_owned());
        named
            .and_then(|named| Tenants::parse(named).map_err(|error| error.to_string()))
            .map(Self)
            .map_err(|fault| ApiError::bad_request(format!("X-Scope-OrgID: {fault}")))
    }
}

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let value = parts.headers.get(HEADER).map(|value| value.as_bytes());
        of(value).map(Self).map_err(ApiError::bad_request)
    }
}
