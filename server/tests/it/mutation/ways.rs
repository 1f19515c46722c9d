//! Every way in that takes a body or parameters, with something that is taken there.

use demarc_proto::otlp::collector::{
    logs::v1::ExportLogsServiceRequest as Logs,
    metrics::v1::ExportMetricsServiceRequest as Metrics,
    trace::v1::ExportTraceServiceRequest as Traces,
};
use prost::Message;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{Server, gauge, now, span};

/// A way in.
pub(super) struct Way {
    method: Method,
    pub(super) url: String,
    headers: &'static [(&'static str, &'static str)],
    /// What is made of a payload before it is sent.
    wrap: Wrap,
    pub(super) seed: Vec<u8>,
    /// The status of the answer to the seed.
    pub(super) answer: u16,
}

#[derive(Clone, Copy)]
enum Wrap {
    /// The body, as it is.
    Plain,
    Snappy,
    Zstd,
    /// A message of gRPC.
    Grpc,
    /// The end of the URL.
    Url,
}

impl Way {
    pub(super) fn request(&self, client: &Client, payload: &[u8]) -> RequestBuilder {
        let method = self.method.clone();
        let mut request = match self.wrap {
            Wrap::Url => client.request(method, format!("{}{}", self.url, escaped(payload))),
            _ => client.request(method, &self.url).body(self.body(payload)),
        };
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        request
    }

    fn body(&self, payload: &[u8]) -> Vec<u8> {
        match self.wrap {
            Wrap::Plain | Wrap::Url => payload.to_vec(),
            Wrap::Snappy => snap::raw::Encoder::new().compress_vec(payload).unwrap(),
            Wrap::Zstd => zstd::stream::encode_all(payload, 3).unwrap(),
            Wrap::Grpc => framed(payload),
        }
    }

    fn answered(mut self, status: u16) -> Self {
        self.answer = status;
        self
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &len[..], message].concat()
}

/// Bytes that a URL cannot have are escaped; escapes that are wrong stay so.
fn escaped(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'=' | b'&' | b'%' | b'/' | b'?' | b'-' => {
            char::from(*byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    bytes.iter().map(one).collect()
}

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];
const PROTOBUF: &[(&str, &str)] = &[("Content-Type", "application/x-protobuf")];
const PROTOBUF_ZSTD: &[(&str, &str)] = &[
    ("Content-Type", "application/x-protobuf"),
    ("Content-Encoding", "zstd"),
];
const WRITE_2: &[(&str, &str)] = &[(
    "Content-Type",
    "application/x-protobuf;proto=io.prometheus.write.v2.Request",
)];
const FORM: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];
const TEXT: &[(&str, &str)] = &[("Content-Type", "text/plain")];
const GRPC: &[(&str, &str)] = &[("Content-Type", "application/grpc")];
const OPERATOR: &[(&str, &str)] = &[("X-Scope-OrgID", "operator")];

fn way(url: String, headers: &'static [(&str, &str)], wrap: Wrap, seed: impl Into<Vec<u8>>) -> Way {
    let method = match wrap {
        Wrap::Url => Method::GET,
        _ => Method::POST,
    };
    Way {
        method,
        url,
        headers,
        wrap,
        seed: seed.into(),
        answer: 200,
    }
}

/// All of them.
pub(super) fn ways(server: &Server) -> Vec<Way> {
    let mut all = otlp(server);
    all.extend(remote_write(server));
    all.extend(forms(server));
    all.extend(urls(server));
    all.extend(documents(server));
    all.extend(flight(server));
    all
}

fn protobuf<M: Message + serde::de::DeserializeOwned>(body: &Value) -> Vec<u8> {
    serde_json::from_value::<M>(body.clone())
        .unwrap()
        .encode_to_vec()
}

fn log() -> Value {
    json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]},
        "scopeLogs": [{"scope": {"name": "test"}, "logRecords": [{
            "timeUnixNano": now().to_string(),
            "severityNumber": 9,
            "severityText": "INFO",
            "body": {"stringValue": "GET / 200"},
            "attributes": [{"key": "http.route", "value": {"stringValue": "/"}}],
            "traceId": "5b8efff798038103d269b633813fc60c",
            "spanId": "0000000000000001",
        }]}],
    }]})
}

fn histogram() -> Value {
    json!({"resourceMetrics": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]},
        "scopeMetrics": [{"metrics": [{"name": "took", "unit": "s", "exponentialHistogram": {
            "aggregationTemporality": 2,
            "dataPoints": [{
                "timeUnixNano": now().to_string(), "count": "3", "sum": 3.5, "scale": 1, "zeroCount": "1",
                "positive": {"offset": 1, "bucketCounts": ["1", "1"]},
            }],
        }}]}],
    }]})
}

