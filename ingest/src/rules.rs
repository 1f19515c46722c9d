//! What a request is judged by: found once, so that it may be read on another thread.

use demarc_proto::{Nanos, TenantId};

use crate::{Limits, time::Bounds};

/// The rules for the rows of one request.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) tenant: TenantId,
    pub(crate) limits: Limits,
    pub(crate) bounds: Bounds,
    pub(crate) now: Nanos,
}
