//! Arrow Flight SQL as the ADBC driver of Python speaks it.

use std::{io::Write, process::Command};

use crate::{
    harness::{Server, folder, span},
    python::python_with,
};

const SCRIPT: &str = include_str!("flight.py");

#[tokio::test]
async fn the_adbc_driver_connects_lists_and_asks() {
    let modules = "adbc_driver_flightsql.dbapi, pyarrow";
    let Some(python) = python_with(modules) else {
        let sentence =
            "skipped: python3 without adbc-driver-flightsql and pyarrow; set DEMARC_PYTHON";
        writeln!(std::io::stderr(), "{sentence}").unwrap();
        return;
    };
    let (_outer, data) = folder();
    let server = Server::start(&data);
    for (tenant, service) in [("tax", "tax-api"), ("education", "education-api")] {
        let spans = span(service, 1, 2, "");
        server.send(tenant, "traces", &spans).await;
    }
    let address = server.flight.replace("http://", "grpc://");
    let output = Command::new(&python)
        .args(["-c", SCRIPT, &address])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
