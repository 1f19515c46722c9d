//! How long a verdict takes once its evidence is there: fifty services with what three minutes of their spans tell.

use criterion::{Criterion, criterion_group, criterion_main};
use demarc_incident::{Evidence, demarcate};
use serde_json::{Value, json};

const SERVICES: usize = 50;
const OPERATIONS: usize = 8;
const PATTERNS: usize = 12;
const EVENTS: usize = 6;

fn service(number: usize) -> String {
    format!("service:city/service-{number}")
}

fn shift(before: f64, during: f64) -> Value {
    json!({
        "before": before, "during": during, "spread": before * 0.05, "before_high": before * 1.1,
        "during_high": during * 1.1, "before_count": 60, "during_count": 4,
    })
}

fn query() -> Value {
    json!({
        "tenant": "city", "language": "sql", "text": "SELECT 1", "start": 0, "end": 1, "step": 0, "digest": "",
    })
}

/// Spans of an operation: patterns of events, of which the last one is new where `is_changed`.
fn operation(service_number: usize, number: usize, is_changed: bool) -> Value {
    let pattern = |at: usize, count: usize| {
        let events: Vec<Value> = (0..EVENTS)
            .map(|event| json!({"line": format!("place-{}", at + event)}))
            .collect();
        json!({"events": events, "count": count})
    };
    let before: Vec<Value> = (0..PATTERNS).map(|at| pattern(at, 40)).collect();
    let mut during: Vec<Value> = (0..PATTERNS).map(|at| pattern(at, 30)).collect();
    if is_changed {
        during.push(json!({"events": [{"error-line": "gave up"}], "count": 90}));
    }
    json!({
        "service": service(service_number), "operation": format!("operation-{number}"),
        "before": before, "during": during,
    })
}

fn call(from: usize, to: usize) -> Value {
    json!({
        "from": service(from), "to": service(to), "is_instrumented": true,
        "per_request": shift(1.0, 1.0), "client_ms": shift(9.0, 20.0), "server_ms": shift(8.0, 19.0),
        "gap_ms": shift(1.0, 1.0), "failed": shift(0.0, 0.0), "unanswered": shift(0.0, 0.0), "query": query(),
        "gap": {"before_count": 400, "during_count": 300, "before_ms": 1.0, "before_high_ms": 1.2, "during_ms": 1.1},
    })
}

fn evidence() -> Evidence {
    let mut entities = serde_json::Map::new();
    let mut services = serde_json::Map::new();
    let (mut calls, mut operations) = (Vec::new(), Vec::new());
    for number in 0..SERVICES {
        let facts = json!({"name": format!("service-{number}"), "layer": "application"});
        entities.insert(service(number), facts);
        let facts = json!({
            "rate": shift(5.0, 5.0), "errors": shift(0.0, 0.0), "own_errors": shift(0.0, 0.0),
            "latency_ms": shift(20.0, 60.0), "self_ms": shift(5.0, 15.0),
        });
        services.insert(service(number), facts);
        let callees = [2 * number + 1, 2 * number + 2].into_iter();
        calls.extend(
            callees
                .filter(|to| *to < SERVICES)
                .map(|to| call(number, to)),
        );
        let is_root = number == SERVICES - 1;
        operations.extend((0..OPERATIONS).map(|at| operation(number, at, is_root && at == 0)));
    }
    let document = json!({
        "tenant": "city", "service": service(0), "symptom": "latency",
        "start": 0, "onset": 600_000_000_000_i64, "until": 780_000_000_000_i64,
        "entities": entities, "services": services, "calls": calls, "operations": operations,
    });
    serde_json::from_value(document).expect("the document is evidence")
}

fn verdicts(criterion: &mut Criterion) {
    let evidence = evidence();
    criterion.bench_function("evidence of 50 services to a verdict", |bencher| {
        bencher.iter(|| demarcate(&evidence, 0.5));
    });
}

criterion_group!(benches, verdicts);
criterion_main!(benches);
