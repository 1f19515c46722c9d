//! The newest samples, for another Prometheus that federates: as text, or as protobuf for whoever asks for it.
//!
//! Native histograms have no form in the text format and are left out there, as Prometheus leaves them out.
//!
//! Source: Prometheus, "Federation"; `web/federate.go`; "Content Negotiation".

mod protobuf;
mod text;

use std::sync::Arc;

use axum::{
    extract::State,
    http::{
        HeaderMap,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use demarc_query::Options;

use crate::{api::params::Params, app::App, status::ApiError, tenant::Readable};

/// The media type of the text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8";
/// The media type of length-delimited messages.
const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                        encoding=delimited; escaping=allow-utf-8";

pub(crate) async fn federate(
    State(app): State<Arc<App>>,
    Readable(tenants): Readable,
    headers: HeaderMap,
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
    let accepted = headers.get_all(ACCEPT).iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    if prefers_protobuf(accepted.flat_map(|value| value.split(','))) {
        return Ok(([(CONTENT_TYPE, PROTOBUF)], protobuf::exposition(&found)).into_response());
    }
    Ok(([(CONTENT_TYPE, TEXT)], text::exposition(&found)).into_response())
}

/// Whether protobuf is wanted rather than text: by weight, then by place.
fn prefers_protobuf<'a>(ranges: impl Iterator<Item = &'a str>) -> bool {
    let mut best = (0.0, false);
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let parameters: Vec<&str> = parts.collect();
        let is_protobuf = media == "application/vnd.google.protobuf"
            && parameters.contains(&"proto=io.prometheus.client.MetricFamily")
            && parameters.contains(&"encoding=delimited");
        if !is_protobuf && !matches!(media, "text/plain" | "text/*" | "*/*") {
            continue;
        }
        let weight = parameters.iter().find_map(|one| one.strip_prefix("q="));
        let weight: f64 = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        if weight > best.0 {
            best = (weight, is_protobuf);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protobuf_goes_to_whoever_prefers_it() {
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        for (accept, wanted) in [
            (String::new(), false),
            ("*/*".to_owned(), false),
            (protobuf.to_owned(), true),
            (
                format!("{protobuf};q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
                true,
            ),
            (format!("{protobuf};q=0.4, text/plain;q=0.5"), false),
            (
                "application/vnd.google.protobuf;encoding=text".to_owned(),
                false,
            ),
            (format!("{protobuf};q=0"), false),
        ] {
            assert_eq!(prefers_protobuf(accept.split(',')), wanted, "{accept}");
        }
    }
}
