//! Reads what is needed of spans: who, when, how long, how it ended, whom it called.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int64Type},
};
use demarc_proto::{EntityId, Nanos, Peer, TenantId, TimeRange};
use demarc_query::Engine;

use crate::IncidentError;

/// One span, cut down.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace: Vec<u8>,
    pub(crate) id: Vec<u8>,
    pub(crate) parent: Option<Vec<u8>>,
    pub(crate) service: EntityId,
    pub(crate) is_client: bool,
    pub(crate) is_server: bool,
    pub(crate) start: Nanos,
    pub(crate) duration_ns: i64,
    pub(crate) failed: bool,
    /// Whom a client span says it called.
    pub(crate) peer: Option<Address>,
}

/// Whom a client span says it called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    /// The entity that this would be if it sent no telemetry.
    pub(crate) entity: EntityId,
    /// The SQL condition that selects such spans.
    pub(crate) condition: String,
}

/// The SQL condition that selects spans that lie wholly within one of the bounds (first and last, Unix nanoseconds).
///
/// A request that is still under way at the end is not of the evidence: its span arrives later, and evidence must not change.
pub(crate) fn ended_within(bounds: &[(i64, i64)]) -> String {
    let one = |(from, to): &(i64, i64)| {
        format!("start_time >= {from} AND start_time < {to} AND start_time + duration <= {to}")
    };
    match bounds {
        [only] => format!("({})", one(only)),
        several => {
            let any: Vec<String> = several
                .iter()
                .map(|bound| format!("({})", one(bound)))
                .collect();
            format!("({})", any.join(" OR "))
        }
    }
}

/// Spans that lie within `range`, the newest `limit` of them.
pub(crate) async fn read(
    engine: &Engine,
    tenant: &TenantId,
    range: TimeRange,
    limit: usize,
) -> Result<Vec<Span>, IncidentError> {
    let sql = format!(
        "SELECT trace_id, span_id, parent_span_id, kind, start_time, duration, status_code, service, \
         resource_attributes['service.namespace'] AS namespace, \
         attributes['server.address'] AS address, attributes['server.port'] AS port, \
         attributes['db.system.name'] AS db, attributes['db.namespace'] AS db_namespace, \
         attributes['messaging.system'] AS messaging, \
         attributes['messaging.destination.name'] AS destination, attributes['peer.service'] AS peer \
         FROM spans WHERE {} ORDER BY start_time DESC LIMIT {limit}",
        ended_within(&[(range.start().0, range.end().0)])
    );
    let frame = engine.sql(tenant, &sql).await?;
    let mut spans = Vec::new();
    for batch in &frame.batches {
        of_batch(tenant, batch, &mut spans);
    }
    Ok(spans)
}

fn of_batch(tenant: &TenantId, batch: &RecordBatch, spans: &mut Vec<Span>) {
    let columns = Columns::of(batch);
    for row in 0..batch.num_rows() {
        let kind = columns.text("kind", row).unwrap_or_default();
        let service = columns.text("service", row).unwrap_or_default();
        let service = match columns.text("namespace", row) {
            Some(namespace) => format!("service:{tenant}/{namespace}/{service}"),
            None => format!("service:{tenant}/{service}"),
        };
        let is_client = matches!(kind.as_str(), "CLIENT" | "PRODUCER");
        let service = EntityId(service);
        let peer = if is_client {
            address(tenant, &service, (&columns, row))
        } else {
            None
        };
        spans.push(Span {
            trace: columns.bytes("trace_id", row).unwrap_or_default(),
            id: columns.bytes("span_id", row).unwrap_or_default(),
            parent: columns.bytes("parent_span_id", row),
            service,
            is_client,
            is_server: matches!(kind.as_str(), "SERVER" | "CONSUMER"),
            start: Nanos(columns.number("start_time", row)),
            duration_ns: columns.number("duration", row),
            failed: columns.text("status_code", row).as_deref() == Some("ERROR"),
            peer,
        });
    }
}

/// Whom a client span of `caller` says it called.
fn address(
    tenant: &TenantId,
    caller: &EntityId,
    (columns, row): (&Columns, usize),
) -> Option<Address> {
    let text = |name: &str| columns.text(name, row);
    let host = text("address");
    let place = match (&host, text("port")) {
        (Some(host), Some(port)) => Some(format!("{host}:{port}")),
        (host, _) => host.clone(),
    };
    let by_place = host.map(|host| match text("port") {
        Some(port) => format!(
            "attributes['server.address'] = {} AND attributes['server.port'] = {}",
            quoted(&host),
            quoted(&port)
        ),
        None => format!("attributes['server.address'] = {}", quoted(&host)),
    });
    let (peer, condition) = if let Some(system) = text("db") {
        let condition = by_place
            .unwrap_or_else(|| format!("attributes['db.system.name'] = {}", quoted(&system)));
        let namespace = text("db_namespace");
        let peer = Peer::Database {
            system,
            namespace,
            address: place,
        };
        (peer, condition)
    } else if let Some(system) = text("messaging") {
        let condition = format!("attributes['messaging.system'] = {}", quoted(&system));
        let destination = text("destination").unwrap_or_default();
        let peer = Peer::Messaging {
            system,
            destination,
        };
        (peer, condition)
    } else if let Some(peer) = text("peer") {
        let condition = format!("attributes['peer.service'] = {}", quoted(&peer));
        (Peer::Remote { address: peer }, condition)
    } else {
        (Peer::Remote { address: place? }, by_place?)
    };
    let entity = demarc_topology::peer_id(tenant, caller, &peer)?;
    Some(Address { entity, condition })
}

/// A text as an SQL literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The columns of a batch in the types that are read here.
pub(crate) struct Columns {
    batch: RecordBatch,
}

impl Columns {
    pub(crate) fn of(batch: &RecordBatch) -> Self {
        let columns = batch
            .columns()
            .iter()
            .map(|column| match column.data_type() {
                DataType::Utf8View | DataType::LargeUtf8 => {
                    cast(column, &DataType::Utf8).unwrap_or_else(|_| column.clone())
                }
                DataType::BinaryView | DataType::LargeBinary => {
                    cast(column, &DataType::Binary).unwrap_or_else(|_| column.clone())
                }
                _ => column.clone(),
            });
        let schema = batch.schema();
        let names = schema.fields().iter().map(|field| field.name());
        let named = names
            .zip(columns)
            .map(|(name, column)| (name, column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(named);
        Self {
            batch: batch.expect("columns of one batch have one length"),
        }
    }

    fn column(&self, name: &str, row: usize) -> Option<&arrow::array::ArrayRef> {
        self.batch
            .column_by_name(name)
            .filter(|column| !column.is_null(row))
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, name: &str, row: usize) -> Option<String> {
        let text = self.column(name, row)?.as_string_opt::<i32>()?.value(row);
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A number, 0 where there is none.
    pub(crate) fn number(&self, name: &str, row: usize) -> i64 {
        let column = self.column(name, row);
        let numbers = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
        numbers.map_or(0, |numbers| numbers.value(row))
    }

    fn bytes(&self, name: &str, row: usize) -> Option<Vec<u8>> {
        let bytes = self.column(name, row)?.as_binary_opt::<i32>()?.value(row);
        (!bytes.is_empty()).then(|| bytes.to_vec())
    }
}
