//! The fault benchmark: recorded cases through an embedded engine, its verdicts as predictions, and their score.

mod embedded;
mod peace;
mod prediction;
mod reliability;
mod score;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use demarc_incident::Verdict;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    cli::{RcaArgs, Source},
    recording::{Cut, Label, Recording, Set, System},
    say, show,
};
use embedded::Embedded;
use prediction::Prediction;
pub(crate) use reliability::run as reliability;
use score::Tally;

const SECOND_NS: i64 = 1_000_000_000;

/// One answer.
#[derive(Debug)]
struct Answer {
    case: String,
    prediction: Prediction,
    verdict: Verdict,
    took: Duration,
}

/// Answers, and what was odd about recordings or kept them from being judged.
#[derive(Debug, Default)]
struct Judged {
    answers: Vec<Answer>,
    odd: Vec<String>,
}

impl Judged {
    fn note(&mut self, name: &str, done: anyhow::Result<(Vec<Answer>, Option<String>)>) {
        match done {
            Ok((answers, odd)) => {
                self.answers.extend(answers);
                self.odd.extend(odd.map(|odd| format!("{name}: {odd}")));
            }
            Err(error) => self.odd.push(format!("{name}: {error:#}")),
        }
    }

    /// An error that names what was odd, where anything was.
    fn admit(&self) -> anyhow::Result<()> {
        if self.odd.is_empty() {
            return Ok(());
        }
        bail!("odd recordings:\n  {}", self.odd.join("\n  "))
    }
}

/// Judges every case of a set, or windows of its fault-free time.
pub(crate) async fn run(args: RcaArgs) -> anyhow::Result<()> {
    let set = Arc::new(Set::open(&args.dir)?);
    let args = Arc::new(args);
    let mut by_system: BTreeMap<String, Vec<Label>> = BTreeMap::new();
    for label in set.labels() {
        let is_wanted = args.case.iter().any(|case| label.case.contains(case));
        if args.case.is_empty() || is_wanted {
            let system = Set::system_of(label).to_owned();
            by_system.entry(system).or_default().push(label.clone());
        }
    }
    if by_system.is_empty() {
        bail!("--case {:?}: no case has that in its name", args.case);
    }
    let slots = Arc::new(Semaphore::new(args.jobs.max(1)));
    let mut jobs = JoinSet::new();
    for (system, labels) in by_system {
        let (set, args, slots) = (Arc::clone(&set), Arc::clone(&args), Arc::clone(&slots));
        jobs.spawn(async move {
            let _slot = slots.acquire_owned().await?;
            anyhow::Ok(judge(&set, &system, &labels, &args).await)
        });
    }
    let mut judged = Judged::default();
    judged.odd.extend(set.odd().iter().cloned());
    while let Some(done) = jobs.join_next().await {
        let done = done??;
        judged.answers.extend(done.answers);
        judged.odd.extend(done.odd);
    }
    judged.answers.sort_by(|a, b| a.case.cmp(&b.case));
    tell(&set, &args, &judged.answers)?;
    judged.admit()
}

/// Prints and writes what was asked for.
fn tell(set: &Set, args: &RcaArgs, answers: &[Answer]) -> anyhow::Result<()> {
    if args.explain {
        for answer in answers {
            say::line(&answer.case)?;
            show::verdict(&serde_json::to_value(&answer.verdict)?)?;
        }
    }
    if args.fault_free > 0 {
        return report_peace(answers);
    }
    if let Some(out) = &args.out {
        let mut file = std::fs::File::create(out).with_context(|| out.display().to_string())?;
        for answer in answers {
            writeln!(file, "{}", answer.prediction.line(&answer.case))?;
        }
    }
    report(set, answers)
}

/// Judges the cases of one system, each beside the system's fault-free telemetry. One that cannot be judged does not stop the others.
async fn judge(set: &Set, name: &str, labels: &[Label], args: &RcaArgs) -> Judged {
    let cut = cut(args);
    let mut judged = Judged::default();
    let system = match set.system(name, &cut) {
        Ok(system) => system,
        Err(error) => {
            judged.odd.push(format!("{name}: {error:#}"));
            return judged;
        }
    };
    if args.fault_free > 0 {
        let done = judge_peace(set, (name, &system), labels, args).await;
        judged.note(name, done);
        return judged;
    }
    for label in labels {
        let done = judge_case(set, &system, label, args).await;
        judged.note(&label.case, done);
    }
    judged
}

