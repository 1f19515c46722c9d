//! Compressed bodies: no claim of size is believed before memory is taken for it.

use std::io::Write as _;

use demarc_ingest::{Compression, IngestError};

/// More than this nothing may unpack to.
const LIMIT_BYTES: usize = 1 << 20;
/// Bytes that may be there before memory was asked for.
const STEP_BYTES: usize = 64 << 10;

pub(crate) fn run(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else {
        return;
    };
    let compression = match kind % 4 {
        0 => Compression::Gzip,
        1 => Compression::Zstd,
        2 => Compression::Snappy,
        _ => Compression::Identity,
    };
    let mut asked = 0;
    let mut grow = |bytes| {
        asked += bytes;
        assert!(asked <= LIMIT_BYTES, "{asked} bytes asked for");
        Ok(())
    };
    match compression.decompress(body, LIMIT_BYTES, &mut grow) {
        Ok(plain) => {
            assert!(plain.len() <= LIMIT_BYTES);
            assert_eq!(asked, plain.len(), "memory was taken unasked");
            assert!(plain.capacity() <= 2 * plain.len() + STEP_BYTES);
        }
        Err(IngestError::Compression { .. } | IngestError::TooLarge { .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let plain =
        b"one body of which parts come again, parts come again, parts come again ".repeat(20);
    let mut gzip = flate2::write::GzEncoder::new(vec![0], flate2::Compression::fast());
    gzip.write_all(&plain).expect("memory takes all bytes");
    let zstd = zstd::stream::encode_all(plain.as_slice(), 3).expect("memory takes all bytes");
    let snappy = snap::raw::Encoder::new().compress_vec(&plain);
    vec![
        gzip.finish().expect("memory takes all bytes"),
        [&[1], zstd.as_slice()].concat(),
        [&[2], snappy.expect("the text is short").as_slice()].concat(),
        [&[3], plain.as_slice()].concat(),
    ]
}
