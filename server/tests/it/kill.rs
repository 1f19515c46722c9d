//! kill -9 in the middle of ingest, again and again: no acknowledged row is lost, none is doubled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use crate::harness::{Server, folder, span};

const KILLS: u64 = 20;
const SENDERS: u64 = 3;

/// Sends spans with numbers of their own until the server is gone; returns the numbers that were acknowledged.
async fn send(otlp: String, next: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Vec<u64> {
    let client = reqwest::Client::new();
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let answer = client
            .post(format!("{otlp}/v1/traces"))
            .json(&span("api", number, 2, ""))
            .send()
            .await;
        match answer {
            Ok(answer) if answer.status() == 200 => acknowledged.push(number),
            _ => break,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_span_is_lost_or_doubled() {
    let (_outer, data) = folder();
    let next = Arc::new(AtomicU64::new(1));
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        // Small files, so that kills hit flushes and commits as well as the log.
        let server = Server::start_with(
            &data,
            "[store]\nflush_rows = 40\nflush_interval_seconds = 1\n",
        );
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                tokio::spawn(send(
                    server.otlp.clone(),
                    Arc::clone(&next),
                    Arc::clone(&stop),
                ))
            })
            .collect();
        // Moments spread over the life of a server, from its first append to well after its first flush.
        let moment = 40 + (round * 7919) % 900;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        server.kill();
        stop.store(true, Ordering::SeqCst);
        for sender in senders {
            acknowledged.extend(sender.await.unwrap());
        }
    }
    let server = Server::start(&data);
    let rows = server
        .sql(
            "default",
            "SELECT span_id, count(*) AS n FROM spans GROUP BY span_id",
        )
        .await;
    let rows = rows.as_array().unwrap();
    assert!(
        rows.iter().all(|row| row["n"] == json!(1)),
        "a span is there twice"
    );
    let stored: std::collections::BTreeSet<u64> = rows
        .iter()
        .map(|row| u64::from_str_radix(row["span_id"].as_str().unwrap(), 16).unwrap())
        .collect();
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|number| !stored.contains(number))
        .collect();
    assert!(
        acknowledged.len() > 100,
        "only {} spans were acknowledged",
        acknowledged.len()
    );
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged spans are lost",
        lost.len(),
        acknowledged.len()
    );
    assert!(server.stop(), "the server did not end well");
}
