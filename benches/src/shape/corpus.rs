//! Scrapes in the text format of Prometheus, as series.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context;
use demarc_proto::{Labels, METRIC_NAME, Millis};
use demarc_store::{MetricRows, Sample};

use crate::cli::ShapeArgs;

/// 2026-11-23T00:00:00Z: a day into which all samples fit.
const START_MS: i64 = 1_795_392_000_000;
const INTERVAL_MS: i64 = 15_000;

/// Series of several hosts.
#[derive(Debug)]
pub(super) struct Corpus {
    /// Each with all its samples.
    pub(super) series: Vec<MetricRows>,
}

impl Corpus {
    /// Reads the scrapes in the order of their names and deals them out to hosts in stretches. A scrape counts as 15 s after
    /// the one before, off by as much as its own time is off the second.
    pub(super) fn read(args: &ShapeArgs) -> anyhow::Result<Self> {
        let paths = scrapes(args)?;
        let stretch = paths.len() / args.hosts.max(1);
        anyhow::ensure!(
            stretch > 0,
            "{} scrapes: too few for {} hosts",
            paths.len(),
            args.hosts
        );
        let mut series: BTreeMap<String, MetricRows> = BTreeMap::new();
        for (at, path) in paths.iter().take(stretch * args.hosts).enumerate() {
            let host = at / stretch;
            let place = i64::try_from(at % stretch)?;
            let time = Millis(START_MS + place * INTERVAL_MS + taken_ms(path) % 20);
            let text =
                fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let Some((name, value)) = line.rsplit_once(' ') else {
                    continue;
                };
                let value: f64 = value.parse().with_context(|| format!("value of {name}"))?;
                let key = format!("{host} {name}");
                let rows = series.entry(key).or_insert_with(|| MetricRows {
                    labels: labels(name, host),
                    ..MetricRows::default()
                });
                rows.samples.push(Sample::new(time, value));
            }
        }
        let series = series.into_values().collect();
        Ok(Self { series })
    }

    /// How many samples there are.
    pub(super) fn samples(&self) -> usize {
        self.series.iter().map(|series| series.samples.len()).sum()
    }
}

fn scrapes(args: &ShapeArgs) -> anyhow::Result<Vec<PathBuf>> {
    let listed =
        fs::read_dir(&args.folder).with_context(|| format!("list {}", args.folder.display()))?;
    let mut paths = listed
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "prom"));
    paths.sort();
    Ok(paths.into_iter().step_by(args.stride.max(1)).collect())
}

/// When a scrape was taken, as its name says; 0 where it says nothing.
fn taken_ms(path: &std::path::Path) -> i64 {
    let name = path.file_stem().and_then(|name| name.to_str());
    let time = name.and_then(|name| name.rsplit_once('-'));
    time.and_then(|(_, time)| time.parse().ok()).unwrap_or(0)
}

/// The labels of `name{label="value",...}`. The exporter escapes nothing that would need more than this.
fn labels(name: &str, host: usize) -> Labels {
    let (metric, rest) = name.split_once('{').unwrap_or((name, ""));
    let mut pairs = vec![
        (METRIC_NAME.to_owned(), metric.to_owned()),
        ("instance".to_owned(), format!("host-{host}:9100")),
        ("job".to_owned(), "node".to_owned()),
    ];
    for pair in rest.trim_end_matches('}').split("\",") {
        if let Some((label, value)) = pair.split_once("=\"") {
            pairs.push((label.to_owned(), value.trim_end_matches('"').to_owned()));
        }
    }
    Labels::from_pairs(pairs)
}
