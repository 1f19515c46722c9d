//! OTLP names to Prometheus names.
//!
//! Source: OpenTelemetry, "Prometheus and OpenMetrics Compatibility"; Prometheus, "otlp" in the configuration, and its
//! `otlptranslator`, which decides where the specification leaves a choice.

use std::borrow::Cow;

/// How names are written. The names of the strategies are those of Prometheus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub enum TranslationStrategy {
    /// Other characters become `_`; unit and type are appended.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Other characters become `_`; nothing is appended.
    UnderscoreEscapingWithoutSuffixes,
    /// Names keep their characters; unit and type are appended.
    #[serde(rename = "NoUTF8EscapingWithSuffixes")]
    NoUtf8EscapingWithSuffixes,
    /// Names stay as they are.
    NoTranslation,
}

/// What of a metric's type its name shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suffix {
    /// A monotonic sum: `_total`.
    Total,
    /// A gauge: `_ratio`, when its unit is 1.
    Ratio,
    /// Neither.
    None,
}

impl TranslationStrategy {
    /// Name of the series of a metric, without the `_bucket`, `_sum` and `_count` of its parts.
    pub(crate) fn metric_name(self, name: &str, unit: &str, suffix: Suffix) -> String {
        let suffix = match suffix {
            Suffix::Ratio if unit != "1" => Suffix::None,
            suffix => suffix,
        };
        match self {
            Self::UnderscoreEscapingWithSuffixes => suffixed_words(name, unit, suffix),
            Self::UnderscoreEscapingWithoutSuffixes => {
                words(name, |c| is_metric_char(c) || c == '_')
            }
            Self::NoUtf8EscapingWithSuffixes => suffixed(name, unit, suffix),
            Self::NoTranslation => name.to_owned(),
        }
    }

    /// Name of a label. Escaped: other characters become `_`, and what then begins with a digit, or with a single `_` where
    /// that is asked for, gets `key` before it.
    pub(crate) fn label_name(self, key: &str, sanitises_underscore: bool) -> Cow<'_, str> {
        match self {
            Self::NoUtf8EscapingWithSuffixes | Self::NoTranslation => Cow::Borrowed(key),
            _ => label_name(key, sanitises_underscore),
        }
    }
}

/// The parts of `name` that consist of allowed characters, with `_` between them.
fn words(name: &str, is_allowed: impl Fn(char) -> bool) -> String {
    let words: Vec<&str> = name
        .split(|c: char| !is_allowed(c))
        .filter(|word| !word.is_empty())
        .collect();
    not_a_digit_first(words.join("_"))
}

fn suffixed_words(name: &str, unit: &str, suffix: Suffix) -> String {
    let mut words: Vec<&str> = name
        .split(|c: char| !is_metric_char(c))
        .filter(|word| !word.is_empty())
        .collect();
    let (main, per) = unit_words(unit);
    for word in [main.as_deref(), per.as_deref()].into_iter().flatten() {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let last = match suffix {
        Suffix::Total => Some("total"),
        Suffix::Ratio => Some("ratio"),
        Suffix::None => None,
    };
    if let Some(last) = last {
        words.retain(|word| *word != last);
        words.push(last);
    }
    not_a_digit_first(words.join("_"))
}

fn suffixed(name: &str, unit: &str, suffix: Suffix) -> String {
    let last = match suffix {
        Suffix::Total => "total",
        Suffix::Ratio => "ratio",
        Suffix::None => "",
    };
    let (main, per) = unit_words(unit);
    let mut name = without_last_word(name, last);
    if let Some(per) = &per {
        name = without_last_word(name, per);
    }
    let mut name = name.to_owned();
    let main = main.filter(|main| !name.ends_with(main.as_str()));
    for word in [main.as_deref(), per.as_deref(), Some(last)]
        .into_iter()
        .flatten()
    {
        if !word.is_empty() {
            name.push('_');
            name.push_str(word);
        }
    }
    name
}

fn without_last_word<'a>(name: &'a str, word: &str) -> &'a str {
    let rest = name.strip_suffix(word).filter(|_| !word.is_empty());
    match rest.and_then(|rest| rest.char_indices().next_back()) {
        Some((delimiter, _)) if delimiter > 0 => &name[..delimiter],
        _ => name,
    }
}

