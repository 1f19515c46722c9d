//! Reading a request without taking it: what would become of it, for fuzzing and for whoever wants to know beforehand.

use bytes::Bytes;
use demarc_proto::TenantId;

use crate::{
    Admission, Ingest, IngestError, Payload, Receipt, RemoteWrite, Signal, Written, accept::Read,
};

impl Ingest {
    /// The receipt that [`Ingest::otlp`] would give for this request now. Nothing is written; as with a request that could
    /// not be made durable, new series count as active.
    pub fn rehearse_otlp(
        &self,
        tenant: &TenantId,
        signal: Signal,
        payload: Payload,
    ) -> Result<Receipt, IngestError> {
        let taken = self.read(tenant, signal, payload)?;
        let tally = match taken.read {
            Read::Traces(read) => read.tally,
            Read::Logs(read) => read.tally,
            Read::Metrics(points) => {
                points.state.deltas.lock().take_back(points.added);
                points.state.remember_series(points.collected.known);
                points.tally
            }
        };
        let mut receipt = tally.into_receipt();
        receipt.repaired = taken.repaired as u64;
        Ok(receipt)
    }

    /// What [`Ingest::remote_write`] would say to this request now; as with [`Ingest::rehearse_otlp`], nothing is written.
    pub fn rehearse_remote_write(
        &self,
        tenant: &TenantId,
        version: RemoteWrite,
        body: Bytes,
        mut admission: Admission,
    ) -> Result<Written, IngestError> {
        let (state, collected) = self.read_remote_write(tenant, version, &body, &mut admission)?;
        state.remember_series(collected.known);
        Ok(collected.written)
    }
}
