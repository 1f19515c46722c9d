//! The demo from its start to its own end: fault, alert, incident, notification, verdict, reports.

use std::{path::Path, process::Command};

/// The engine that was built beside the lab.
pub(crate) fn engine() -> std::path::PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_demarc-lab")).with_file_name("demarc");
    assert!(
        path.is_file(),
        "{} is not there: cargo build -p demarc",
        path.display()
    );
    path
}

#[test]
fn the_demo_finds_the_noisy_neighbour_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_demarc-lab"))
        .args(["demo", "--exit", "--scenario", "cpu-hog", "--dir"])
        .arg(folder.path())
        .args([
            "--http",
            "127.0.0.1:0",
            "--otlp-grpc",
            "127.0.0.1:0",
            "--otlp-http",
            "127.0.0.1:0",
        ])
        .arg("--engine")
        .arg(engine())
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{out}\n{error}");
    for part in [
        "breaking it",
        "alert fires",
        "webhook received",
        "noisy-neighbour",
        "runner-up",
        "the verdict is right",
    ] {
        assert!(out.contains(part), "{part:?} is not in:\n{out}");
    }
    for (language, words) in [
        ("zh", ["税务局", "计算"]),
        ("en", ["Tax Bureau", "compute"]),
    ] {
        let html =
            std::fs::read_to_string(folder.path().join(format!("report-tax-{language}.html")))
                .unwrap();
        assert!(words.iter().all(|word| html.contains(word)), "{html}");
        assert!(
            !html.contains("ss-batch"),
            "another agency's process is named:\n{html}"
        );
    }
}

#[test]
fn an_unknown_scenario_is_refused_with_the_known_ones() {
    let output = Command::new(env!("CARGO_BIN_EXE_demarc-lab"))
        .args(["demo", "--scenario", "flood"])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && error.contains("flood") && error.contains("slow-link"),
        "{error}"
    );
}
