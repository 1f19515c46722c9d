//! Reads what is needed of spans: who, when, how long, how it ended, whom it called.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int32Type, Int64Type},
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
    pub(crate) name: String,
    pub(crate) is_client: bool,
    pub(crate) is_server: bool,
    pub(crate) start: Nanos,
    pub(crate) duration_ns: i64,
    pub(crate) failed: bool,
    /// Types of the exceptions that it threw.
    pub(crate) exceptions: Vec<String>,
    /// Whom a client span says it called.
    pub(crate) peer: Option<Address>,
}

impl Span {
    /// What it does: its name, and whom it calls where it says so, as many a client names all its spans alike.
    pub(crate) fn operation(&self) -> String {
        match &self.peer {
            Some(peer) => format!("{} {}", self.name, peer.entity),
            None => self.name.clone(),
        }
    }
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
        "SELECT trace_id, span_id, parent_span_id, name, kind, start_time, duration, status_code, service, \
         resource_attributes, attributes, events FROM spans WHERE {} ORDER BY start_time DESC LIMIT {limit}",
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
        let kind = columns.str("kind", row).unwrap_or_default();
        let is_client = matches!(kind, "CLIENT" | "PRODUCER");
        let service = columns.service(tenant, row);
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
            name: columns.text("name", row).unwrap_or_default(),
            is_client,
            is_server: matches!(kind, "SERVER" | "CONSUMER"),
            start: Nanos(columns.number("start_time", row)),
            duration_ns: columns.number("duration", row),
            failed: columns.str("status_code", row) == Some("ERROR"),
            exceptions: columns
                .str("events", row)
                .map(exceptions)
                .unwrap_or_default(),
            peer,
        });
    }
}

/// The types of the exceptions among a span's events, which are kept as JSON.
///
/// Source: OpenTelemetry semantic conventions, "Exceptions on spans".
fn exceptions(events: &str) -> Vec<String> {
    if !events.contains("exception") {
        return Vec::new();
    }
    let events: Vec<serde_json::Value> = serde_json::from_str(events).unwrap_or_default();
    let thrown = events.iter().filter(|event| event["name"] == "exception");
    let types = thrown.filter_map(|event| event["attributes"]["exception.type"].as_str());
    types.map(str::to_owned).collect()
}

/// Whom a client span of `caller` says it called.
fn address(
    tenant: &TenantId,
    caller: &EntityId,
    (columns, row): (&Columns, usize),
) -> Option<Address> {
    let text = |key: &str| columns.attribute("attributes", key, row).map(str::to_owned);
    let host = text("server.address");
    let place = match (&host, text("server.port")) {
        (Some(host), Some(port)) => Some(format!("{host}:{port}")),
        (host, _) => host.clone(),
    };
    let by_place = host.map(|host| match text("server.port") {
        Some(port) => format!(
            "attributes['server.address'] = {} AND attributes['server.port'] = {}",
            quoted(&host),
            quoted(&port)
        ),
        None => format!("attributes['server.address'] = {}", quoted(&host)),
    });
    let (peer, condition) = if let Some(system) = text("db.system.name") {
        let condition = by_place
            .unwrap_or_else(|| format!("attributes['db.system.name'] = {}", quoted(&system)));
        let namespace = text("db.namespace");
        let peer = Peer::Database {
            system,
            namespace,
            address: place,
        };
        (peer, condition)
    } else if let Some(system) = text("messaging.system") {
        let condition = format!("attributes['messaging.system'] = {}", quoted(&system));
        let destination = text("messaging.destination.name").unwrap_or_default();
        let peer = Peer::Messaging {
            system,
            destination,
        };
        (peer, condition)
    } else if let Some(peer) = text("peer.service") {
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
    pub(crate) fn str(&self, name: &str, row: usize) -> Option<&str> {
        let text = self.column(name, row)?.as_string_opt::<i32>()?.value(row);
        (!text.is_empty()).then_some(text)
    }

    /// A text that is not empty, of its own.
    pub(crate) fn text(&self, name: &str, row: usize) -> Option<String> {
        self.str(name, row).map(str::to_owned)
    }

    /// A number, 0 where there is none.
    pub(crate) fn number(&self, name: &str, row: usize) -> i64 {
        let Some(column) = self.column(name, row) else {
            return 0;
        };
        if let Some(numbers) = column.as_primitive_opt::<Int64Type>() {
            return numbers.value(row);
        }
        let numbers = column.as_primitive_opt::<Int32Type>();
        numbers.map_or(0, |numbers| i64::from(numbers.value(row)))
    }

    /// The value of a key in a map of text.
    pub(crate) fn attribute(&self, name: &str, key: &str, row: usize) -> Option<&str> {
        let map = self.column(name, row)?.as_map_opt()?;
        let (from, to) = (map.value_offsets()[row], map.value_offsets()[row + 1]);
        let mut within = from as usize..to as usize;
        let at = within.find(|at| text_at(map.keys(), *at) == Some(key))?;
        text_at(map.values(), at).filter(|value| !value.is_empty())
    }

    /// The service whose telemetry the row is.
    pub(crate) fn service(&self, tenant: &TenantId, row: usize) -> EntityId {
        let name = self.str("service", row).unwrap_or_default();
        EntityId(
            match self.attribute("resource_attributes", "service.namespace", row) {
                Some(namespace) => format!("service:{tenant}/{namespace}/{name}"),
                None => format!("service:{tenant}/{name}"),
            },
        )
    }

    pub(crate) fn bytes(&self, name: &str, row: usize) -> Option<Vec<u8>> {
        let bytes = self.column(name, row)?.as_binary_opt::<i32>()?.value(row);
        (!bytes.is_empty()).then(|| bytes.to_vec())
    }
}

/// A text in an array of texts, however these are kept.
fn text_at(texts: &arrow::array::ArrayRef, at: usize) -> Option<&str> {
    match texts.data_type() {
        DataType::Utf8View => Some(texts.as_string_view_opt()?.value(at)),
        _ => Some(texts.as_string_opt::<i32>()?.value(at)),
    }
}
