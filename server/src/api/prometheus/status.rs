//! What the server is and how it does, in the words of Prometheus.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use demarc_proto::Nanos;
use demarc_query::Options;
use serde_json::{Value as Body, json};

use super::success;
use crate::{api::params::Params, app::App, status::ApiError, tenant::Readable};

/// How long a list of the largest is when nobody says. Source: Prometheus, "HTTP API: TSDB Stats".
const LARGEST: usize = 10;

type Reply = Result<Json<Body>, ApiError>;

/// Grafana decides by the version which parts of the API it may use; with `features` it would take this for Mimir.
pub(crate) async fn buildinfo() -> Reply {
    success(json!({
        "version": "3.0.0", "revision": env!("CARGO_PKG_VERSION"), "branch": "", "buildUser": "",
        "buildDate": "", "goVersion": "", "application": "Demarc",
    }))
}

pub(crate) async fn runtimeinfo(State(app): State<Arc<App>>) -> Reply {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let folder = std::env::current_dir().unwrap_or_default();
    success(json!({
        "startTime": rfc3339(app.started),
        "CWD": folder.display().to_string(),
        "serverTime": rfc3339(app.clock.now()),
        "reloadConfigSuccess": true,
        "lastConfigTime": rfc3339(app.started),
        "corruptionCount": 0,
        "GOMAXPROCS": threads,
        "storageRetention": "",
    }))
}

/// The settings that have a counterpart among Prometheus' flags.
pub(crate) async fn flags(State(app): State<Arc<App>>) -> Reply {
    let (config, query) = (&app.config, &app.config.query);
    let flags = BTreeMap::from([
        (
            "query.lookback-delta",
            format!("{}s", query.lookback_seconds),
        ),
        ("query.max-concurrency", query.max_concurrent.to_string()),
        ("query.max-samples", query.max_samples.to_string()),
        ("query.timeout", format!("{}s", query.timeout_seconds)),
        ("storage.tsdb.path", config.data_dir.display().to_string()),
        ("web.external-url", config.external_url.clone()),
        ("web.listen-address", config.http.to_string()),
    ]);
    success(json!(flags))
}

/// What of the configuration Prometheus' file format can say.
pub(crate) async fn config(State(app): State<Arc<App>>) -> Reply {
    let files: Vec<String> = app
        .config
        .rule_files
        .iter()
        .map(|file| format!("- {}\n", json!(file.path)))
        .collect();
    let files = if files.is_empty() {
        String::new()
    } else {
        format!("rule_files:\n{}", files.concat())
    };
    let interval = app.config.rules.interval_seconds;
    success(json!({"yaml": format!("global:\n  evaluation_interval: {interval}s\n{files}")}))
}

/// How many series the tenant has, and of what.
pub(crate) async fn tsdb(
    State(app): State<Arc<App>>,
    Readable(tenants): Readable,
    params: Params,
) -> Reply {
    let limit = params.limit("limit")?.unwrap_or(LARGEST);
    let reader = app.engine.reader(tenants, Options::default())?;
    let census = reader.census(limit).await?;
    let list = |counts: Vec<(String, usize)>| -> Vec<Body> {
        let counts = counts.into_iter();
        counts
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect()
    };
    success(json!({
        "headStats": {
            "numSeries": census.series, "numLabelPairs": census.label_pairs, "chunkCount": 0,
            "minTime": 0, "maxTime": app.clock.now().to_millis().0,
        },
        "seriesCountByMetricName": list(census.by_metric),
        "labelValueCountByLabelName": list(census.values_by_label),
        "memoryInBytesByLabelName": list(census.bytes_by_label),
        "seriesCountByLabelValuePair": list(census.by_pair),
    }))
}

/// Notifications go to the receivers of `[notify]`; there is no Alertmanager between.
pub(crate) async fn alertmanagers() -> Reply {
    success(json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))
}

/// A time as Prometheus writes it outside of samples.
pub(crate) fn rfc3339(at: Nanos) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0))
        .map(|at| at.to_string())
        .unwrap_or_default()
}
