//! Collects what a request brings: checks each value, finds its series, and fills the columns.

use std::{cmp::Ordering, sync::Arc};

use demarc_proto::{
    Attributes, Labels, METRIC_NAME, Millis, Observation, SeriesId, SeriesObservation, TenantId,
};
use demarc_store::{Exemplar, Histogram, MetricRows, Samples, SeriesEntry, SeriesRef};

use super::{
    Metadata, Written,
    incoming::{Incoming, PointValue, RawSample, Values},
    label::shown,
};
use crate::{
    Admission, IngestConfig, IngestError, Limits,
    receipt::{Refusal, Tally},
    registry::{Known, Path, Table, Tenant},
    time::Bounds,
    watch::Watch,
};

/// What a request brought, in columns.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) samples: Samples,
    /// Histograms and exemplars, by series.
    pub(crate) metrics: Vec<MetricRows>,
    /// What is to be remembered once all of it is durable.
    pub(crate) known: Table,
    /// What the topology is to be told then.
    pub(crate) seen: Vec<Observation>,
    pub(crate) written: Written,
}

/// Fills [`Collected`].
pub(crate) struct Collector<'a> {
    pub(super) limits: &'a Limits,
    tenant_id: &'a TenantId,
    tenant: &'a Tenant,
    bounds: Bounds,
    window_ms: i64,
    minute: u32,
    version: u16,
    watch: &'a Watch,
    /// The resource that the values come from, where the protocol has such.
    resource: Option<Arc<Attributes>>,
    /// Series that had values in this request already.
    touched: Table,
    /// Where the tenant's next series is most likely known.
    path: Path,
    admission: &'a mut Admission,
    new_series: usize,
    /// Series that the store may get.
    series_left: usize,
    pub(super) values: Values,
    tally: Tally,
    collected: Collected,
}

/// What holds while a request is worked on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) bounds: Bounds,
    /// Minutes since the epoch.
    pub(crate) minute: u32,
    pub(crate) watch: &'a Watch,
    /// Series that the store may get.
    pub(crate) series_left: usize,
}

/// Bytes of a request for which room for one series is made: about what one takes with a single sample.
const BYTES_PER_SERIES: usize = 128;

/// The state of one series while its values are taken.
struct Cursor<'a> {
    incoming: &'a Incoming<'a>,
    /// `None` until the store is to be told of it, for the first time or because its sender says something new.
    series: Option<SeriesRef>,
    newest: i64,
    bits: u64,
    metadata: u32,
    /// Read once they are needed.
    labels: Option<Labels>,
    /// Histograms and exemplars.
    rows: MetricRows,
    is_changed: bool,
    is_watched: bool,
}

impl Cursor<'_> {
    fn labels(&mut self) -> Result<&Labels, Refusal> {
        if self.labels.is_none() {
            self.labels = Some((self.incoming.labels)()?);
        }
        Ok(self.labels.as_ref().expect("set above"))
    }
}

impl<'a> Collector<'a> {
    pub(crate) fn new(
        config: &'a IngestConfig,
        tenant_id: &'a TenantId,
        tenant: &'a Tenant,
        now: Moment<'a>,
        admission: &'a mut Admission,
    ) -> Self {
        let window = config.out_of_order_seconds.saturating_mul(1000);
        Self {
            limits: config.limits_of(tenant_id),
            tenant_id,
            tenant,
            bounds: now.bounds,
            window_ms: i64::try_from(window).unwrap_or(i64::MAX),
            minute: now.minute,
            version: tenant.version(),
            watch: now.watch,
            resource: None,
            touched: Table::default(),
            path: Path::default(),
            admission,
            new_series: 0,
            series_left: now.series_left,
            values: Values::default(),
            tally: Tally::default(),
            collected: Collected::default(),
        }
    }

    /// Makes room for the series of a request of so many bytes.
    pub(crate) fn expect(&mut self, bytes: usize) {
        self.touched.reserve(bytes / BYTES_PER_SERIES);
    }

    /// Takes memory for what is about to be kept.
    pub(super) fn weigh(&mut self, bytes: usize) -> Result<(), IngestError> {
        self.admission.grow(bytes)
    }

