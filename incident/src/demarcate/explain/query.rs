//! The queries that anybody may run again.

use demarc_proto::{EntityId, Nanos};

use crate::{
    Evidence, OperationFacts, QueryLanguage, StoredQuery,
    gather::{ended_within, quoted, service_condition, service_parts},
};

/// The query that shows how a service serves.
pub(super) fn service_query(evidence: &Evidence, id: &EntityId) -> StoredQuery {
    if let Some(level) = evidence.levels.get(id) {
        return level.requests_query.clone();
    }
    let text = format!(
        "SELECT {during} AS during, count(*) AS requests, avg(duration) / 1e6 AS mean_ms, \
         avg(CASE WHEN status_code = 'ERROR' THEN 1.0 ELSE 0.0 END) AS failed FROM spans WHERE {service} \
         AND kind IN ('SERVER', 'CONSUMER') AND {within} GROUP BY 1 ORDER BY 1",
        during = ended_within(&[(evidence.onset, evidence.until)]),
        within = ended_within(&bounds(evidence)),
        service = service_condition(id),
    );
    stored(evidence, id, text)
}

/// The query that shows what follows an operation's spans.
pub(super) fn operation_query(evidence: &Evidence, operation: &OperationFacts) -> StoredQuery {
    let text = format!(
        "SELECT {during} AS during, child.service, child.name, count(*) AS spans FROM spans AS parent \
         LEFT JOIN (SELECT trace_id, parent_span_id, service, name FROM spans) AS child \
         ON parent.trace_id = child.trace_id AND parent.span_id = child.parent_span_id \
         WHERE parent.{service} AND parent.name = {name} AND {within} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        during = ended_within(&[(evidence.onset, evidence.until)]),
        service =
            service_condition(&operation.service).replace(" AND resource", " AND parent.resource"),
        name = quoted(&operation.span_name),
        within = ended_within(&bounds(evidence)),
    );
    stored(evidence, &operation.service, text)
}

pub(super) fn self_time_query(evidence: &Evidence, id: &EntityId) -> StoredQuery {
    let condition = service_condition(id);
    let within = ended_within(&bounds(evidence));
    let text = format!(
        "WITH calls AS (SELECT trace_id, sum(duration) AS waited FROM spans WHERE {condition} \
         AND kind IN ('CLIENT', 'PRODUCER') AND {within} GROUP BY trace_id) \
         SELECT {during} AS during, count(*) AS requests, \
         avg(duration - coalesce(waited, 0)) / 1e6 AS self_ms \
         FROM spans LEFT JOIN calls ON spans.trace_id = calls.trace_id \
         WHERE {condition} AND kind IN ('SERVER', 'CONSUMER') AND {within} GROUP BY 1 ORDER BY 1",
        during = ended_within(&[(evidence.onset, evidence.until)]),
    );
    stored(evidence, id, text)
}

fn bounds(evidence: &Evidence) -> Vec<(i64, i64)> {
    let own = std::iter::once((evidence.start, evidence.until));
    own.chain(evidence.history.iter().copied()).collect()
}

fn stored(evidence: &Evidence, id: &EntityId, text: String) -> StoredQuery {
    StoredQuery {
        tenant: service_parts(id).0.to_owned(),
        language: QueryLanguage::Sql,
        text,
        start: Nanos(evidence.start).to_millis().0,
        end: Nanos(evidence.until).to_millis().0,
        step: 0,
        digest: String::new(),
    }
}
