//! A recorded fault of a system that is not the lab, through the socket.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use crate::demo::engine;

/// A network delay before one service of Online Boutique.
const CASE: &str = "../../shared/rca/nezha/cases/nz-ob-015";

#[test]
fn a_recorded_network_delay_is_found() {
    let case = Path::new(CASE);
    if !case.exists() {
        writeln!(std::io::stderr(), "skipped: {CASE} is not there").unwrap();
        return;
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
    for part in [
        "layer       network",
        "entity      service:default/currencyservice",
        "cause       network-delay",
    ] {
        assert!(out.contains(part), "{part:?} is not in:\n{out}");
    }
}
