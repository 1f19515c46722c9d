//! Encrypted connections, and plain ones beside them on the same sockets.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use reqwest::Certificate;

use crate::{
    harness::{Server, folder, span},
    postgres::psql_at,
};

/// A certificate for the loopback address and its key, by the `openssl` of the PATH.
fn certificate(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output();
    made.ok()?.status.success().then_some((certificate, key))
}

fn psql(server: &Server, settings: &str) -> String {
    let url = server
        .postgres
        .replace("http://", "postgresql://someone:secret@");
    psql_at(
        &format!("{url}/tax?{settings}"),
        "SELECT service FROM spans",
    )
}

#[tokio::test]
async fn every_socket_speaks_tls_to_those_who_ask_for_it() {
    let (outer, data) = folder();
    let Some((certificate, key)) = certificate(outer.path()) else {
        let sentence = "skipped: openssl is not installed (apt-get install openssl)\n";
        return std::io::stderr().write_all(sentence.as_bytes()).unwrap();
    };
    let config = format!(
        "[tls]\ncertificate_file = {:?}\nkey_file = {key:?}\n",
        certificate
    );
    let server = Server::start_with(&data, &config);
    let (status, _) = server
        .send("tax", "traces", &span("tax-api", 1, 2, ""))
        .await;
    assert_eq!(status, 200);
    let pem = std::fs::read(&certificate).unwrap();
    let trusting = reqwest::Client::builder()
        .tls_certs_only([Certificate::from_pem(&pem).unwrap()])
        .build()
        .unwrap();
    for url in [&server.http, &server.otlp] {
        let url = url.replace("http://", "https://");
        let answer = trusting.get(&url).send().await.unwrap();
        assert!(answer.status().as_u16() < 500, "{url}");
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    }
    // A client that trusts nobody whom it does not know goes away; others are served.
    let strange = reqwest::get(server.http.replace("http://", "https://")).await;
    assert!(strange.is_err());
    assert_eq!(server.get("tax", "/api/v1/labels").await.0, 200);
    if Command::new("psql").arg("--version").output().is_ok() {
        let verified = format!("sslmode=verify-full&sslrootcert={}", certificate.display());
        for settings in ["sslmode=require", "sslmode=disable", &verified] {
            assert_eq!(psql(&server, settings), "tax-api", "{settings}");
        }
    }
}

#[test]
fn a_certificate_that_cannot_be_read_ends_the_start_with_its_name() {
    let (outer, data) = folder();
    for (settings, part) in [
        (
            "certificate_file = \"missing.pem\"",
            "must be set both or none",
        ),
        (
            "certificate_file = \"missing.pem\"\nkey_file = \"missing.key\"",
            "tls.certificate_file missing.pem",
        ),
    ] {
        let config = outer.path().join("server.toml");
        std::fs::write(&config, format!("[tls]\n{settings}\n")).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_demarc"))
            .args(["server", "--http", "127.0.0.1:0", "--data-dir"])
            .arg(&data)
            .arg("--config")
            .arg(&config)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(part), "{said}");
    }
}
