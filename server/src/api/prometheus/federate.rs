//! The newest samples in Prometheus' text format, for another Prometheus that federates.
//!
//! Source: Prometheus, "Federation"; "Exposition formats".

use std::{fmt::Write, sync::Arc};

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use demarc_proto::{Labels, METRIC_NAME};
use demarc_query::Options;
use demarc_store::Sample;

use crate::{
    api::{number::number, params::Params},
    app::App,
    status::ApiError,
    tenant::Readable,
};

/// The media type of the text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8";

pub(crate) async fn federate(
    State(app): State<Arc<App>>,
    Readable(tenants): Readable,
    params: Params,
) -> Result<Response, ApiError> {
    let selectors = params.all("match[]");
    let options = Options {
        lookback: params.duration("lookback_delta")?,
        ..Options::default()
    };
    let reader = app.engine.reader(tenants, options)?;
    let at = app.clock.now().to_millis();
    // Without a selector nothing is selected, where the lists of series would select everything.
    let mut found = Vec::new();
    if !selectors.is_empty() {
        let newest = reader.newest(selectors, at).await;
        found = newest.map_err(|fault| ApiError::of_text("match[]", fault))?;
    }
    found.sort_by(|a, b| (a.0.metric(), &a.0).cmp(&(b.0.metric(), &b.0)));
    Ok(([(CONTENT_TYPE, TEXT)], exposition(&found)).into_response())
}

fn exposition(found: &[(Labels, Sample)]) -> String {
    let mut text = String::new();
    let mut metric = None;
    for (labels, sample) in found {
        if metric != Some(labels.metric()) {
            metric = Some(labels.metric());
            let _ = writeln!(text, "# TYPE {} untyped", name(labels.metric()));
        }
        let _ = writeln!(
            text,
            "{} {} {}",
            series(labels),
            number(sample.value),
            sample.time.0
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
    if !is_plain(metric) {
        parts.insert(0, name(metric));
        return format!("{{{}}}", parts.join(","));
    }
    // Prometheus says where a sample comes from, also when nobody does.
    if labels.get("instance").is_empty() {
        parts.push("instance=\"\"".to_owned());
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

    use super::*;

    #[test]
    fn samples_stand_below_their_metric() {
        let sample = Sample::new(Millis(1500), 0.5);
        let found = [
            (
                Labels::from_pairs([(METRIC_NAME, "up"), ("instance", "a\"\n"), ("job", "b")]),
                sample,
            ),
            (
                Labels::from_pairs([(METRIC_NAME, "up.é"), ("a.b", "c")]),
                sample,
            ),
        ];
        let wanted = "# TYPE up untyped\nup{instance=\"a\\\"\\n\",job=\"b\"} 0.5 1500\n\
                      # TYPE \"up.é\" untyped\n{\"up.é\",\"a.b\"=\"c\"} 0.5 1500\n";
        assert_eq!(exposition(&found), wanted);
    }
}
