//! The calls that a request makes, each in a client span.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, bail};
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, Status, TraceContextExt, Tracer},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::{CallConfig, Protocol, telemetry};
use crate::scenario::Statement;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Makes the calls one after the other; the first failure ends them.
pub(crate) async fn call_all(
    client: &reqwest::Client,
    calls: &[CallConfig],
    context: &Context,
) -> anyhow::Result<()> {
    for call in calls {
        if rand::random::<f64>() < call.share {
            one(client, call, context).await?;
        }
    }
    Ok(())
}

async fn one(client: &reqwest::Client, call: &CallConfig, context: &Context) -> anyhow::Result<()> {
    let tracer = telemetry::tracer();
    let (host, port) = call.known_as.clone();
    let mut attributes = vec![
        KeyValue::new("server.address", host),
        KeyValue::new("server.port", i64::from(port)),
    ];
    let name = match call.protocol {
        Protocol::Http => {
            attributes.push(KeyValue::new("http.request.method", "GET"));
            "GET".to_owned()
        }
        Protocol::Sql(statement) => {
            attributes.push(KeyValue::new("db.system.name", "sqlite"));
            attributes.push(KeyValue::new("db.operation.name", word(statement)));
            format!("{} records", word(statement))
        }
    };
    let span = tracer
        .span_builder(name)
        .with_kind(SpanKind::Client)
        .with_attributes(attributes)
        .start_with_context(&tracer, context);
    let context = context.with_span(span);
    let answer = tokio::time::timeout(TIMEOUT, send(client, call, &context)).await;
    let result = answer.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {TIMEOUT:?}")));
    if let Err(error) = &result {
        context
            .span()
            .set_status(Status::error(format!("{error:#}")));
    }
    context.span().end();
    result
}

fn word(statement: Statement) -> &'static str {
    match statement {
        Statement::Read => "SELECT",
        Statement::Write => "UPDATE",
    }
}

async fn send(
    client: &reqwest::Client,
    call: &CallConfig,
    context: &Context,
) -> anyhow::Result<()> {
    let mut headers = HashMap::new();
    telemetry::inject(context, &mut headers);
    match call.protocol {
        Protocol::Http => {
            let mut request = client.get(format!("http://{}/", call.address));
            for (name, value) in &headers {
                request = request.header(name, value);
            }
            let status = request.send().await?.status();
            if !status.is_success() {
                bail!("{} answered {status}", call.to);
            }
            Ok(())
        }
        Protocol::Sql(statement) => sql(call, statement, &headers).await,
    }
}

/// One statement over the database's line protocol: statement and trace context out, `ok` or an error back.
async fn sql(
    call: &CallConfig,
    statement: Statement,
    headers: &HashMap<String, String>,
) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(call.address).await.context("connect")?;
    let line = serde_json::json!({"statement": statement, "headers": headers});
    stream.write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = String::new();
    BufReader::new(&mut stream).read_line(&mut answer).await?;
    match answer.trim() {
        "ok" => Ok(()),
        "" => bail!("{} closed the connection", call.to),
        error => bail!("{}: {error}", call.to),
    }
}
