//! Durations as Prometheus writes them: `5m`, `1h30m`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// Reads `text`; the message names what would be right.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    demarc_query::promql::parse_duration(text)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is not a duration such as \"30s\", \"5m\" or \"1h30m\""))
}

/// For `#[serde(deserialize_with)]`.
pub(crate) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| parse(&text).map_err(D::Error::custom))
        .transpose()
}
