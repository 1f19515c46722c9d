//! Exemplars: measured values that point at traces.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use demarc_query::{ExemplarSeries, Options};

use super::answer::write_labels;
use crate::{
    api::{
        document::Document,
        number::{write_number, write_seconds},
        params::Params,
    },
    app::App,
    status::ApiError,
    tenant::Readable,
};

pub(crate) async fn exemplars(
    State(app): State<Arc<App>>,
    Readable(tenants): Readable,
    params: Params,
) -> Result<Response, ApiError> {
    let (start, end) = (
        params.require_millis("start")?,
        params.require_millis("end")?,
    );
    if end < start {
        let fault = "end timestamp must not be before start time";
        return Err(ApiError::parameter("end", fault));
    }
    let reader = app.engine.reader(tenants, Options::default())?;
    let found = reader
        .exemplars(params.require("query")?, (start, end))
        .await;
    Ok(Document {
        head: r#"{"status":"success","data":["#.to_owned(),
        items: found.map_err(|fault| ApiError::of_text("query", fault))?,
        write: write_series,
        tail: "]}".to_owned(),
    }
    .into_response())
}

fn write_series(out: &mut Vec<u8>, series: &ExemplarSeries) {
    out.extend_from_slice(br#"{"seriesLabels":"#);
    write_labels(out, &series.labels);
    out.extend_from_slice(br#","exemplars":["#);
    for (at, one) in series.exemplars.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"{" } else { b",{" });
        out.extend_from_slice(br#""labels":"#);
        write_labels(out, &one.labels);
        out.extend_from_slice(br#","value":""#);
        write_number(out, one.value);
        out.extend_from_slice(br#"","timestamp":"#);
        write_seconds(out, one.time);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}
