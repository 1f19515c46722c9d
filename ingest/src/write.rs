//! From the bytes of a remote-write request to what was written of it.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use demarc_proto::TenantId;
use demarc_store::Rows;
use opentelemetry::metrics::Counter;

use crate::{
    Admission, Compression, Ingest, IngestError, RemoteWrite, Signal, Written, receipt,
    registry::{Tenant, minute},
    remote_write::{Collected, Collector, Moment},
};

fn counter(name: &'static str, description: &'static str) -> Counter<u64> {
    let meter = opentelemetry::global::meter("demarc");
    meter
        .u64_counter(name)
        .with_description(description)
        .build()
}

static OUT_OF_ORDER: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "ingest_out_of_order_samples",
        "Values older than the newest of their series, within the window; they are written",
    )
});

static DUPLICATES: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "ingest_duplicate_samples",
        "Values that were there already; they are not written again",
    )
});

impl Ingest {
    /// Takes a remote-write request, `body` in a snappy block. When it returns, what it says to be written is durable and
    /// can be queried.
    ///
    /// Values that are refused are listed and do not keep their neighbours from being written; the answer must be an error
    /// all the same, one that the sender does not answer by sending again.
    #[tracing::instrument(skip_all, err(level = "debug"), fields(%tenant, body_bytes = body.len()))]
    pub async fn remote_write(
        &self,
        tenant: &TenantId,
        version: RemoteWrite,
        body: Bytes,
        mut admission: Admission,
    ) -> Result<Written, IngestError> {
        let (owner, bytes) = (tenant.clone(), body.len());
        let read = move |ingest: &Self| {
            let read = ingest.read_remote_write(&owner, version, &body, &mut admission)?;
            // Held until the rows are written.
            Ok::<_, IngestError>((read, admission))
        };
        let ((state, mut collected), admission) = self.apart(bytes, read).await??;
        let seen = std::mem::take(&mut collected.seen);
        let written = self.write(tenant, &state, collected).await?;
        self.report(seen);
        drop(admission);
        let rows = written.samples + written.histograms + written.exemplars;
        let new = rows - written.duplicates;
        receipt::count(Signal::RemoteWrite, new, &written.rejected);
        Ok(written)
    }

    pub(crate) fn read_remote_write(
        &self,
        tenant: &TenantId,
        version: RemoteWrite,
        body: &[u8],
        admission: &mut Admission,
    ) -> Result<(Arc<Tenant>, Collected), IngestError> {
        let limit = self.config().max_body_bytes;
        let plain =
            Compression::Snappy.decompress(body, limit, &mut |bytes| admission.grow(bytes))?;
        // The columns take about as much again.
        admission.grow(plain.len())?;
        self.take_bytes(tenant, plain.len())?;
        let state = self.tenant(tenant)?;
        let collected = self.collect((tenant, &state), version, &plain, admission)?;
        Ok((state, collected))
    }

    /// Makes what was collected durable, then remembers it.
    pub(crate) async fn write(
        &self,
        tenant: &TenantId,
        state: &Tenant,
        collected: Collected,
    ) -> Result<Written, IngestError> {
        let rows = Rows {
            metrics: collected.metrics,
            ..Rows::default()
        };
        let appended = self.append(tenant, collected.samples.into(), &rows).await;
        if let Err(error) = appended {
            state.remember_series(collected.known);
            return Err(error);
        }
        state.remember(collected.known);
        count(&collected.written);
        Ok(collected.written)
    }

    /// Collects values of `tenant`.
    pub(crate) fn collector<'a>(
        &'a self,
        tenant: &'a TenantId,
        state: &'a Tenant,
        admission: &'a mut Admission,
    ) -> Collector<'a> {
        let now = Moment {
            bounds: self.bounds(tenant, Signal::RemoteWrite),
            minute: minute(self.clock.now()),
            watch: &self.watch,
            series_left: self.series_left(state),
        };
        Collector::new(self.config(), tenant, state, now, admission)
    }

    fn collect(
        &self,
        (tenant, state): (&TenantId, &Tenant),
        version: RemoteWrite,
        plain: &[u8],
        admission: &mut Admission,
    ) -> Result<Collected, IngestError> {
        let mut collector = self.collector(tenant, state, admission);
        collector.expect(plain.len());
        let read = version.read(plain, &mut collector);
        let collected = collector.finish();
        match read {
            Ok(()) => Ok(collected),
            Err(error) => {
                state.remember_series(collected.known);
                Err(error)
            }
        }
    }
}

fn count(written: &Written) {
    for (counter, count) in [
        (&OUT_OF_ORDER, written.out_of_order),
        (&DUPLICATES, written.duplicates),
    ] {
        if count > 0 {
            counter.add(count, &[]);
        }
    }
}