fn otlp(server: &Server) -> Vec<Way> {
    let (spans, log) = (span("api", 1, 2, ""), log());
    let (gauge, histogram) = (gauge("queue.fill", 0.5), histogram());
    let mut ways = Vec::new();
    for (signal, body, bytes) in [
        ("traces", &spans, protobuf::<Traces>(&spans)),
        ("metrics", &gauge, protobuf::<Metrics>(&gauge)),
        ("metrics", &histogram, protobuf::<Metrics>(&histogram)),
        ("logs", &log, protobuf::<Logs>(&log)),
    ] {
        let url = || format!("{}/v1/{signal}", server.otlp);
        let name = match signal {
            "traces" => "trace.v1.TraceService",
            "metrics" => "metrics.v1.MetricsService",
            _ => "logs.v1.LogsService",
        };
        let service = format!("/opentelemetry.proto.collector.{name}/Export");
        let grpc = || format!("{}{service}", server.grpc);
        ways.extend([
            way(url(), JSON, Wrap::Plain, body.to_string()),
            way(url(), PROTOBUF, Wrap::Plain, bytes.clone()),
            way(url(), PROTOBUF_ZSTD, Wrap::Zstd, bytes.clone()),
            way(grpc(), GRPC, Wrap::Grpc, bytes.clone()),
            way(grpc(), GRPC, Wrap::Plain, framed(&bytes)),
        ]);
        let compressed = zstd::stream::encode_all(bytes.as_slice(), 3).unwrap();
        ways.push(way(url(), PROTOBUF_ZSTD, Wrap::Plain, compressed));
    }
    ways
}

/// A sample of 1 as both versions write it.
const SAMPLE: [u8; 18] = [
    0x12, 0x10, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0x80, 0xc0, 0xe6, 0xf1, 0xe5, 0x33,
];

fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// A `prometheus.WriteRequest` with one sample of `jobs`.
fn write_1() -> Vec<u8> {
    let label = [field(0x0a, b"__name__"), field(0x12, b"jobs")].concat();
    field(0x0a, &[field(0x0a, &label), SAMPLE.to_vec()].concat())
}

/// An `io.prometheus.write.v2.Request` with the same.
fn write_2() -> Vec<u8> {
    let symbols = ["", "__name__", "jobs"].map(|symbol| field(0x22, symbol.as_bytes()));
    let series = [field(0x0a, &[1, 2]), SAMPLE.to_vec()].concat();
    [symbols.concat(), field(0x2a, &series)].concat()
}

fn remote_write(server: &Server) -> Vec<Way> {
    let url = |path: &str| format!("{}/api/v1/{path}", server.http);
    let snappy = |plain: &[u8]| snap::raw::Encoder::new().compress_vec(plain).unwrap();
    let ways = [
        way(url("write"), &[], Wrap::Plain, snappy(&write_1())),
        way(url("push"), &[], Wrap::Snappy, write_1()),
        way(url("write"), WRITE_2, Wrap::Plain, snappy(&write_2())),
        way(url("write"), WRITE_2, Wrap::Snappy, write_2()),
    ];
    ways.into_iter().map(|way| way.answered(204)).collect()
}

/// Parameters of queries.
const PARAMETERS: [(&str, &str); 8] = [
    (
        "query",
        "query=sum(rate(jobs[5m]))by(job)&time=1700000000&timeout=1s&stats=all",
    ),
    (
        "query_range",
        "query=jobs-offset-1m&start=1700000000&end=1700000600&step=15",
    ),
    (
        "query_exemplars",
        "query=jobs&start=1700000000&end=1700000600",
    ),
    ("format_query", "query=sum(jobs)by(a)"),
    ("parse_query", "query=jobs{a=\"b\"}"),
    (
        "series",
        "match[]=jobs&start=1700000000&end=1700000600&limit=5",
    ),
    ("labels", "match[]={a=~\"b.*\"}&limit=5"),
    ("label/job/values", "match[]=jobs&limit=5"),
];

fn forms(server: &Server) -> Vec<Way> {
    let mut ways = Vec::new();
    for (path, parameters) in PARAMETERS {
        let parameters = parameters.replace("-offset-", "%20offset%20");
        let url = format!("{}/api/v1/{path}", server.http);
        if path != "label/job/values" {
            ways.push(way(url.clone(), FORM, Wrap::Plain, parameters.clone()));
        }
        ways.push(way(format!("{url}?"), &[], Wrap::Url, parameters));
    }
    ways
}

