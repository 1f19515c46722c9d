//! A set of recorded cases on disk.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::{
    dice::Dice,
    label::{Label, Truth, labels, truths},
    nezha, petshop,
    telemetry::{Telemetry, Unix},
};

/// A folder of recorded cases.
#[derive(Debug)]
pub(crate) struct Set {
    dir: PathBuf,
    labels: Vec<Label>,
    odd: Vec<String>,
}

/// What is left out of recordings, to see what a verdict owes to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut {
    pub(crate) without_logs: bool,
    pub(crate) without_traces: bool,
    pub(crate) without_metrics: bool,
    /// Share of the known calls between entities that is forgotten, 0 to 1.
    pub(crate) drop_edges: f64,
    /// Share of the traces that is left out, 0 to 1.
    pub(crate) drop_traces: f64,
    pub(crate) seed: u64,
}

/// The fault-free telemetry of a system.
#[derive(Clone, Debug, Default)]
pub(crate) struct System {
    pub(crate) telemetry: Telemetry,
    /// The times that the telemetry is of: first and last, both inclusive.
    pub(crate) history: Vec<(Unix, Unix)>,
}

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) telemetry: Telemetry,
    /// The service that users see.
    pub(crate) entry: String,
    /// How it suffers, where somebody was told: `latency` or `errors`.
    pub(crate) symptom: Option<&'static str>,
    /// When the fault began, as far as is known.
    pub(crate) since: Unix,
    /// When the recording ends.
    pub(crate) until: Unix,
    /// Distance of two points of its metrics.
    pub(crate) interval_ns: i64,
}

impl Recording {
    /// The map of calls alone, as if it had been seen at another time.
    pub(crate) fn calls_at(&self, from: Unix, to: Unix) -> Telemetry {
        let series = self.telemetry.series.iter();
        let calls = series.filter(|series| series.name == super::telemetry::CALLS);
        let pairs = calls.map(|series| {
            let end = |key: &str| {
                let found = series.attributes.iter().find(|(known, _)| known == key);
                found.map_or_else(String::new, |(_, name)| name.clone())
            };
            (end("client"), end("server"))
        });
        petshop::service_graph(&pairs.collect::<Vec<_>>(), (from, to))
    }
}

impl Set {
    /// Reads the labels of the set in `dir`.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        let (labels, odd) = labels(dir)?;
        Ok(Self {
            labels,
            odd,
            dir: dir.to_owned(),
        })
    }

    /// The set that a case's folder is of, and the case's label.
    pub(crate) fn of_case(case: &Path) -> anyhow::Result<(Self, Label)> {
        let case = std::fs::canonicalize(case).with_context(|| case.display().to_string())?;
        let dir = case.parent().and_then(Path::parent);
        let dir = dir.with_context(|| format!("{}: is no case of a set", case.display()))?;
        let set = Self::open(dir)?;
        let name = case.file_name().unwrap_or_default().to_string_lossy();
        let label = set.labels.iter().find(|label| label.case == name).cloned();
        let label = label.with_context(|| format!("{name}: is not in labels.jsonl"))?;
        Ok((set, label))
    }

    /// The cases.
    pub(crate) fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// What is wrong with labels that tell of no case.
    pub(crate) fn odd(&self) -> &[String] {
        &self.odd
    }

    /// What is known of the cases' causes.
    pub(crate) fn truths(&self) -> anyhow::Result<BTreeMap<String, Truth>> {
        truths(&self.dir)
    }

    /// The folder with the fault-free telemetry that a case is compared with.
    pub(crate) fn system_of(label: &Label) -> &str {
        label.day.as_deref().unwrap_or(&label.system)
    }

    /// Reads the fault-free telemetry of a system.
    pub(crate) fn system(&self, name: &str, cut: &Cut) -> anyhow::Result<System> {
        let dir = self.dir.join("systems").join(name);
        let mut system = if dir.join("graph.csv").exists() {
            petshop::system(&dir)?
        } else if dir.join("topology.json").exists() {
            nezha::system(&dir)?
        } else {
            bail!(
                "{}: holds neither topology.json nor graph.csv",
                dir.display()
            );
        };
        cut.apply(&mut system.telemetry);
        Ok(system)
    }

    /// Reads one case.
    pub(crate) fn recording(&self, label: &Label, cut: &Cut) -> anyhow::Result<Recording> {
        let case = self.dir.join("cases").join(&label.case);
        let system = self.dir.join("systems").join(Self::system_of(label));
        let mut recording = match (&label.alarm, label.inject_time_unix) {
            (Some(alarm), _) => petshop::recording(&case, &system, alarm, cut)?,
            (None, Some(began)) => nezha::recording(&case, &system, began, cut)?,
            (None, None) => bail!("{}: it is not known when it began", label.case),
        };
        cut.apply(&mut recording.telemetry);
        Ok(recording)
    }
}

impl Cut {
    fn apply(&self, telemetry: &mut Telemetry) {
        if self.without_logs {
            telemetry.logs.clear();
        }
        if self.without_traces {
            telemetry.spans.clear();
        }
        if self.drop_traces > 0.0 {
            let is_kept = |trace: &[u8]| Dice::of(self.seed, trace).share() >= self.drop_traces;
            telemetry.spans.retain(|(_, span)| is_kept(&span.trace_id));
        }
        if self.without_metrics {
            // The map of calls is no measurement: it stays.
            telemetry
                .series
                .retain(|series| series.name == super::telemetry::CALLS);
        }
    }

    /// Those of the calls that are not forgotten; the same ones for the same seed.
    pub(crate) fn kept(&self, calls: Vec<(String, String)>) -> Vec<(String, String)> {
        let mut dice = Dice::new(self.seed);
        calls
            .into_iter()
            .filter(|_| dice.share() >= self.drop_edges)
            .collect()
    }
}