    /// Keeps a sample until its series is known.
    #[inline]
    pub(super) fn sample_read(&mut self, sample: RawSample) -> Result<(), IngestError> {
        // As many as fit into a page cost nothing: the request's own size speaks for them.
        if self.values.samples.len() % 64 == 63 {
            self.weigh(64 * size_of::<RawSample>())?;
        }
        self.values.samples.push(sample);
        Ok(())
    }

    /// How a value at `time` stands to the newest one of its series that is durable.
    pub(crate) fn order(&mut self, key: u128, time: Millis) -> Ordering {
        let found = self.tenant.find(key, &mut self.path);
        let newest = found.map_or(i64::MIN, |known| known.newest);
        time.0.cmp(&newest)
    }

    /// The values that follow come from this resource.
    pub(crate) fn set_resource(&mut self, resource: &Arc<Attributes>) {
        self.resource = Some(Arc::clone(resource));
    }

    pub(crate) fn finish(mut self) -> Collected {
        self.collected.written.rejected = self.tally.into_receipt().rejected;
        self.collected.known = self.touched;
        self.collected
    }

    /// Remembers what a sender of version 1 says of a metric family.
    pub(super) fn set_metadata(&mut self, family: &str, metadata: Metadata) {
        let limit = self.limits.max_value_bytes;
        if family.is_empty() || family.len() > limit {
            let sentence = format!(
                "metric_family_name {:?}: must be 1 to {limit} bytes",
                shown(family)
            );
            self.tally.refuse(Refusal::new("bad_metadata", sentence));
            return;
        }
        self.tenant.set_metadata(family, metadata);
        self.version = self.tenant.version();
    }

    /// Takes the values that were read, as those of this series.
    pub(super) fn series(&mut self, incoming: &Incoming<'_>) {
        let mut values = std::mem::take(&mut self.values);
        match self.cursor(incoming) {
            Ok(mut cursor) => {
                for sample in &values.samples {
                    self.sample(*sample, &mut cursor);
                }
                for histogram in values.histograms.drain(..) {
                    self.histogram(histogram, &mut cursor);
                }
                for exemplar in values.exemplars.drain(..) {
                    self.exemplar(exemplar, &mut cursor);
                }
                self.close(cursor);
            }
            Err(refusal) => self.tally.refuse_all(refusal, values.len().max(1)),
        }
        values.clear();
        self.values = values;
    }

    /// Refuses the values that were read.
    pub(super) fn refuse_series(&mut self, refusal: Refusal) {
        self.tally.refuse_all(refusal, self.values.len().max(1));
        self.values.clear();
    }

    fn cursor<'i>(&mut self, incoming: &'i Incoming<'i>) -> Result<Cursor<'i>, Refusal> {
        let touched = self.touched.get(incoming.key).copied();
        let found = touched.or_else(|| self.tenant.find(incoming.key, &mut self.path));
        let mut cursor = Cursor {
            incoming,
            series: found.map(|known| known.series),
            newest: found.map_or(i64::MIN, |known| known.newest),
            bits: found.map_or(0, |known| known.bits),
            metadata: found.map_or(0, |known| known.metadata),
            labels: None,
            rows: MetricRows::default(),
            is_changed: false,
            is_watched: found.is_some_and(|known| known.is_watched),
        };
        match found {
            Some(known) if incoming.digest == 0 && known.version != self.version => {
                self.look_up_metadata(&mut cursor)?;
            }
            Some(known) if incoming.digest != 0 && known.metadata != incoming.digest => {
                (cursor.series, cursor.metadata) = (None, incoming.digest);
            }
            Some(_) => {}
            None => {
                cursor.metadata = incoming.digest;
                let labels = cursor.labels()?;
                check_size(labels)?;
                self.check_room(labels)?;
                cursor.is_watched = self.watch.contains(labels.get(METRIC_NAME));
            }
        }
        Ok(cursor)
    }

