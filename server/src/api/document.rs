//! JSON documents that hold one long list: written piece by piece as the client takes them.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};

/// A piece is sent once it has so many bytes.
const PIECE_BYTES: usize = 64 << 10;

/// What stands before, in and after the list.
#[derive(Debug)]
pub(crate) struct Document<T, W> {
    pub(crate) head: String,
    pub(crate) items: Vec<T>,
    /// Writes one item.
    pub(crate) write: W,
    pub(crate) tail: String,
}

impl<T, W> IntoResponse for Document<T, W>
where
    T: Send + 'static,
    W: Fn(&mut Vec<u8>, &T) + Send + 'static,
{
    fn into_response(self) -> Response {
        let mut pieces = Pieces {
            open: Some(self.head.into_bytes()),
            is_first: true,
            items: self.items.into_iter(),
            write: self.write,
            tail: self.tail,
        };
        let first = pieces.next().unwrap_or_default();
        let body = if pieces.open.is_none() {
            Body::from(first)
        } else {
            let all = std::iter::once(first).chain(pieces);
            Body::from_stream(futures::stream::iter(all.map(Ok::<_, Infallible>)))
        };
        ([(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

struct Pieces<T, W> {
    /// The piece that is being filled; `None` after the last.
    open: Option<Vec<u8>>,
    is_first: bool,
    items: std::vec::IntoIter<T>,
    write: W,
    tail: String,
}

impl<T, W: Fn(&mut Vec<u8>, &T)> Iterator for Pieces<T, W> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut piece = self.open.take()?;
        while piece.len() < PIECE_BYTES {
            let Some(item) = self.items.next() else {
                piece.extend_from_slice(self.tail.as_bytes());
                return Some(piece.into());
            };
            if !self.is_first {
                piece.push(b',');
            }
            self.is_first = false;
            (self.write)(&mut piece, &item);
        }
        self.open = Some(Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8));
        Some(piece.into())
    }
}

/// A text as JSON writes it.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text can be written to memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_document() {
        for count in [0, 1, 2, 30_000] {
            let pieces = Pieces {
                open: Some(b"[".to_vec()),
                is_first: true,
                items: (0..count).collect::<Vec<u32>>().into_iter(),
                write: |out: &mut Vec<u8>, item: &u32| text(out, &item.to_string()),
                tail: "]".to_owned(),
            };
            let pieces: Vec<Bytes> = pieces.collect();
            assert_eq!(pieces.len() > 1, count > 10_000, "{count}");
            let items: Vec<String> = serde_json::from_slice(&pieces.concat()).unwrap();
            assert_eq!(items.len(), count as usize);
        }
    }
}
