//! Which series exist, and which of them matchers select.

use demarc_proto::{Labels, SeriesId};

use crate::rows::MetricKind;

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesEntry {
    /// Its id, as in the `series_id` columns.
    pub id: SeriesId,
    /// Its labels, the name among them.
    pub labels: Labels,
    /// What kind of metric it is.
    pub kind: MetricKind,
    /// The unit, empty when unknown.
    pub unit: String,
    /// What the metric means, empty when unknown.
    pub help: String,
}