    /// What is said by family may have become something else.
    fn look_up_metadata(&self, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
        let name = cursor.labels()?.get(METRIC_NAME);
        let digest = self
            .tenant
            .metadata(name)
            .map_or(0, |metadata| metadata.digest());
        if digest != 0 && digest != cursor.metadata {
            (cursor.series, cursor.metadata) = (None, digest);
        }
        cursor.is_changed = true;
        Ok(())
    }

    fn check_room(&self, labels: &Labels) -> Result<(), Refusal> {
        let limit = self.limits.max_active_series;
        let over = if self.tenant.active() + self.new_series >= limit {
            format!("{limit} active ones (max_active_series)")
        } else if self.new_series >= self.series_left && !self.is_stored(labels) {
            "those that there may be, over all tenants (ingest.max_series)".to_owned()
        } else {
            return Ok(());
        };
        let labels = labels.to_string();
        let sentence = format!("series {}: is the first beyond {over}", shown(&labels));
        Err(Refusal::new("too_many_series", sentence))
    }

    /// Whether the store has the series already: it was idle, or the server has just started.
    fn is_stored(&self, labels: &Labels) -> bool {
        let id = SeriesId::of(self.tenant_id, labels);
        self.tenant.index.find(id).is_some()
    }

    /// Takes one value, with exemplars, as one of this series. Duplicates are taken as well, and not written.
    pub(crate) fn point(
        &mut self,
        incoming: &Incoming<'_>,
        value: PointValue,
        exemplars: Vec<Exemplar>,
    ) -> Result<(), Refusal> {
        let mut cursor = self.cursor(incoming)?;
        match value {
            PointValue::Sample(sample) => self.write_sample(sample, &mut cursor)?,
            PointValue::Histogram(time, histogram) => {
                self.write_histogram(time, *histogram, &mut cursor)?;
            }
        }
        if !exemplars.is_empty() {
            cursor.labels()?;
            cursor.rows.exemplars = exemplars;
        }
        self.close(cursor);
        Ok(())
    }

    fn sample(&mut self, sample: RawSample, cursor: &mut Cursor<'_>) {
        match self.write_sample(sample, cursor) {
            Ok(()) => self.collected.written.samples += 1,
            Err(refusal) => self.tally.refuse(refusal),
        }
    }

    fn write_sample(&mut self, sample: RawSample, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
        let admitted = self.admit(sample.time, sample.value.to_bits(), cursor)?;
        let Admitted::New(series) = admitted else {
            return Ok(());
        };
        let (samples, time) = (&mut self.collected.samples, Millis(sample.time));
        // A start that is not before the value says nothing.
        if sample.start != 0 && sample.start < sample.time {
            samples.push_started(series, Millis(sample.start), time, sample.value);
        } else {
            samples.push(series, time, sample.value);
        }
        if cursor.is_watched && !sample.value.is_nan() {
            self.see(sample, cursor)?;
        }
        Ok(())
    }

    /// Notes a value that the topology looks out for.
    fn see(&mut self, sample: RawSample, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
        let at = Millis(sample.time).to_nanos();
        if self.watch.is_news(cursor.incoming.key as u64, at) {
            let observation = SeriesObservation {
                tenant: self.tenant_id.clone(),
                at,
                labels: cursor.labels()?.clone(),
                value: sample.value,
                resource: self.resource.clone(),
            };
            self.collected.seen.push(Observation::Series(observation));
        }
        Ok(())
    }

    fn histogram(&mut self, histogram: Result<(i64, Histogram), Refusal>, cursor: &mut Cursor<'_>) {
        let written =
            histogram.and_then(|(time, histogram)| self.write_histogram(time, histogram, cursor));
        match written {
            Ok(()) => self.collected.written.histograms += 1,
            Err(refusal) => self.tally.refuse(refusal),
        }
    }

    fn write_histogram(
        &mut self,
        time: i64,
        histogram: Histogram,
        cursor: &mut Cursor<'_>,
    ) -> Result<(), Refusal> {
        let bits = super::histogram::digest(&histogram);
        if let Admitted::New(_) = self.admit(time, bits, cursor)? {
            cursor.labels()?;
            cursor.rows.histograms.push((Millis(time), histogram));
        }
        Ok(())
    }

