//! How much memory the requests that are being worked on may take together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::IngestError;

/// One permit stands for so many bytes.
const UNIT_BYTES: usize = 1024;

/// Hands out memory until there is no more.
#[derive(Debug)]
pub(crate) struct Budget {
    permits: Arc<Semaphore>,
    limit_bytes: usize,
}

impl Budget {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        let permits = (limit_bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self {
            permits: Arc::new(Semaphore::new(permits)),
            limit_bytes,
        }
    }

    /// Nothing yet, out of this budget.
    pub(crate) fn admission(&self) -> Admission {
        Admission {
            permits: Arc::clone(&self.permits),
            held: None,
            bytes: 0,
            limit_bytes: self.limit_bytes,
        }
    }
}

/// The memory of one request; given back when it is dropped.
#[derive(Debug)]
pub struct Admission {
    permits: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    bytes: usize,
    limit_bytes: usize,
}

impl Admission {
    /// Takes so many more bytes. [`IngestError::TooLarge`] when this request alone takes more than there is,
    /// [`IngestError::Busy`] when others hold it.
    pub fn grow(&mut self, bytes: usize) -> Result<(), IngestError> {
        self.bytes = self.bytes.saturating_add(bytes);
        let limit_bytes = self.limit_bytes;
        if self.bytes > limit_bytes {
            return Err(IngestError::TooMuchMemory {
                bytes: self.bytes,
                limit_bytes,
            });
        }
        let held = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = self.bytes.div_ceil(UNIT_BYTES).saturating_sub(held);
        if wanted == 0 {
            return Ok(());
        }
        let wanted = u32::try_from(wanted).map_err(|_| IngestError::Busy { limit_bytes })?;
        let more = Arc::clone(&self.permits)
            .try_acquire_many_owned(wanted)
            .map_err(|_| IngestError::Busy { limit_bytes })?;
        match &mut self.held {
            Some(held) => held.merge(more),
            held => *held = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_waits_for_what_the_other_holds() {
        let budget = Budget::new(10 << 10);
        let mut one = budget.admission();
        one.grow(100).unwrap();
        one.grow(8 << 10).unwrap();
        let mut other = budget.admission();
        assert!(matches!(other.grow(4 << 10), Err(IngestError::Busy { .. })));
        drop(one);
        let mut other = budget.admission();
        assert!(other.grow(10 << 10).is_ok());
        assert!(matches!(
            other.grow(1),
            Err(IngestError::TooMuchMemory { .. })
        ));
    }
}