fn not_a_digit_first(mut name: String) -> String {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

fn is_metric_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn label_name(key: &str, sanitises_underscore: bool) -> Cow<'_, str> {
    let clean = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts_with_digit = key.starts_with(|c: char| c.is_ascii_digit());
    if key.chars().all(clean) && !starts_with_digit && !key.starts_with('_') {
        return Cow::Borrowed(key);
    }
    let mut name: String = key
        .chars()
        .map(|c| if clean(c) { c } else { '_' })
        .collect();
    if starts_with_digit {
        name.insert_str(0, "key_");
    } else if sanitises_underscore && name.starts_with('_') && !name.starts_with("__") {
        name.insert_str(0, "key");
    }
    Cow::Owned(name)
}

/// The words for a UCUM unit: `By` is `bytes`, `m/s` is `meters` and `per_second`; `{...}` and `1` are none.
fn unit_words(unit: &str) -> (Option<String>, Option<String>) {
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
    use TranslationStrategy as S;

    #[test]
    fn names_follow_the_compatibility_specification() {
        let cases = [
            (
                "system.cpu.utilization",
                "1",
                Suffix::Ratio,
                "system_cpu_utilization_ratio",
            ),
            (
                "system.cpu.time",
                "s",
                Suffix::Total,
                "system_cpu_time_seconds_total",
            ),
            (
                "http.server.request.duration",
                "s",
                Suffix::None,
                "http_server_request_duration_seconds",
            ),
            ("network.io", "By", Suffix::Total, "network_io_bytes_total"),
            (
                "requests_total",
                "{request}",
                Suffix::Total,
                "requests_total",
            ),
            ("total.requests", "1", Suffix::Total, "requests_total"),
            ("speed", "m/s", Suffix::Ratio, "speed_meters_per_second"),
            ("rate", "{request}/s", Suffix::Ratio, "rate_per_second"),
            ("cpu.seconds.spent", "s", Suffix::Ratio, "cpu_seconds_spent"),
            ("3d.angle", "", Suffix::Ratio, "_3d_angle"),
            ("queue..length", "{item}", Suffix::Ratio, "queue_length"),
            ("up.down", "1", Suffix::None, "up_down"),
            ("a:b", "TiBy", Suffix::Ratio, "a:b_tibibytes"),
            ("custom", "widgets", Suffix::Ratio, "custom_widgets"),
            ("定界", "", Suffix::Ratio, "_"),
        ];
        for (name, unit, suffix, expected) in cases {
            let got = S::UnderscoreEscapingWithSuffixes.metric_name(name, unit, suffix);
            assert_eq!(got, expected, "{name} [{unit}]");
        }
    }

    #[test]
    fn each_strategy_writes_names_its_own_way() {
        let cases = [
            (S::UnderscoreEscapingWithoutSuffixes, "http_io_x"),
            (S::NoUtf8EscapingWithSuffixes, "http.io..x_bytes_total"),
            (S::NoTranslation, "http.io..x"),
        ];
        for (strategy, expected) in cases {
            let got = strategy.metric_name("http.io..x", "By", Suffix::Total);
            assert_eq!(got, expected, "{strategy:?}");
        }
        let suffixed =
            |name, unit, suffix| S::NoUtf8EscapingWithSuffixes.metric_name(name, unit, suffix);
        assert_eq!(
            suffixed("jobs.total", "s", Suffix::Total),
            "jobs_seconds_total"
        );
        assert_eq!(suffixed("wait.seconds", "s", Suffix::None), "wait.seconds");
        assert_eq!(
            suffixed("定.速度", "m/s", Suffix::Ratio),
            "定.速度_meters_per_second"
        );
    }

    #[test]
    fn label_names_are_sanitised() {
        let escaped = |key, sanitises| {
            let strategy = S::UnderscoreEscapingWithSuffixes;
            strategy.label_name(key, sanitises).into_owned()
        };
        assert_eq!(escaped("http.route", true), "http_route");
        assert_eq!(escaped("1st", true), "key_1st");
        assert_eq!(escaped("__x", true), "__x");
        assert_eq!(escaped("_x", true), "key_x");
        assert_eq!(escaped("_x", false), "_x");
        assert_eq!(escaped(".x", true), "key_x");
        assert_eq!(
            S::NoTranslation.label_name("http.route", true),
            "http.route"
        );
    }
}
