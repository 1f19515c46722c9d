//! Whose data a request is about: the header `X-Scope-OrgID`, else `default`.

use axum::{extract::FromRequestParts, http::request::Parts};
use demarc_proto::TenantId;

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
            TenantId::new(text).map_err(|error| format!("X-Scope-OrgID: {error}"))
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let value = parts.headers.get(HEADER).map(|value| value.as_bytes());
        of(value).map(Self).map_err(ApiError::bad_request)
    }
}