fn urls(server: &Server) -> Vec<Way> {
    let url = |path: &str, seed: &str| way(format!("{}{path}", server.http), &[], Wrap::Url, seed);
    let mut ways = vec![
        url("/api/v1/label/", "__name__/values"),
        url(
            "/api/v1/metadata?",
            "metric=jobs&limit=5&limit_per_metric=1",
        ),
        url(
            "/api/v1/rules?",
            "type=alert&rule_name[]=a&match[]=jobs&exclude_alerts=true",
        ),
        url("/api/v1/targets?", "state=active&scrapePool=api"),
        url("/api/v1/status/tsdb?", "limit=5"),
        url("/federate?", "match[]=jobs"),
        url("/api/v1/topology?", "at=1700000000"),
        url("/api/v1/topology/problems?", "at=2023-11-14T00:00:00Z"),
        url("/api/v1/responsibility?", "at=1700000000"),
        url("/api/v1/incidents?", "state=open"),
        url(
            "/api/v1/topology/neighbourhood?",
            "entity=host:host-a&depth=2&limit=5",
        ),
        url(
            "/api/v1/incidents/",
            "0190163d-8694-739b-aea5-966c26f8ad91/report?lang=en",
        )
        .answered(404),
    ];
    for prefix in ["/api/v1/traces/", "/api/traces/", "/api/v2/traces/"] {
        ways.push(url(prefix, "5b8efff798038103d269b633813fc60c"));
    }
    let mut deletion = url("/api/v1/tenants/", "nobody");
    deletion.method = Method::DELETE;
    deletion.headers = OPERATOR;
    ways.push(deletion);
    ways
}

const INVENTORY: &str =
    "kind,name,from,to,rack\nhost,host-a,,,r12\nvm,vm-7,,,\nruns_on,,vm:vm-7,host:host-a,\n";
const INVENTORY_YAML: &str = "entities:\n  - {kind: host, name: host-b, attributes: {rack: r12}}\n";
const OWNERS: &str = "
parties:
  operator: {kind: operator, tenant: operator, name: {zh: 运营方, en: Operator}, rota: platform}
rules:
  - {owner: operator, match: {kind: host}, contract: C-1}
";

fn documents(server: &Server) -> Vec<Way> {
    let url = |path: &str| format!("{}/api/v1/{path}", server.http);
    let sql = "SELECT service, count(*) FROM spans WHERE duration > 1000 GROUP BY service ORDER BY 2 LIMIT 5";
    let change = json!({"kind": "deployment", "what": "2.0", "service": "api", "who": "ci"});
    let question = json!({"service": "api", "since": "10m", "symptom": "latency"});
    vec![
        way(url("sql"), TEXT, Wrap::Plain, sql),
        way(
            url("sql"),
            JSON,
            Wrap::Plain,
            json!({"query": sql}).to_string(),
        ),
        way(url("changes"), JSON, Wrap::Plain, change.to_string()),
        way(
            url("topology/import?format=csv"),
            OPERATOR,
            Wrap::Plain,
            INVENTORY,
        ),
        way(
            url("topology/import?format=yaml"),
            OPERATOR,
            Wrap::Plain,
            INVENTORY_YAML,
        ),
        way(url("responsibility/check"), OPERATOR, Wrap::Plain, OWNERS),
        way(url("demarcate"), JSON, Wrap::Plain, question.to_string()),
    ]
}

/// Calls of Arrow Flight SQL whose messages hold messages.
fn flight(server: &Server) -> Vec<Way> {
    use arrow_flight::{
        FlightDescriptor, Ticket,
        sql::{CommandGetTables, CommandStatementQuery, ProstMessageExt, TicketStatementQuery},
    };
    let url = |call: &str| {
        format!(
            "{}/arrow.flight.protocol.FlightService/{call}",
            server.flight
        )
    };
    let query = "SELECT service FROM spans".to_owned();
    let ticket = TicketStatementQuery {
        statement_handle: query.clone().into(),
    };
    let ticket = Ticket::new(ticket.as_any().encode_to_vec());
    let command = CommandStatementQuery {
        query,
        transaction_id: None,
    };
    let tables = CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: None,
        table_name_filter_pattern: Some("s%".to_owned()),
        table_types: vec!["TABLE".to_owned()],
        include_schema: true,
    };
    let described = |bytes: Vec<u8>| FlightDescriptor::new_cmd(bytes).encode_to_vec();
    vec![
        way(url("DoGet"), GRPC, Wrap::Grpc, ticket.encode_to_vec()),
        way(
            url("GetFlightInfo"),
            GRPC,
            Wrap::Grpc,
            described(command.as_any().encode_to_vec()),
        ),
        way(
            url("GetFlightInfo"),
            GRPC,
            Wrap::Grpc,
            described(tables.as_any().encode_to_vec()),
        ),
    ]
}
