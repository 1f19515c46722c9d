//! The text format. Source: Prometheus, "Exposition formats".

use std::fmt::Write;

use demarc_proto::{Labels, METRIC_NAME};
use demarc_query::Point;

use crate::api::number::number;

pub(super) fn exposition(found: &[(Labels, Point)]) -> String {
    let mut text = String::new();
    let mut metric = None;
    for (labels, point) in found {
        let Some(value) = point.float() else {
            continue;
        };
        if metric != Some(labels.metric()) {
            metric = Some(labels.metric());
            let _ = writeln!(text, "# TYPE {} untyped", name(labels.metric()));
        }
        let _ = writeln!(
            text,
            "{} {} {}",
            series(labels),
            number(value),
            point.time.0
        );
    }
    text
}

/// `metric{label="value"}`; a metric with other letters than the old ones stands within the braces.
fn series(labels: &Labels) -> String {
    let metric = labels.metric();
    let mut parts: Vec<String> = labels
        .iter()
        .filter(|(label, _)| *label != METRIC_NAME)
        .map(|(label, value)| format!("{}=\"{}\"", name(label), escaped(value)))
        .collect();
    // Prometheus says where a sample comes from, also when nobody does.
    if labels.get("instance").is_empty() {
        parts.push("instance=\"\"".to_owned());
    }
    if !is_plain(metric) {
        parts.insert(0, name(metric));
        return format!("{{{}}}", parts.join(","));
    }
    format!("{metric}{{{}}}", parts.join(","))
}

fn name(name: &str) -> String {
    if is_plain(name) {
        name.to_owned()
    } else {
        format!("\"{}\"", escaped(name))
    }
}

fn is_plain(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    text.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use demarc_proto::Millis;
    use demarc_query::PointValue;

    use super::*;

    #[test]
    fn samples_stand_below_their_metric() {
        let point = Point {
            time: Millis(1500),
            value: PointValue::Float(0.5),
        };
        let found = [
            (
                Labels::from_pairs([(METRIC_NAME, "up"), ("instance", "a\"\n"), ("job", "b")]),
                point.clone(),
            ),
            (
                Labels::from_pairs([(METRIC_NAME, "up.é"), ("a.b", "c")]),
                point.clone(),
            ),
        ];
        let wanted = "# TYPE up untyped\nup{instance=\"a\\\"\\n\",job=\"b\"} 0.5 1500\n\
                      # TYPE \"up.é\" untyped\n{\"up.é\",\"a.b\"=\"c\",instance=\"\"} 0.5 1500\n";
        assert_eq!(exposition(&found), wanted);
    }
}
