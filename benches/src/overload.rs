//! Demarc under more than it can take: writers that send as fast as they are answered, with ever new series, hostile queries, and
//! amidst them somebody who asks ordinary questions about data of its own. What was acknowledged must be there afterwards.

mod ask;
mod hostile;
mod tally;
mod watch;
mod write;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use self::tally::Load;
use crate::{
    cli::{Kind, OverloadArgs},
    ingest::now_ms,
    subject::Subject,
    table,
};

/// Who floods the server.
const BUSY: &str = "busy";
/// Who asks ordinary questions.
const BYSTANDER: &str = "bystander";

/// The load by kind.
type Loads = BTreeMap<&'static str, Load>;

/// Overloads an engine, prints what became of it, and fails where it did not hold.
pub(crate) async fn run(args: &OverloadArgs) -> anyhow::Result<()> {
    let settings = [(
        "DEMARC_MEMORY__LIMIT_BYTES".to_owned(),
        (args.memory_mib << 20).to_string(),
    )];
    let mut subject = Subject::start_with(Kind::Demarc, args.demarc.as_deref(), &settings)
        .await?
        .context("demarc is not beside this binary: cargo build --release -p demarc")?;
    table::say(&format!(
        "{} s, {} connections of each kind, {} hostile askers, the server is told of {} MiB",
        args.seconds, args.connections, args.hostile, args.memory_mib
    ));
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let mut lanes = start(&subject, args, end)?;
    let memory = watch::until(end, &mut subject).await?;
    let mut loads = Loads::new();
    while let Some(done) = lanes.join_next().await {
        let (kind, load) = done?;
        loads.entry(kind).or_default().add(load);
    }
    tally::print(&loads);
    watch::print(&memory);
    let missing = missing(&subject, &loads).await?;
    let peak_mib = subject.usage()?.peak_bytes >> 20;
    table::say(&format!("peak {peak_mib} MiB of {}", args.memory_mib));
    subject.stop().await.context("stop after the load")?;
    ensure!(missing.is_empty(), "{}", missing.join("\n"));
    ensure!(
        peak_mib <= args.memory_mib,
        "{peak_mib} MiB at the peak: must be at most {}",
        args.memory_mib
    );
    let ordinary = loads.get(ask::ORDINARY).map_or(0, Load::answered);
    ensure!(ordinary > 0, "no ordinary question was answered");
    Ok(())
}

/// Starts everybody; each ends soon after `end`.
fn start(
    subject: &Subject,
    args: &OverloadArgs,
    end: Instant,
) -> anyhow::Result<JoinSet<(&'static str, Load)>> {
    let mut lanes = JoinSet::new();
    let http = || subject.http.clone();
    let now = now_ms()?;
    for lane in 0..args.connections {
        lanes.spawn(write::remote_write(http(), lane, end));
        for signal in write::SIGNALS {
            let sender = write::Sender {
                address: subject.otlp_grpc.clone(),
                lane: lane as u64,
                start_ns: now.unsigned_abs() * 1_000_000,
            };
            lanes.spawn(write::otlp(sender, signal, end));
        }
    }
    lanes.spawn(write::steady(http(), end));
    lanes.spawn(ask::ordinary(http(), end));
    let queries = hostile::queries(now / 1000);
    for lane in 0..args.hostile {
        // Each begins elsewhere in the list.
        let mut own = queries.clone();
        own.rotate_left(lane * queries.len() / args.hostile);
        lanes.spawn(hostile::ask(http(), own, end));
    }
    Ok(lanes)
}

/// Rows that were acknowledged and are not there, or are there and were never sent: a sentence for each kind.
async fn missing(subject: &Subject, loads: &Loads) -> anyhow::Result<Vec<String>> {
    let mut missing = Vec::new();
    for (kind, tenant, from) in [
        (write::SAMPLES, BUSY, "samples WHERE metric = 'x'"),
        (write::SPANS, BUSY, "spans"),
        (write::LOGS, BUSY, "logs"),
        (
            write::POINTS,
            BUSY,
            "samples WHERE metric LIKE 'bench_queue_length%'",
        ),
        (write::STEADY, BYSTANDER, "samples WHERE metric = 'steady'"),
    ] {
        let found = ask::count(&subject.http, tenant, from).await?;
        let load = loads.get(kind).cloned().unwrap_or_default();
        let (least, most) = (load.rows, load.rows + load.rows_in_doubt);
        table::say(&format!(
            "{kind}: {least} rows acknowledged, {} sent without an answer, {found} there",
            load.rows_in_doubt
        ));
        if !(least..=most).contains(&found) {
            missing.push(format!(
                "{kind}: {found} rows are there: must be {least} to {most}"
            ));
        }
    }
    Ok(missing)
}
