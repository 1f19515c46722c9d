//! Traces and log lines as a fleet of services sends them: random ids, durations and addresses, attributes as the semantic
//! conventions name them, several services to a request as a collector batches them. The same on every run.

use demarc_proto::otlp::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};

/// The services; each calls some of those after it.
const SERVICES: [&str; 8] = [
    "tax-web", "tax-api", "filing", "identity", "ledger", "pension", "notify", "archive",
];
const PODS_OF_EACH: u64 = 4;
const ROUTES: [&str; 12] = [
    "/api/v1/declarations/{id}",
    "/api/v1/declarations",
    "/api/v1/taxpayers/{id}",
    "/api/v1/taxpayers/{id}/payments",
    "/api/v1/sessions",
    "/api/v1/accounts/{id}/balance",
    "/api/v1/documents/{id}",
    "/api/v1/documents",
    "/api/v1/rates/current",
    "/api/v1/contributions/{id}",
    "/api/v1/messages",
    "/healthz",
];
const QUERIES: [&str; 5] = [
    "SELECT id, status, amount, updated_at FROM declarations WHERE taxpayer_id = $1 ORDER BY updated_at DESC LIMIT 20",
    "UPDATE declarations SET status = $1, updated_at = now() WHERE id = $2",
    "INSERT INTO payments (id, declaration_id, amount, currency) VALUES ($1, $2, $3, $4)",
    "SELECT balance FROM accounts WHERE id = $1 FOR UPDATE",
    "SELECT name, region FROM taxpayers WHERE id = $1",
];

