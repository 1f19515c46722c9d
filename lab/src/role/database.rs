//! A shared database: SQLite behind TCP, with its real locks.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, UpDownCounter},
    trace::{SpanKind, Status, TraceContextExt, Tracer},
};
use sqlx::{
    Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{RoleConfig, defect::Watched, telemetry};
use crate::scenario::Statement;

/// How long a statement waits for the write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

struct Database {
    name: String,
    pool: SqlitePool,
    lock_wait: Counter<f64>,
    connections: UpDownCounter<i64>,
}

#[derive(serde::Deserialize)]
struct Request {
    statement: Statement,
    headers: HashMap<String, String>,
}

pub(crate) async fn run(config: RoleConfig, defect: Watched) -> anyhow::Result<()> {
    let system = vec![KeyValue::new("db.system.name", "sqlite")];
    telemetry::start(&config, telemetry::resource(&config, system))?;
    let folder = std::env::current_dir()?;
    let options = SqliteConnectOptions::new()
        .filename(folder.join(format!("{}.db", config.name)))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Off)
        .busy_timeout(BUSY_TIMEOUT);
    let pool = SqlitePoolOptions::new()
        .max_connections(16)
        .connect_with(options.clone())
        .await?;
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS records (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)",
    )
    .execute(&pool)
    .await?;
    sqlx::query("INSERT OR IGNORE INTO records (id, value) VALUES (1, 0)")
        .execute(&pool)
        .await?;
    let meter = global::meter("demarc-lab");
    let database = Arc::new(Database {
        name: config.name.clone(),
        pool,
        lock_wait: meter
            .f64_counter("db.server.lock.wait_time")
            .with_unit("s")
            .build(),
        connections: meter
            .i64_up_down_counter("db.server.connections")
            .with_unit("{connection}")
            .build(),
    });
    database.lock_wait.add(0.0, &[]);
    tokio::spawn(hold_lock(options, defect));
    let listener = TcpListener::bind(config.listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let database = Arc::clone(&database);
        tokio::spawn(async move {
            database.connections.add(1, &[]);
            // A client that goes away in the middle is its own affair.
            let _ = serve(&database, stream).await;
            database.connections.add(-1, &[]);
        });
    }
}

/// Maintenance that holds the write lock again and again, for as long as the defect lasts.
async fn hold_lock(options: SqliteConnectOptions, defect: Watched) -> anyhow::Result<()> {
    let mut connection = SqliteConnection::connect_with(&options).await?;
    loop {
        let hold = Duration::from_millis(defect.borrow().hold_lock_ms);
        if hold.is_zero() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        if sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut connection)
            .await
            .is_ok()
        {
            tokio::time::sleep(hold).await;
            sqlx::query("COMMIT").execute(&mut connection).await?;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

async fn serve(database: &Database, mut stream: TcpStream) -> anyhow::Result<()> {
    let mut line = String::new();
    BufReader::new(&mut stream).read_line(&mut line).await?;
    if line.is_empty() {
        return Ok(());
    }
    let request: Request = serde_json::from_str(&line)?;
    let tracer = telemetry::tracer();
    let parent = telemetry::extract(&request.headers);
    let name = match request.statement {
        Statement::Read => "SELECT records",
        Statement::Write => "UPDATE records",
    };
    let span = tracer
        .span_builder(name)
        .with_kind(SpanKind::Server)
        .with_attributes([KeyValue::new("db.system.name", "sqlite")])
        .start_with_context(&tracer, &parent);
    let context = parent.with_span(span);
    let result = execute(database, request.statement).await;
    let answer = match &result {
        Ok(()) => "ok\n".to_owned(),
        Err(error) => {
            context.span().set_status(Status::error(error.to_string()));
            format!(
                "{}: {}\n",
                database.name,
                error.to_string().replace('\n', " ")
            )
        }
    };
    context.span().end();
    Ok(stream.write_all(answer.as_bytes()).await?)
}

async fn execute(database: &Database, statement: Statement) -> Result<(), sqlx::Error> {
    let mut connection = database.pool.acquire().await?;
    match statement {
        Statement::Read => {
            sqlx::query("SELECT value FROM records WHERE id = 1")
                .fetch_one(&mut *connection)
                .await?;
        }
        Statement::Write => {
            let asked = Instant::now();
            let locked = sqlx::query("BEGIN IMMEDIATE")
                .execute(&mut *connection)
                .await;
            database.lock_wait.add(asked.elapsed().as_secs_f64(), &[]);
            locked?;
            sqlx::query("UPDATE records SET value = value + 1 WHERE id = 1")
                .execute(&mut *connection)
                .await?;
            sqlx::query("COMMIT").execute(&mut *connection).await?;
        }
    }
    Ok(())
}
