//! Recorded faults of systems that are not the lab, through the socket.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use crate::demo::engine;

/// A network delay before one service of Online Boutique.
const WITH_SPANS: &str = "../../shared/rca/nezha/cases/nz-ob-015";
/// A delay in a service of PetShop, which is known from figures every five minutes.
const WITHOUT_SPANS: &str = "../../shared/rca/petshop/cases/ps-034";

/// What the engine says of a recording; `None` where it is not there.
fn verdict(case: &str) -> Option<String> {
    if !Path::new(case).exists() {
        let line = format!("skipped: {case} is not there\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut server = Command::new(engine())
        .args([
            "server",
            "--http",
            "127.0.0.1:0",
            "--otlp-grpc",
            "127.0.0.1:0",
            "--otlp-http",
            "127.0.0.1:0",
        ])
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let addresses: Vec<String> = lines
        .take(3)
        .map(|line| format!("http://{}", line.rsplit(' ').next().unwrap()))
        .collect();
    let output = Command::new(env!("CARGO_BIN_EXE_demarc-lab"))
        .arg("replay")
        .arg(case)
        .args(["--otlp", &addresses[1], "--ask", "--server", &addresses[0]])
        .output()
        .unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{out}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(out)
}

#[test]
fn a_recorded_network_delay_is_found() {
    let Some(out) = verdict(WITH_SPANS) else {
        return;
    };
    for part in [
        "layer       network",
        "entity      service:default/currencyservice",
        "cause       network-delay",
    ] {
        assert!(out.contains(part), "{part:?} is not in:\n{out}");
    }
}

#[test]
fn a_recording_without_spans_is_judged_by_its_metrics() {
    let Some(out) = verdict(WITHOUT_SPANS) else {
        return;
    };
    // The symptom is measured, with the query that shows it; who caused it may stay open, but not for want of spans.
    for part in [
        "mean duration of PetSite's requests: ",
        "traces_span_metrics_duration_seconds_sum{service_name=\"PetSite\"}",
    ] {
        assert!(out.contains(part), "{part:?} is not in:\n{out}");
    }
    assert!(!out.contains("no spans of this service"), "{out}");
}
