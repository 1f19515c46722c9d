//! Durations as Prometheus writes them: `5m`, `1h30m`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// Reads `text`; the message names what would be right.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    // `0s`, `0m` ... are no time at all, which the query language's own parser refuses.
    if text.trim_end_matches(|c: char| c.is_ascii_lowercase()) == "0" {
        return Ok(Duration::ZERO);
    }
    promql_parser::util::parse_duration(text)
        .map_err(|_| format!("{text:?} is not a duration such as \"30s\", \"5m\" or \"1h30m\""))
}

/// For `#[serde(deserialize_with)]`.
pub(crate) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| parse(&text).map_err(D::Error::custom))
        .transpose()
}