/// A source of requests.
#[derive(Clone, Debug)]
pub struct Traffic {
    seed: u64,
    now_ns: u64,
    /// Of each service, the trace and the span that its lines belong to.
    requests: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Traffic {
    /// Begins at `start_ns`. Sources of different seeds send different traffic.
    pub fn new(seed: u64, start_ns: u64) -> Self {
        Self {
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            now_ns: start_ns,
            requests: vec![(Vec::new(), Vec::new()); SERVICES.len()],
        }
    }

    /// About `count` spans of whole traces, two to nine spans each, a few milliseconds apart.
    pub fn spans(&mut self, count: usize) -> ExportTraceServiceRequest {
        let mut of_service: Vec<Vec<Span>> = vec![Vec::new(); SERVICES.len()];
        let mut made = 0;
        while made < count {
            self.now_ns += self.below(4_000_000);
            let trace_id = self.id::<16>();
            made += self.call(&trace_id, Vec::new(), 0, self.now_ns, &mut of_service);
        }
        let mut resource_spans = Vec::new();
        for (service, spans) in of_service.into_iter().enumerate() {
            if spans.is_empty() {
                continue;
            }
            let pod = self.below(PODS_OF_EACH);
            resource_spans.push(ResourceSpans {
                resource: Some(resource(service, pod)),
                scope_spans: vec![ScopeSpans {
                    scope: scope("io.opentelemetry.http"),
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            });
        }
        ExportTraceServiceRequest { resource_spans }
    }

    /// `count` lines of all services, a few hundred microseconds apart.
    pub fn logs(&mut self, count: usize) -> ExportLogsServiceRequest {
        let mut of_service: Vec<Vec<LogRecord>> = vec![Vec::new(); SERVICES.len()];
        for _ in 0..count {
            self.now_ns += self.below(400_000);
            let service = self.below(SERVICES.len() as u64) as usize;
            if self.below(4) == 0 {
                // Half of the requests have a trace.
                self.requests[service] = match self.below(2) {
                    0 => (Vec::new(), Vec::new()),
                    _ => (self.id::<16>(), self.id::<8>()),
                };
            }
            let line = self.line(service);
            of_service[service].push(line);
        }
        let mut resource_logs = Vec::new();
        for (service, log_records) in of_service.into_iter().enumerate() {
            let pod = self.below(PODS_OF_EACH);
            resource_logs.push(ResourceLogs {
                resource: Some(resource(service, pod)),
                scope_logs: vec![ScopeLogs {
                    scope: scope("app.logger"),
                    log_records,
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            });
        }
        ExportLogsServiceRequest { resource_logs }
    }

    /// A server span of `service` with what it calls; returns how many spans that makes.
    fn call(
        &mut self,
        trace_id: &[u8],
        parent_span_id: Vec<u8>,
        service: usize,
        start: u64,
        of_service: &mut [Vec<Span>],
    ) -> usize {
        let span_id = self.id::<8>();
        let route = ROUTES[self.below(ROUTES.len() as u64) as usize];
        let failed = self.below(100) == 0;
        let (mut at, mut made) = (start + 20_000 + self.below(400_000), 1);
        if self.below(3) > 0 {
            let took = self.duration();
            let query = self.query(trace_id, &span_id, at, took);
            of_service[service].push(query);
            at += took;
            made += 1;
        }
        let callee = service + 1 + self.below(3) as usize;
        if callee < SERVICES.len() && self.below(5) > 0 {
            let client_id = self.id::<8>();
            let begun = at;
            made += self.call(trace_id, client_id.clone(), callee, at + 80_000, of_service);
            at += self.duration() * 3;
            let mut client = self.http(SpanKind::Client, ROUTES[service], failed, callee);
            client.trace_id = trace_id.to_vec();
            client.span_id = client_id;
            client.parent_span_id = span_id.clone();
            (client.start_time_unix_nano, client.end_time_unix_nano) = (begun, at);
            of_service[service].push(client);
            made += 1;
        }
        let mut server = self.http(SpanKind::Server, route, failed, service);
        server.trace_id = trace_id.to_vec();
        server.span_id = span_id;
        server.parent_span_id = parent_span_id;
        server.start_time_unix_nano = start;
        server.end_time_unix_nano = at + 10_000 + self.below(300_000);
        of_service[service].push(server);
        made
    }

    fn http(&mut self, kind: SpanKind, route: &str, failed: bool, service: usize) -> Span {
        let method = if self.below(4) == 0 { "POST" } else { "GET" };
        let path = route.replace("{id}", &format!("{:08}", self.below(40_000)));
        let code = if failed { 503 } else { 200 };
        let host = format!("{}.gov.svc", SERVICES[service]);
        let mut attributes = vec![
            text("http.request.method", method),
            text("url.path", &path),
            text("url.scheme", "http"),
            int("http.response.status_code", code),
            text("server.address", &host),
            int("server.port", 8080),
            text("network.protocol.version", "1.1"),
        ];
        if kind == SpanKind::Server {
            let client = format!("10.42.{}.{}", self.below(8), self.below(250));
            attributes.extend([
                text("http.route", route),
                text("client.address", &client),
                int("client.port", 32_768 + self.below(28_000) as i64),
                text("user_agent.original", "okhttp/4.12.0"),
            ]);
        }
        Span {
            name: format!("{method} {route}"),
            kind: kind.into(),
            attributes,
            status: failed.then(|| Status {
                message: "upstream unavailable".to_owned(),
                code: StatusCode::Error.into(),
            }),
            flags: 0x101,
            ..Span::default()
        }
    }

    fn query(&mut self, trace_id: &[u8], parent: &[u8], start: u64, took: u64) -> Span {
        let query = QUERIES[self.below(QUERIES.len() as u64) as usize];
        let operation = query.split(' ').next().unwrap_or_default();
        Span {
            trace_id: trace_id.to_vec(),
            span_id: self.id::<8>(),
            parent_span_id: parent.to_vec(),
            name: format!("{operation} gov"),
            kind: SpanKind::Client.into(),
            start_time_unix_nano: start,
            end_time_unix_nano: start + took,
            attributes: vec![
                text("db.system.name", "postgresql"),
                text("db.namespace", "gov"),
                text("db.operation.name", operation),
                text("db.query.text", query),
                text("server.address", "gov-db-0.gov-db"),
                int("server.port", 5432),
            ],
            flags: 0x101,
            ..Span::default()
        }
    }

    fn line(&mut self, service: usize) -> LogRecord {
        let (severity, body) = self.body();
        let (trace_id, span_id) = self.requests[service].clone();
        LogRecord {
            time_unix_nano: self.now_ns,
            observed_time_unix_nano: self.now_ns + 200_000 + self.below(900_000),
            severity_number: severity,
            severity_text: match severity {
                5 => "DEBUG",
                9 => "INFO",
                13 => "WARN",
                _ => "ERROR",
            }
            .to_owned(),
            body: Some(AnyValue {
                value: Some(Value::StringValue(body)),
            }),
            attributes: vec![
                text("logger.name", "gov.service.RequestHandler"),
                text(
                    "thread.name",
                    &format!("http-nio-8080-exec-{}", self.below(16)),
                ),
            ],
            trace_id,
            span_id,
            ..LogRecord::default()
        }
    }

    /// Severity and text of a line.
    fn body(&mut self) -> (i32, String) {
        let (a, b, c) = (self.below(1 << 32), self.below(40_000), self.below(3_000));
        let route = ROUTES[self.below(ROUTES.len() as u64) as usize];
        let path = route.replace("{id}", &b.to_string());
        let (low, cents, bytes) = (b % 250, c % 100, a % 60_000);
        let query = QUERIES[(a % 5) as usize];
        match self.below(10) {
            0..4 => {
                let client = format!("10.42.{}.{low}", b % 8);
                (
                    9,
                    format!("GET {path} 200 {c}ms client={client} bytes={bytes}"),
                )
            }
            4..6 => {
                let payer = a % 40_000;
                (
                    9,
                    format!(
                        "declaration {b} of taxpayer {payer:08} accepted, amount {bytes}.{cents:02} CNY"
                    ),
                )
            }
            6 => (
                5,
                format!("cache miss for key session:{a:08x}{b:04x}, loading from database"),
            ),
            7 => {
                let active = c % 50;
                (
                    9,
                    format!(
                        "connection pool gov-db: {active} active, {} idle, {} waiting",
                        50 - active,
                        c % 3
                    ),
                )
            }
            8 => (13, format!("slow query ({c} ms): {query}")),
            _ => {
                let url = "http://identity.gov.svc:8080/api/v1/sessions";
                let what = format!(
                    "java.net.SocketTimeoutException: Read timed out after {c} ms calling {url}"
                );
                (17, format!("{what} request_id={a:08x}-{b:04x}"))
            }
        }
    }

    /// Mostly half a millisecond to five; now and then much longer.
    fn duration(&mut self) -> u64 {
        let scale = 1 << self.below(4);
        (300_000 + self.below(900_000)) * scale
    }

    fn id<const BYTES: usize>(&mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        while bytes.len() < BYTES {
            bytes.extend_from_slice(&self.next().to_be_bytes());
        }
        bytes
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// Xorshift with a multiplication: all its bits look random.
    fn next(&mut self) -> u64 {
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        self.seed.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

fn resource(service: usize, pod: u64) -> Resource {
    let name = SERVICES[service];
    let pod_name = format!("{name}-6d5f7c9b8-{pod}x{service}kq");
    Resource {
        attributes: vec![
            text("service.name", name),
            text("service.namespace", "gov-tax"),
            text("service.version", "2.14.1"),
            text("service.instance.id", &pod_name),
            text("deployment.environment.name", "production"),
            text("host.name", &format!("node-{}", pod * 3 % 5)),
            text("k8s.cluster.name", "gov-cloud-1"),
            text("k8s.namespace.name", "gov-tax"),
            text("k8s.deployment.name", name),
            text("k8s.pod.name", &pod_name),
            text("telemetry.sdk.language", "java"),
            text("telemetry.sdk.version", "1.49.0"),
        ],
        ..Resource::default()
    }
}

fn scope(name: &str) -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: name.to_owned(),
        version: "2.15.0".to_owned(),
        ..InstrumentationScope::default()
    })
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.to_owned()))
}

fn int(key: &str, value: i64) -> KeyValue {
    pair(key, Value::IntValue(value))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
