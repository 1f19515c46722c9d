//! PostgreSQL's protocol as psql and psycopg speak it.

use std::{io::Write, process::Command};

use crate::{
    harness::{Server, folder, span},
    mutation::Chance,
    python::python_with,
};

const SCRIPT: &str = include_str!("postgres.py");

async fn start() -> (tempfile::TempDir, Server) {
    let (outer, data) = folder();
    let server = Server::start(&data);
    for (tenant, service) in [("tax", "tax-api"), ("education", "education-api")] {
        let spans = span(service, 1, 2, "");
        server.send(tenant, "traces", &spans).await;
    }
    (outer, server)
}

fn skip(sentence: &str) {
    let line = format!("skipped: {sentence}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// What psql shows, without its frames.
fn psql(server: &Server, tenant: &str, text: &str) -> String {
    let url = server.postgres.replace("http://", "postgresql://someone@");
    psql_at(&format!("{url}/{tenant}"), text)
}

/// The same at a URL with all its settings.
pub(crate) fn psql_at(url: &str, text: &str) -> String {
    let output = Command::new("psql")
        .args([url, "-X", "-A", "-t", "-c", text])
        .env("PGCONNECT_TIMEOUT", "20")
        .output()
        .unwrap();
    let both = [output.stdout, output.stderr].concat();
    String::from_utf8(both).unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn psql_shows_tables_and_rows() {
    if Command::new("psql").arg("--version").output().is_err() {
        return skip("psql is not installed (apt-get install postgresql-client)");
    }
    let (_outer, server) = start().await;
    let ask = |tenant: &str, text: &str| psql(&server, tenant, text);
    for (text, wanted) in [
        (
            "SELECT service, count(*), attributes FROM spans GROUP BY ALL",
            "tax-api|1|{\"http.route\":\"/\"}",
        ),
        ("SELECT 1.5, true, NULL, 'a'", "1.5|t||a"),
        (
            "SELECT TIMESTAMP '2024-02-03 04:05:06.5', DATE '2024-02-03'",
            "2024-02-03 04:05:06.5|2024-02-03",
        ),
        ("SELECT 1; SELECT 2", "1\n2"),
        ("BEGIN; SELECT 1; COMMIT", "BEGIN\n1\nCOMMIT"),
        ("SHOW server_version", "16.0"),
        ("SELECT service FROM spans WHERE false", ""),
    ] {
        assert_eq!(ask("tax", text), wanted, "{text}");
    }
    assert_eq!(
        ask("education", "SELECT service FROM spans"),
        "education-api"
    );
    for (text, part) in [
        ("DELETE FROM spans", "only reading is allowed"),
        ("SELEC 1", "ERROR"),
        ("SELECT nonsense FROM spans", "nonsense"),
        (
            "SET datafusion.execution.batch_size = 1",
            "unrecognized configuration parameter",
        ),
    ] {
        let said = ask("tax", text);
        assert!(said.contains(part), "{text}: {said}");
    }
}

/// What Grafana's query builder asks to find the tables. Source: Grafana, `postgresMetaQuery.ts`.
const TABLES: &str = r#"select quote_ident(table_name) as "table" from information_schema.tables
    where quote_ident(table_schema) not in ('information_schema', 'pg_catalog', '_timescaledb_cache',
                             '_timescaledb_catalog', '_timescaledb_internal', '_timescaledb_config',
                             'timescaledb_information', 'timescaledb_experimental')
      and quote_ident(table_schema) IN (
          SELECT
            CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
          FROM
            generate_series(
              array_lower(string_to_array(current_setting('search_path'),','),1),
              array_upper(string_to_array(current_setting('search_path'),','),1)
            ) as i,
            string_to_array(current_setting('search_path'),',') s
          )"#;
/// Its macros `$__timeGroupAlias` and `$__timeFilter`, as it writes them out.
const SERIES: &str = r#"SELECT floor(extract(epoch from time)/60)*60 AS "time", service, count(*) AS calls FROM traces
    WHERE time BETWEEN '2020-01-01T00:00:00Z' AND '2060-01-01T00:00:00Z' GROUP BY 1, 2 ORDER BY 1"#;

/// Questions to the catalog, and what psql shows.
const CATALOG: [(&str, &str); 9] = [
    (
        "SELECT current_setting('server_version_num')::int/100 as version",
        "1600",
    ),
    (
        "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'",
        "",
    ),
    (
        "SELECT current_database(), current_schema(), current_user",
        "tax|public|tax",
    ),
    (
        "SELECT quote_ident('a b'), quote_ident('a_b')",
        "\"a b\"|a_b",
    ),
    (
        "SELECT typname, typlen FROM pg_type WHERE oid = 20",
        "int8|8",
    ),
    (
        "SELECT nspname FROM pg_catalog.pg_namespace ORDER BY oid LIMIT 2",
        "pg_catalog\npublic",
    ),
    (
        "SELECT relname FROM pg_class WHERE oid = 'public.spans'::regclass",
        "spans",
    ),
    (
        "SELECT 'abc' ~ '^a', 'abc' OPERATOR(pg_catalog.~) '^b' COLLATE pg_catalog.default",
        "t|f",
    ),
    (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute \
             WHERE attrelid = 'traces'::regclass AND attnum IN (1, 8) ORDER BY attnum",
        "time|timestamp without time zone\nduration_ms|double precision",
    ),
];

#[tokio::test]
async fn the_catalog_answers_psql_and_grafana() {
    if Command::new("psql").arg("--version").output().is_err() {
        return skip("psql is not installed (apt-get install postgresql-client)");
    }
    let (_outer, server) = start().await;
    let ask = |text: &str| psql(&server, "tax", text);
    let version = format!("PostgreSQL 16.0 (Demarc {})", env!("CARGO_PKG_VERSION"));
    assert_eq!(ask("SELECT version()"), version);
    for (text, wanted) in CATALOG {
        assert_eq!(ask(text), wanted, "{text}");
    }
    let tables = ask(TABLES);
    assert!(
        tables.contains("traces") && tables.contains("spans"),
        "{tables}"
    );
    assert!(!tables.contains("pg_class"), "{tables}");
    let columns = "select quote_ident(column_name) as \"column\", data_type as \"type\" \
                   from information_schema.columns where quote_ident(table_name) = 'traces';";
    let columns = ask(columns);
    assert!(columns.contains("duration_ms|Float64"), "{columns}");
    let series = ask(SERIES);
    assert!(series.ends_with("|tax-api|1"), "{series}");
    for (command, part) in [
        ("\\d", "public|spans|table|tax"),
        ("\\dt", "public|spans|table|tax"),
        ("\\dv", "public|traces|view|tax"),
        ("\\dn", "public"),
        ("\\d spans", "service|text"),
        ("\\d traces", "duration_ms|double precision"),
        ("\\d+ spans", "service|text"),
        ("\\d nothing", "Did not find any relation named"),
    ] {
        let shown = ask(command);
        assert!(shown.contains(part), "{command}: {shown}");
    }
}

/// What a client says that asks the same twice, in both ways; then it waits no more.
fn conversation() -> Vec<u8> {
    let message = |kind: &[u8], fields: &[u8]| {
        let len = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
        [kind, &len, fields].concat()
    };
    [
        message(b"", b"\0\x03\0\0user\0tax\0database\0tax\0\0"),
        message(b"Q", b"SELECT service FROM spans\0"),
        message(
            b"P",
            b"s\0SELECT name FROM spans WHERE duration > $1\0\0\x01\0\0\0\x14",
        ),
        message(
            b"B",
            b"p\0s\0\0\x01\0\x01\0\x01\0\0\0\x08\0\0\0\0\0\0\0\x01\0\x01\0\0",
        ),
        message(b"D", b"Pp\0"),
        message(b"E", b"p\0\0\0\0\0"),
        message(b"S", b""),
        message(b"X", b""),
    ]
    .concat()
}

#[tokio::test]
async fn whatever_bytes_arrive_the_next_client_is_answered() {
    use std::{io::Read, net::Shutdown, net::TcpStream};
    let (_outer, server) = start().await;
    let address = server.postgres.strip_prefix("http://").unwrap();
    let talk = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(address).unwrap();
        let patience = Some(std::time::Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        // The server may hang up before it has read everything.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let is_late = read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!is_late, "no end to the answer to {bytes:02x?}");
        answer
    };
    let whole = conversation();
    let contains = |answer: &[u8], part: &[u8]| answer.windows(part.len()).any(|one| one == part);
    let is_whole = |answer: &[u8]| contains(answer, b"tax-api") && contains(answer, b"GET /");
    assert!(is_whole(&talk(&whole)));
    let mut chance = Chance(0x2545_f491_4f6c_dd1d);
    for _ in 0..400 {
        talk(&chance.mutate(&whole));
    }
    assert!(is_whole(&talk(&whole)));
}

#[tokio::test]
async fn psycopg_asks_with_parameters_in_transactions() {
    let Some(python) = python_with("psycopg") else {
        return skip("python3 without psycopg; set DEMARC_PYTHON");
    };
    let (_outer, server) = start().await;
    let address = server.postgres.strip_prefix("http://").unwrap();
    let output = Command::new(&python)
        .args(["-c", SCRIPT, address])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
