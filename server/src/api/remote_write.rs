//! `POST /api/v1/write`, also `/api/v1/push`: Prometheus remote-write.
//!
//! Source: Prometheus, "Remote-Write 1.0" and "Remote-Write 2.0" specifications.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use demarc_ingest::{RemoteWrite, Written};

use crate::{app::App, body, otlp::Failure, status, telemetry, tenant};

/// 204 when everything was written. When something was refused, 400: what was good is written all the same, and the headers
/// say how much; sending it again would change nothing.
pub(crate) async fn write(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    let (written, failure) = match accept(&app, &headers, body).await {
        Ok(written) if written.rejected.is_empty() => (written, None),
        Ok(written) => {
            let failure = Failure::bad_request(written.message());
            (written, Some(failure))
        }
        Err(failure) => (Written::default(), Some(failure)),
    };
    let mut answer = match &failure {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(failure) => (failure.http, failure.message.clone()).into_response(),
    };
    // Also on failure: without them a sender takes the receiver for one of version 1 that is broken.
    for (name, count) in [
        ("x-prometheus-remote-write-samples-written", written.samples),
        (
            "x-prometheus-remote-write-histograms-written",
            written.histograms,
        ),
        (
            "x-prometheus-remote-write-exemplars-written",
            written.exemplars,
        ),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from(count));
    }
    status::retry_after(&mut answer, failure.and_then(|failure| failure.retry_after));
    answer
}

async fn accept(app: &Arc<App>, headers: &HeaderMap, body: Body) -> Result<Written, Failure> {
    let tenant = tenant::of(headers.get(tenant::HEADER).map(|value| value.as_bytes()))
        .map_err(Failure::bad_request)?;
    let version = message(headers)?;
    let mut admission = app.ingest.admission();
    let limit = app.ingest.config().max_body_bytes;
    let body = body::read(headers, body, limit, &mut admission)
        .await
        .map_err(status::unread)?;
    let app = Arc::clone(app);
    // Goes on when the sender gives up: what is half done would be counted twice when it is sent again.
    let work = tokio::spawn(async move {
        let work = app.ingest.remote_write(&tenant, version, body, admission);
        telemetry::unless_own(&tenant, work).await
    });
    work.await
        .map_err(|error| status::died(&error))?
        .map_err(|error| status::otlp(&error))
}

fn message(headers: &HeaderMap) -> Result<RemoteWrite, Failure> {
    let text = |name| {
        let value = headers.get(name).map(HeaderValue::to_str);
        value.transpose().unwrap_or(Some("?")).unwrap_or_default()
    };
    let unsupported = |message| Failure {
        http: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ..Failure::bad_request(message)
    };
    // Version 1 knows only snappy, and some senders leave it out.
    let encoding = text(header::CONTENT_ENCODING);
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("snappy") {
        return Err(unsupported(format!(
            "Content-Encoding {encoding:?}: must be snappy"
        )));
    }
    let content_type = text(header::CONTENT_TYPE);
    RemoteWrite::of_content_type(content_type).ok_or_else(|| {
        unsupported(format!(
            "Content-Type {content_type:?}: must be application/x-protobuf, of the message prometheus.WriteRequest or \
             io.prometheus.write.v2.Request"
        ))
    })
}
