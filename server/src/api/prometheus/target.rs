//! What sends metrics, shown as the targets that Prometheus would scrape.

use std::sync::Arc;

use axum::{Json, extract::State};
use demarc_query::{Options, Source};
use serde_json::{Value as Body, json};

use super::{status::rfc3339, success};
use crate::{api::params::Params, app::App, status::ApiError, tenant::Readable};

/// `state`: `active`, `dropped` or `any`; nothing is ever dropped. `scrapePool`: one `job` only.
pub(crate) async fn targets(
    State(app): State<Arc<App>>,
    Readable(tenants): Readable,
    params: Params,
) -> Result<Json<Body>, ApiError> {
    let state = params.get("state").unwrap_or("any").to_lowercase();
    let pool = params.get("scrapePool");
    let reader = app.engine.reader(tenants, Options::default())?;
    let sources = match state.as_str() {
        "dropped" => Vec::new(),
        _ => reader.sources(app.clock.now().to_millis()).await?,
    };
    let active: Vec<Body> = sources
        .iter()
        .filter(|source| pool.is_none_or(|pool| source.labels.get("job") == pool))
        .map(target)
        .collect();
    success(json!({
        "activeTargets": active, "droppedTargets": [], "droppedTargetCounts": {},
    }))
}

fn target(source: &Source) -> Body {
    let labels: std::collections::BTreeMap<&str, &str> = source.labels.iter().collect();
    let health = match source.newest {
        None => "unknown",
        Some(_) if source.is_down => "down",
        Some(_) => "up",
    };
    let seen = source.newest.map(|sample| rfc3339(sample.time.to_nanos()));
    json!({
        "labels": labels,
        "discoveredLabels": labels,
        "scrapePool": source.labels.get("job"),
        "scrapeUrl": "",
        "globalUrl": "",
        "lastError": "",
        // When it last sent something: it is not asked, it tells.
        "lastScrape": seen.unwrap_or_else(|| "0001-01-01T00:00:00Z".to_owned()),
        "lastScrapeDuration": 0.0,
        "health": health,
        "scrapeInterval": "",
        "scrapeTimeout": "",
    })
}
