//! Reads the body of a request to ingest: within a size, within the memory that there is.

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, header},
};
use demarc_ingest::{Admission, IngestError};
use http_body_util::BodyExt;

use crate::{connection::SlowBody, status::chain};

/// So many bytes of a refused body are read and thrown away, so that its sender gets to read the answer.
const DRAINED_BYTES: usize = 128 << 20;

/// Most memory that is set aside for a body before it arrives.
const FIRST_BYTES: usize = 1 << 20;

/// Why there is no body.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is refused.
    Refused(IngestError),
    /// It did not arrive in time.
    Slow(String),
    /// It broke off.
    Broken(String),
}

/// Reads `body`, at most `limit_bytes` of it, and takes the memory for it out of `admission`.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limit_bytes: usize,
    admission: &mut Admission,
) -> Result<Bytes, Unread> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let announced = announced.or(body.size_hint().exact()).unwrap_or(0);
    let announced = usize::try_from(announced).unwrap_or(usize::MAX);
    let outcome = if announced > limit_bytes {
        Err(Unread::Refused(IngestError::TooLarge { limit_bytes }))
    } else {
        collect(&mut body, announced, limit_bytes, admission).await
    };
    if let Err(Unread::Refused(_)) = &outcome {
        drain(body).await;
    }
    outcome
}

async fn collect(
    body: &mut Body,
    announced: usize,
    limit_bytes: usize,
    admission: &mut Admission,
) -> Result<Bytes, Unread> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unread(&error))?;
        // Trailers say nothing to us.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let len = bytes.len() + data.len();
        if len > limit_bytes {
            return Err(Unread::Refused(IngestError::TooLarge { limit_bytes }));
        }
        // What is only announced costs nothing: memory is taken as bytes arrive.
        admission.grow(data.len()).map_err(Unread::Refused)?;
        if bytes.is_empty() {
            bytes.reserve(announced.min(FIRST_BYTES));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

fn unread(error: &axum::Error) -> Unread {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<SlowBody>() {
            return Unread::Slow(error.to_string());
        }
        cause = error.source();
    }
    Unread::Broken(format!("body: {}", chain(error)))
}

async fn drain(mut body: Body) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > DRAINED_BYTES {
            return;
        }
    }
}