    fn exemplar(&mut self, exemplar: Result<Exemplar, Refusal>, cursor: &mut Cursor<'_>) {
        let checked = exemplar.and_then(|exemplar| {
            let time = exemplar.time.0;
            self.bounds.check_millis("exemplar timestamp", time)?;
            self.intern(cursor)?;
            cursor.labels()?;
            cursor.rows.exemplars.push(exemplar);
            Ok(())
        });
        match checked {
            Ok(()) => self.collected.written.exemplars += 1,
            Err(refusal) => self.tally.refuse(refusal),
        }
    }

    /// Whether a value is to be written, and for which series.
    fn admit(
        &mut self,
        time: i64,
        bits: u64,
        cursor: &mut Cursor<'_>,
    ) -> Result<Admitted, Refusal> {
        self.bounds.check_millis("timestamp", time)?;
        if time == cursor.newest {
            if bits == cursor.bits {
                self.collected.written.duplicates += 1;
                return Ok(Admitted::Duplicate);
            }
            let sentence = format!("timestamp {time}: the series has another value at that time");
            return Err(Refusal::new("duplicate_timestamp", sentence));
        }
        if time < cursor.newest.saturating_sub(self.window_ms) {
            let sentence = format!(
                "timestamp {time}: more than {} s before the series' newest value at {} (out_of_order_seconds)",
                self.window_ms / 1000,
                cursor.newest
            );
            return Err(Refusal::new("too_old", sentence));
        }
        let series = self.intern(cursor)?;
        if time < cursor.newest {
            self.collected.written.out_of_order += 1;
        } else {
            (cursor.newest, cursor.bits) = (time, bits);
        }
        Ok(Admitted::New(series))
    }

    /// The number of the series; tells the store of it where it does not know it, or not what is said of it now.
    fn intern(&mut self, cursor: &mut Cursor<'_>) -> Result<SeriesRef, Refusal> {
        cursor.is_changed = true;
        if let Some(series) = cursor.series {
            return Ok(series);
        }
        let labels = cursor.labels()?.clone();
        let metadata = match cursor.incoming.metadata {
            Some(metadata) => Some(metadata()),
            None => self.tenant.metadata(labels.get(METRIC_NAME)),
        };
        let metadata = metadata.unwrap_or_default();
        if cursor.incoming.digest == 0 && metadata != Metadata::default() {
            cursor.metadata = metadata.digest();
        }
        if self.touched.get(cursor.incoming.key).is_none() && cursor.newest == i64::MIN {
            self.new_series += 1;
        }
        let series = self.tenant.index.intern(SeriesEntry {
            id: SeriesId::of(self.tenant_id, &labels),
            labels,
            kind: metadata.kind,
            unit: metadata.unit,
            help: metadata.help,
        });
        cursor.series = Some(series);
        Ok(series)
    }

    fn close(&mut self, cursor: Cursor<'_>) {
        let Some(series) = cursor.series.filter(|_| cursor.is_changed) else {
            return;
        };
        let known = Known {
            series,
            newest: cursor.newest,
            bits: cursor.bits,
            seen_minute: self.minute,
            metadata: cursor.metadata,
            version: self.version,
            is_watched: cursor.is_watched,
        };
        self.touched.insert(cursor.incoming.key, known);
        if !cursor.rows.is_empty() {
            self.collected.metrics.push(MetricRows {
                labels: cursor.labels.unwrap_or_default(),
                ..cursor.rows
            });
        }
    }
}

/// Most bytes of all labels of a series together: they are kept in memory for as long as the series is known.
const MAX_LABELS_BYTES: usize = 32 << 10;

fn check_size(labels: &Labels) -> Result<(), Refusal> {
    let bytes: usize = labels
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes <= MAX_LABELS_BYTES {
        return Ok(());
    }
    let sentence = format!(
        "series {}: {bytes} bytes of labels, at most {MAX_LABELS_BYTES}",
        shown(labels.metric())
    );
    Err(Refusal::new("labels_too_large", sentence))
}

/// What is done with a value that is not refused.
enum Admitted {
    New(SeriesRef),
    /// It is there already.
    Duplicate,
}
