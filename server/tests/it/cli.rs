//! The command line.

use std::process::Command;

use crate::harness::{Server, folder, span};

fn demarc(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_demarc"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn help_teaches() {
    let (_, out, _) = demarc(&["server", "--help"]);
    for word in [
        "--data-dir",
        "--http",
        "--otlp-grpc",
        "--otlp-http",
        "--flight",
        "--postgres",
        "--config",
        "DEMARC_DATA_DIR",
        "9400",
    ] {
        assert!(out.contains(word), "{word} is not in:\n{out}");
    }
    for command in ["sql", "demarcate", "report", "verify"] {
        let (is_fine, out, _) = demarc(&[command, "--help"]);
        assert!(
            is_fine && out.contains("--server") && out.contains("--tenant"),
            "{command}:\n{out}"
        );
    }
}

#[tokio::test]
async fn sql_prints_a_table_and_errors_name_the_fault() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    server
        .send("default", "traces", &span("api", 1, 2, ""))
        .await;
    let output = server.cli(&["sql", "SELECT service FROM spans"]);
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && out.contains("| api     |"),
        "{out}"
    );
    let output = server.cli(&["sql", "SELECT x FROM spans"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains('x'), "{error}");
    let output = server.cli(&["demarcate", "--service", "nobody"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("nobody") && error.contains("api"), "{error}");
    let output = server.cli(&["report"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("no incident"), "{error}");
}

#[test]
fn a_wrong_setting_fails_at_start_with_key_value_and_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    for (text, parts) in [
        ("[store]\nflush_row = 1\n", ["flush_row", "expected"]),
        (
            "[incident]\nmin_confidence = 7.0\n",
            ["min_confidence 7", "from 0 to 1"],
        ),
        (
            "[notify]\nroutes = [{receiver = \"x\", tenant = \"a\"}]\n",
            ["routes[0].receiver \"x\"", "one of"],
        ),
        (
            "[telemetry]\notlp_endpoint = \"nowhere\"\n",
            ["nowhere", "must be"],
        ),
        (
            "responsibility_file = \"/does/not/exist\"\n",
            ["responsibility_file", "/does/not/exist"],
        ),
    ] {
        let file = folder.path().join("demarc.toml");
        std::fs::write(&file, text).unwrap();
        let data = folder.path().join("data");
        let (is_fine, _, error) = demarc(&[
            "server",
            "--config",
            file.to_str().unwrap(),
            "--data-dir",
            data.to_str().unwrap(),
            "--http",
            "127.0.0.1:0",
            "--otlp-grpc",
            "127.0.0.1:0",
            "--otlp-http",
            "127.0.0.1:0",
            "--flight",
            "127.0.0.1:0",
            "--postgres",
            "127.0.0.1:0",
        ]);
        assert!(!is_fine, "{text}");
        assert!(
            parts.iter().all(|part| error.contains(part)),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_client_without_a_server_says_how_to_start_one() {
    let (is_fine, _, error) = demarc(&["sql", "--server", "http://127.0.0.1:1", "SELECT 1"]);
    assert!(!is_fine && error.contains("demarc server"), "{error}");
}

#[test]
fn scripts_are_run_and_failures_shown_with_line_expectation_and_answer() {
    let folder = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = script(
        "good.test",
        "load 1m\n  up 1 2\n\neval instant at 1m up\n  up 2\n",
    );
    let bad = script(
        "bad.test",
        "load 1m\n  up 1 2\n\neval instant at 1m up\n  up 3\n",
    );
    let (is_fine, out, _) = demarc(&["test", "promql", &good]);
    assert!(is_fine && out.contains("1 passed, 0 failed"), "{out}");
    let (is_fine, out, error) = demarc(&["test", "promql", &good, &bad]);
    assert!(!is_fine, "{out}");
    for part in [
        "bad.test:4: up\n  expected up 3, got up 2\n",
        "\n1 passed, 1 failed\n",
    ] {
        assert!(out.contains(part), "{part:?} is not in:\n{out}");
    }
    assert!(error.contains("1 evaluations do not hold"), "{error}");
    let odd = script("odd.test", "lood 1m\n\neval instant at 1m 1\n  1\n");
    let (_, out, _) = demarc(&["test", "promql", &odd]);
    for part in [
        "odd.test:1: lood 1m\n  \"lood\" is no command\n",
        "1 passed, 1 failed",
    ] {
        assert!(out.contains(part), "{part:?} is not in:\n{out}");
    }
}
