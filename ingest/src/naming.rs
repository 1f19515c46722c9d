//! OTLP names to Prometheus names.
//!
//! Source: OpenTelemetry, "Prometheus and OpenMetrics Compatibility"; Prometheus' translation strategy
//! `UnderscoreEscapingWithSuffixes`.

use std::borrow::Cow;

use demarc_store::MetricKind;

/// Name of the series of a metric, without the `_bucket`, `_sum` and `_count` of its parts.
pub(crate) fn metric_name(name: &str, unit: &str, kind: MetricKind) -> String {
    let mut words: Vec<&str> = name
        .split(|c: char| !is_metric_char(c))
        .filter(|word| !word.is_empty())
        .collect();
    // A suffix that the name already has, even in its middle, is moved to the end, not doubled.
    let (main, per) = unit_words(unit);
    for suffix in [main.as_deref(), per.as_deref()].into_iter().flatten() {
        for word in suffix.split('_') {
            words.retain(|w| *w != word);
        }
        words.extend(suffix.split('_'));
    }
    if kind == MetricKind::Counter {
        words.retain(|w| *w != "total");
        words.push("total");
    }
    if kind == MetricKind::Gauge && unit == "1" {
        words.retain(|w| *w != "ratio");
        words.push("ratio");
    }
    let mut joined = words.join("_");
    if joined.is_empty() || joined.starts_with(|c: char| c.is_ascii_digit()) {
        joined.insert(0, '_');
    }
    joined
}

fn is_metric_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

/// Name of a label: other characters become `_`; a leading digit gets `key_` before it.
pub(crate) fn label_name(key: &str) -> Cow<'_, str> {
    let clean = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts_with_digit = key.starts_with(|c: char| c.is_ascii_digit());
    if key.chars().all(clean) && !starts_with_digit {
        return Cow::Borrowed(key);
    }
    let mut name: String = key
        .chars()
        .map(|c| if clean(c) { c } else { '_' })
        .collect();
    if starts_with_digit {
        name.insert_str(0, "key_");
    }
    Cow::Owned(name)
}

/// The words for a UCUM unit: `By` is `bytes`, `m/s` is `meters` and `per_second`; `{...}` and `1` are none.
pub(crate) fn unit_words(unit: &str) -> (Option<String>, Option<String>) {
    let unit = without_braces(unit);
    let (main, per) = match unit.split_once('/') {
        Some((main, per)) => (main, Some(per)),
        None => (unit.as_str(), None),
    };
    let main = Some(clean_unit(unit_word(main.trim()))).filter(|word| !word.is_empty());
    let per = per
        .map(|per| clean_unit(per_word(per.trim())))
        .filter(|word| !word.is_empty())
        .map(|word| format!("per_{word}"));
    (main, per)
}

fn without_braces(unit: &str) -> String {
    let mut depth = 0_u32;
    let mut kept = String::new();
    for c in unit.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

fn clean_unit(word: &str) -> String {
    let words: Vec<&str> = word
        .split(|c: char| !is_metric_char(c))
        .filter(|part| !part.is_empty())
        .collect();
    words.join("_")
}

fn unit_word(unit: &str) -> &str {
    match unit {
        "1" => "",
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "KBy" | "kBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "%" => "percent",
        other => other,
    }
}

fn per_word(unit: &str) -> &str {
    match unit {
        "s" => "second",
        "m" => "minute",
        "min" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_compatibility_specification() {
        let cases = [
            (
                "system.cpu.utilization",
                "1",
                MetricKind::Gauge,
                "system_cpu_utilization_ratio",
            ),
            (
                "system.cpu.time",
                "s",
                MetricKind::Counter,
                "system_cpu_time_seconds_total",
            ),
            (
                "http.server.request.duration",
                "s",
                MetricKind::Histogram,
                "http_server_request_duration_seconds",
            ),
            (
                "network.io",
                "By",
                MetricKind::Counter,
                "network_io_bytes_total",
            ),
            (
                "requests_total",
                "{request}",
                MetricKind::Counter,
                "requests_total",
            ),
            ("speed", "m/s", MetricKind::Gauge, "speed_meters_per_second"),
            ("3d.angle", "", MetricKind::Gauge, "_3d_angle"),
            ("queue..length", "{item}", MetricKind::Gauge, "queue_length"),
        ];
        for (name, unit, kind, expected) in cases {
            assert_eq!(metric_name(name, unit, kind), expected, "{name} [{unit}]");
        }
    }

    #[test]
    fn label_names_are_sanitised() {
        assert_eq!(label_name("http.route"), "http_route");
        assert_eq!(label_name("1st"), "key_1st");
        assert_eq!(label_name("__x"), "__x");
    }
}
