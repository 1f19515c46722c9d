//! Takes compression off a body, never into more bytes than a limit.

use std::io::{self, Read};

use crate::IngestError;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Identity,
    /// RFC 1952; several members may follow each other.
    Gzip,
    /// RFC 8878, with windows up to 16 MiB.
    Zstd,
    /// One snappy block, as Prometheus remote-write sends it; not the framed format.
    Snappy,
}

/// Asks for so many more bytes of memory.
pub type Grow<'g> = &'g mut dyn FnMut(usize) -> Result<(), IngestError>;

/// Windows beyond 2^24 bytes are refused: each body in flight would hold that much memory.
const ZSTD_WINDOW_LOG: u32 = 24;

impl Compression {
    /// The compression that `Content-Encoding` or `grpc-encoding` names; `None` when it is unknown.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            "snappy" => Some(Self::Snappy),
            _ => None,
        }
    }

    /// Takes the compression off `body`. The length that a body claims is checked before memory is taken for it.
    /// `grow` is asked for each stretch of memory before the next is filled.
    pub fn decompress(
        self,
        body: &[u8],
        limit_bytes: usize,
        grow: Grow<'_>,
    ) -> Result<Vec<u8>, IngestError> {
        match self {
            Self::Identity if body.len() > limit_bytes => Err(too_large(limit_bytes)),
            Self::Identity => {
                grow(body.len())?;
                Ok(body.to_vec())
            }
            Self::Gzip => bounded(flate2::read::MultiGzDecoder::new(body), limit_bytes, grow),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(body)
                    .map_err(|source| IngestError::Compression { source })?;
                decoder
                    .window_log_max(ZSTD_WINDOW_LOG)
                    .map_err(|source| IngestError::Compression { source })?;
                bounded(decoder, limit_bytes, grow)
            }
            Self::Snappy => snappy(body, limit_bytes, grow),
        }
    }
}

fn too_large(limit_bytes: usize) -> IngestError {
    IngestError::TooLarge { limit_bytes }
}

/// So much is unpacked between two questions for memory.
const STEP_BYTES: u64 = 64 << 10;

fn bounded(
    mut decoder: impl Read,
    limit_bytes: usize,
    grow: Grow<'_>,
) -> Result<Vec<u8>, IngestError> {
    let mut plain = Vec::new();
    loop {
        let before = plain.len();
        decoder
            .by_ref()
            .take(STEP_BYTES)
            .read_to_end(&mut plain)
            .map_err(|source| IngestError::Compression { source })?;
        if plain.len() > limit_bytes {
            return Err(too_large(limit_bytes));
        }
        if plain.len() == before {
            return Ok(plain);
        }
        grow(plain.len() - before)?;
    }
}

/// No element of a block stands for more than 64 bytes and none is shorter than two or three: a block that claims more than
/// 32 times its own length lies, and is refused before its claim is allocated.
const SNAPPY_MAX_RATIO: usize = 32;

fn snappy(body: &[u8], limit_bytes: usize, grow: Grow<'_>) -> Result<Vec<u8>, IngestError> {
    let broken = |error: snap::Error| IngestError::Compression {
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    };
    let claimed = snap::raw::decompress_len(body).map_err(broken)?;
    if claimed > limit_bytes {
        return Err(too_large(limit_bytes));
    }
    if claimed > body.len().saturating_mul(SNAPPY_MAX_RATIO) {
        let sentence = format!(
            "{} bytes of snappy cannot hold the {claimed} that they claim",
            body.len()
        );
        return Err(IngestError::Compression {
            source: io::Error::new(io::ErrorKind::InvalidData, sentence),
        });
    }
    grow(claimed)?;
    snap::raw::Decoder::new()
        .decompress_vec(body)
        .map_err(broken)
}