/// Judges windows of the fault-free time of a system.
async fn judge_peace(
    set: &Set,
    (name, system): (&str, &System),
    labels: &[Label],
    args: &RcaArgs,
) -> anyhow::Result<(Vec<Answer>, Option<String>)> {
    let mut answers = Vec::new();
    let label = labels.first().context("no case tells whom to ask about")?;
    let map = set.recording(label, &cut(args))?;
    let engine = Embedded::open().await?;
    let odd = engine.load(&system.telemetry).await?;
    let odd = odd.or(engine.load(&peace::calls(system, &map)).await?);
    for window in peace::windows(system, &map, args.fault_free) {
        let case = format!("{name}@{}", window.recording.since / SECOND_NS);
        answers.push(answer(&engine, case, (&window.recording, &window.system)).await?);
    }
    Ok((answers, odd))
}

/// Judges one case.
async fn judge_case(
    set: &Set,
    system: &System,
    label: &Label,
    args: &RcaArgs,
) -> anyhow::Result<(Vec<Answer>, Option<String>)> {
    let mut recording = set.recording(label, &cut(args))?;
    if args.asked_after > 0 {
        let asked = recording.since + args.asked_after * SECOND_NS;
        recording.until = recording.until.min(asked);
    }
    recording.since += args.onset_shift * SECOND_NS;
    // An engine of its own: what another case of the day holds is no peace.
    let engine = Embedded::open().await?;
    let odd = engine.load(&system.telemetry).await?;
    let odd = odd.or(engine.load(&recording.telemetry).await?);
    let answer = answer(&engine, label.case.clone(), (&recording, system)).await?;
    Ok((vec![answer], odd))
}

async fn answer(
    engine: &Embedded,
    case: String,
    (recording, system): (&Recording, &System),
) -> anyhow::Result<Answer> {
    let begun = Instant::now();
    let verdict = engine
        .ask(recording, system)
        .await
        .with_context(|| case.clone())?;
    let took = begun.elapsed();
    let graph = engine.graph(recording);
    Ok(Answer {
        prediction: Prediction::of(&verdict, &graph),
        verdict,
        case,
        took,
    })
}

fn cut(args: &RcaArgs) -> Cut {
    let without: BTreeSet<Source> = args.without.iter().copied().collect();
    Cut {
        without_logs: without.contains(&Source::Logs),
        without_traces: without.contains(&Source::Traces),
        without_metrics: without.contains(&Source::Metrics),
        drop_edges: args.drop_edges,
        drop_traces: 1.0 - args.sample_traces,
        seed: args.seed,
    }
}

fn report(set: &Set, answers: &[Answer]) -> anyhow::Result<()> {
    let truths = set.truths()?;
    let mut tally = Tally::default();
    for answer in answers {
        if let Some(truth) = truths.get(&answer.case) {
            tally.add(truth, &answer.prediction);
        }
    }
    for line in tally.table() {
        say::line(&line)?;
    }
    let named = answers
        .iter()
        .filter(|answer| answer.prediction.is_determined)
        .count();
    say::line(&format!(
        "{} cases, {named} with a determined verdict",
        answers.len()
    ))?;
    for line in tally.misses() {
        say::line(line)?;
    }
    times(answers)
}

fn report_peace(answers: &[Answer]) -> anyhow::Result<()> {
    let alarms: Vec<&Answer> = answers
        .iter()
        .filter(|answer| answer.prediction.is_determined)
        .collect();
    for alarm in &alarms {
        say::line(&format!(
            "  {}: {}",
            alarm.case,
            alarm.prediction.line(&alarm.case)
        ))?;
    }
    say::line(&format!(
        "{} fault-free windows, {} with a determined verdict: {:.1} %",
        answers.len(),
        alarms.len(),
        100.0 * alarms.len() as f64 / answers.len().max(1) as f64
    ))?;
    times(answers)
}

fn times(answers: &[Answer]) -> anyhow::Result<()> {
    let mut times: Vec<f64> = answers
        .iter()
        .map(|answer| answer.took.as_secs_f64())
        .collect();
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let longest = times.last().copied().unwrap_or_default();
    say::line(&format!(
        "question to verdict, gathering included: median {median:.2} s, longest {longest:.2} s"
    ))
}
