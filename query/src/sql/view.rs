//! Tables that read well: names instead of ids, timestamps instead of numbers.

use datafusion::prelude::SessionContext;

use crate::QueryError;

/// Each view and the query that it stands for.
const VIEWS: [(&str, &str); 4] = [
    (
        "metrics",
        // A series has a row for each day on which it has samples.
        "SELECT to_timestamp_millis(samples.time) AS time, samples.metric AS metric, named.labels AS labels, \
                samples.value AS value, named.unit AS unit, named.kind AS kind \
         FROM samples JOIN (SELECT series_id, first_value(labels) AS labels, first_value(unit) AS unit, \
                                   first_value(kind) AS kind FROM series GROUP BY series_id) AS named \
         ON samples.series_id = named.series_id",
    ),
    (
        "traces",
        "SELECT to_timestamp_nanos(start_time) AS time, encode(trace_id, 'hex') AS trace_id, \
                encode(span_id, 'hex') AS span_id, encode(parent_span_id, 'hex') AS parent_span_id, service, \
                name AS operation, kind, duration / 1000000.0 AS duration_ms, status_code AS status, status_message, \
                attributes, resource_attributes AS resource FROM spans",
    ),
    (
        "log_lines",
        "SELECT to_timestamp_nanos(time) AS time, service, severity_text AS severity, body AS line, \
                encode(trace_id, 'hex') AS trace_id, encode(span_id, 'hex') AS span_id, attributes, \
                resource_attributes AS resource FROM logs",
    ),
    (
        "change_log",
        "SELECT to_timestamp_nanos(time) AS time, kind, entity, who, what, attributes FROM changes",
    ),
];

/// Functions whose result is as large as an argument says: no limit of memory would see it coming.
const UNBOUNDED: [&str; 9] = [
    "repeat",
    "lpad",
    "rpad",
    "range",
    "generate_series",
    "array_repeat",
    "list_repeat",
    "array_resize",
    "list_resize",
];

/// Adds the views to a session over one tenant's tables.
pub(super) async fn add_views(context: &SessionContext) -> Result<(), QueryError> {
    for (name, definition) in VIEWS {
        let view = context.sql(definition).await?.into_view();
        context.register_table(name, view)?;
    }
    Ok(())
}

/// The names of all views.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    VIEWS.into_iter().map(|(name, _)| name)
}

/// Takes functions out of a session that can use up all memory at once.
pub(super) fn remove_unbounded(context: &SessionContext) {
    for name in UNBOUNDED {
        context.deregister_udf(name);
    }
}
