//! Templates in labels and annotations: `{{ $labels.service }}`, `{{ $value | humanize }}`.
//!
//! The part of Prometheus' template language that names labels and values and formats numbers. A template that uses more is
//! refused when its file is read.

use demarc_proto::Labels;

/// Refuses what [`expand`] would not understand.
pub(crate) fn check(text: &str) -> Result<(), String> {
    parts(text)?;
    Ok(())
}

/// Fills in labels and value. A text that [`check`] refused comes back as it was.
pub(crate) fn expand(text: &str, labels: &Labels, value: f64) -> String {
    let Ok(parts) = parts(text) else {
        return text.to_owned();
    };
    let mut filled = String::new();
    // The value of each `with` that is open; nothing is shown inside one that is empty.
    let mut open: Vec<&str> = Vec::new();
    for part in parts {
        match part {
            Part::With(name) => open.push(labels.get(name)),
            Part::End => drop(open.pop()),
            _ if open.contains(&"") => {}
            Part::Dot => filled.push_str(open.last().copied().unwrap_or_default()),
            Part::Text(text) => filled.push_str(text),
            Part::Label(name) => filled.push_str(labels.get(name)),
            Part::Value(format) => filled.push_str(&format.apply(value)),
            Part::Constant(number, format) => filled.push_str(&format.apply(number)),
        }
    }
    filled
}

enum Part<'a> {
    Text(&'a str),
    Label(&'a str),
    Value(Format),
    /// `{{ "43200" | humanizeDuration }}`
    Constant(f64, Format),
    /// `{{ with $labels.x }}`
    With(&'a str),
    /// `{{ . }}`: the value of the nearest `with`.
    Dot,
    End,
}

#[derive(Clone, Copy)]
enum Format {
    Plain,
    Humanize,
    Percentage,
    Duration,
    Fixed(usize),
    Significant(u8),
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, behind) = after
            .split_once("}}")
            .ok_or_else(|| format!("template {text:?}: \"}}}}\" is missing"))?;
        // A hyphen inside the braces takes away the white space outside them.
        let before = if inside.starts_with("- ") {
            before.trim_end()
        } else {
            before
        };
        parts.push(Part::Text(before));
        parts.push(part(inside.trim().trim_matches('-').trim())?);
        rest = if inside.ends_with(" -") {
            behind.trim_start()
        } else {
            behind
        };
    }
    let opened = parts
        .iter()
        .filter(|part| matches!(part, Part::With(_)))
        .count();
    if opened
        != parts
            .iter()
            .filter(|part| matches!(part, Part::End))
            .count()
    {
        return Err(format!("template {text:?}: each with needs one end"));
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

fn part(inside: &str) -> Result<Part<'_>, String> {
    let unknown = || {
        format!(
            "template {{{{ {inside} }}}}: must be $labels.<name> or $value, with | humanize, humanizePercentage, \
             humanizeDuration or printf"
        )
    };
    match inside {
        "." => return Ok(Part::Dot),
        "end" => return Ok(Part::End),
        _ => {}
    }
    if let Some(what) = inside.strip_prefix("with ") {
        return label(what.trim()).map(Part::With).ok_or_else(unknown);
    }
    if let Some(rest) = inside.strip_prefix("printf ") {
        let (format, what) = rest.rsplit_once(' ').ok_or_else(unknown)?;
        let is_value = matches!(what, "$value" | ".Value");
        return is_value
            .then(|| printf(format))
            .flatten()
            .map(Part::Value)
            .ok_or_else(unknown);
    }
    let (what, format) = match inside.split_once('|') {
        Some((what, format)) => (what.trim(), Some(format.trim())),
        None => (inside, None),
    };
    let label = label(what);
    match (label, format) {
        (Some(name), None) => Ok(Part::Label(name)),
        (None, format) if matches!(what, "$value" | ".Value") => {
            format_of(format).map(Part::Value).ok_or_else(unknown)
        }
        (None, format @ Some(_)) => {
            let number = what.trim_matches('"').parse().ok();
            let part = number.zip(format_of(format));
            part.map(|(number, format)| Part::Constant(number, format))
                .ok_or_else(unknown)
        }
        _ => Err(unknown()),
    }
}

fn label(what: &str) -> Option<&str> {
    let prefixes = ["$labels.", ".Labels.", "$.Labels.", "$.labels."];
    prefixes
        .into_iter()
        .find_map(|prefix| what.strip_prefix(prefix))
}

fn format_of(name: Option<&str>) -> Option<Format> {
    match name {
        None => Some(Format::Plain),
        Some("humanize") => Some(Format::Humanize),
        Some("humanizePercentage") => Some(Format::Percentage),
        Some("humanizeDuration") => Some(Format::Duration),
        Some(other) => printf(other.strip_prefix("printf")?.trim()),
    }
}

/// `"%.2f"` or `"%.4g"`
fn printf(format: &str) -> Option<Format> {
    let spec = format.trim_matches('"').strip_prefix('%')?;
    let (digits, verb) = spec.split_at_checked(spec.len().checked_sub(1)?)?;
    let digits: u8 = digits
        .trim_start_matches('0')
        .strip_prefix('.')?
        .parse()
        .ok()?;
    match verb {
        "f" => Some(Format::Fixed(usize::from(digits))),
        "g" => Some(Format::Significant(digits)),
        _ => None,
    }
}

impl Format {
    fn apply(self, value: f64) -> String {
        match self {
            Self::Plain => value.to_string(),
            Self::Humanize => humanize(value),
            Self::Percentage => format!("{}%", significant(value * 100.0)),
            Self::Duration => duration(value),
            Self::Fixed(digits) => format!("{value:.digits$}"),
            Self::Significant(digits) => significant_to(value, i32::from(digits)),
        }
    }
}

/// Four significant digits, as Go's `%.4g`.
fn significant(value: f64) -> String {
    significant_to(value, 4)
}

fn significant_to(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let digits = digits - 1 - value.abs().log10().floor() as i32;
    let text = format!("{value:.*}", usize::try_from(digits).unwrap_or(0));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return significant(value);
    }
    let mut scaled = value;
    let mut prefix = "";
    if value.abs() >= 1.0 {
        for next in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
            if scaled.abs() < 1000.0 {
                break;
            }
            prefix = next;
            scaled /= 1000.0;
        }
    } else {
        for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
            if scaled.abs() >= 1.0 {
                break;
            }
            prefix = next;
            scaled *= 1000.0;
        }
    }
    format!("{}{prefix}", significant(scaled))
}

fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds.abs() < 1.0 {
        return if seconds == 0.0 {
            "0s".to_owned()
        } else {
            format!("{}s", humanize(seconds))
        };
    }
    if seconds.abs() < 60.0 {
        return format!("{}s", significant(seconds));
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let whole = seconds.abs() as i64;
    let (days, hours) = (whole / 86_400, whole / 3600 % 24);
    let (minutes, seconds) = (whole / 60 % 60, whole % 60);
    match (days, hours) {
        (0, 0) => format!("{sign}{minutes}m {seconds}s"),
        (0, _) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_values_are_filled_in() {
        let labels = Labels::from_pairs([("service", "tax-api")]);
        for (text, value, wanted) in [
            ("{{ $labels.service }} fails", 0.0, "tax-api fails"),
            ("{{$labels.absent}}", 0.0, ""),
            ("{{ $value | humanizePercentage }}", 0.1234, "12.34%"),
            ("{{ $value | humanize }}", 1_234_567.0, "1.235M"),
            ("{{ $value | humanizeDuration }}", 0.25, "250ms"),
            ("{{ $value | humanizeDuration }}", 3723.0, "1h 2m 3s"),
            ("{{ printf \"%.2f\" $value }}", 1.005, "1.00"),
            ("{{ $value }}", 2.5, "2.5"),
            (
                "a{{ with $labels.service -}} on {{ . }} {{- end }}!",
                0.0,
                "aon tax-api!",
            ),
            (
                "a{{ with $labels.absent -}} on {{ . }} {{- end }}!",
                0.0,
                "a!",
            ),
        ] {
            check(text).unwrap();
            assert_eq!(expand(text, &labels, value), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "{{ query \"up\" }}",
            "{{ $labels.a",
            "{{ $value | nonsense }}",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
