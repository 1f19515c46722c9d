//! Answers compressed with zstd for whoever prefers it; gzip is tower-http's.
//!
//! tower-http can zstd as well, but with a window of megabytes for each answer; here the lowest level keeps it small. A piece
//! of an answer is sent as soon as it is there.
//!
//! Source: RFC 9110, "Accept-Encoding"; RFC 8878.

use std::{
    io::Write,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use http_body::Frame;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use tracing::warn;
use zstd::stream::write::Encoder;

/// Quick rather than small: answers are read once.
const LEVEL: i32 = 1;

/// Compresses the answer with zstd where it is accepted no less than gzip; other requests pass as they are.
pub(crate) async fn zstd(mut request: Request, next: Next) -> Response {
    if !prefers_zstd(request.headers()) {
        return next.run(request).await;
    }
    // What is inside must not compress, too.
    request.headers_mut().remove(header::ACCEPT_ENCODING);
    compressed(next.run(request).await)
}

fn prefers_zstd(headers: &HeaderMap) -> bool {
    let (mut zstd, mut gzip, mut any) = (None, None, None);
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    for coding in values.flat_map(|value| value.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=");
        let weight: f32 = weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0));
        match name.trim() {
            "zstd" => zstd = Some(weight),
            "gzip" | "x-gzip" => gzip = Some(weight),
            "*" => any = Some(weight),
            _ => {}
        }
    }
    // Whoever accepts just anything gets what is known best.
    let zstd = zstd.unwrap_or(0.0);
    zstd > 0.0 && zstd >= gzip.or(any).unwrap_or(0.0)
}

fn compressed(answer: Response) -> Response {
    let is_encoded = answer.headers().contains_key(header::CONTENT_ENCODING);
    if is_encoded || !DefaultPredicate::new().should_compress(&answer) {
        return answer;
    }
    let encoder = match Encoder::new(Vec::new(), LEVEL) {
        Ok(encoder) => encoder,
        Err(error) => {
            warn!(%error, "answer was not compressed");
            return answer;
        }
    };
    let (mut head, body) = answer.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::ACCEPT_RANGES);
    let name = HeaderValue::from_static("zstd");
    head.headers.insert(header::CONTENT_ENCODING, name);
    let by = HeaderValue::from_static("accept-encoding");
    head.headers.append(header::VARY, by);
    let body = Zstd {
        body,
        encoder: Some(encoder),
    };
    Response::from_parts(head, Body::new(body))
}

/// A body whose frames are compressed as they come.
struct Zstd {
    body: Body,
    /// `None` after the last frame.
    encoder: Option<Encoder<'static, Vec<u8>>>,
}

impl Zstd {
    fn piece(&mut self, data: &Bytes) -> std::io::Result<Vec<u8>> {
        let Some(encoder) = self.encoder.as_mut() else {
            return Ok(Vec::new());
        };
        encoder.write_all(data)?;
        encoder.flush()?;
        Ok(std::mem::take(encoder.get_mut()))
    }
}

impl HttpBody for Zstd {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        while self.encoder.is_some() {
            let piece = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.piece(&data),
                    // No answer of the API has trailers.
                    Err(_) => continue,
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => self.encoder.take().map_or(Ok(Vec::new()), Encoder::finish),
            };
            match piece {
                Ok(piece) if piece.is_empty() => {}
                piece => {
                    let frame = piece.map(|piece| Frame::data(piece.into()));
                    return Poll::Ready(Some(frame.map_err(Into::into)));
                }
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[test]
    fn zstd_goes_to_whoever_prefers_it() {
        for (accepted, wanted) in [
            ("zstd", true),
            ("gzip, zstd", true),
            ("gzip, deflate, br, zstd", true),
            ("gzip;q=0.5, zstd;q=0.9", true),
            ("gzip;q=0.9, zstd;q=0.5", false),
            ("zstd;q=0", false),
            ("gzip", false),
            ("*", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(prefers_zstd(&headers), wanted, "{accepted}");
        }
        assert!(!prefers_zstd(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_piece_can_be_read_before_the_next_is_there() {
        let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<String, axum::Error>>();
        let answer = compressed(Response::new(Body::from_stream(receiver)));
        assert_eq!(answer.headers()[header::CONTENT_ENCODING], "zstd");
        let mut pieces = answer.into_body().into_data_stream();
        let mut decoder = zstd::stream::write::Decoder::new(Vec::new()).unwrap();
        for text in ["the first piece", "and the second"] {
            sender.unbounded_send(Ok(text.to_owned())).unwrap();
            let piece = pieces.next().await.unwrap().unwrap();
            decoder.write_all(&piece).unwrap();
            decoder.flush().unwrap();
            assert_eq!(std::mem::take(decoder.get_mut()), text.as_bytes());
        }
        drop(sender);
        let last = pieces.next().await.unwrap().unwrap();
        decoder.write_all(&last).unwrap();
        assert!(pieces.next().await.is_none());
    }
}
