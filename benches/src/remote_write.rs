//! Remote-write 1.0 requests as bytes: protobuf, snappy block format. Source: Prometheus, "Remote-Write 1.0".

use prost::encoding::{WireType, encode_key, encode_varint};

use crate::fleet::Series;

/// Makes requests of one group of series, one sample of each.
#[derive(Debug)]
pub(crate) struct Encoder {
    series: Vec<Series>,
    /// The label messages of each series: they never change.
    labels: Vec<Vec<u8>>,
    raw: Vec<u8>,
    snappy: snap::raw::Encoder,
}

impl Encoder {
    pub(crate) fn new(series: Vec<Series>) -> Self {
        let labels = series.iter().map(labels).collect();
        Self {
            series,
            labels,
            raw: Vec::new(),
            snappy: snap::raw::Encoder::new(),
        }
    }

    /// The request that holds the next sample of each series, at `time_ms`.
    pub(crate) fn next(&mut self, time_ms: i64) -> anyhow::Result<Vec<u8>> {
        self.raw.clear();
        let mut sample = Vec::with_capacity(24);
        for (series, labels) in self.series.iter_mut().zip(&self.labels) {
            sample.clear();
            encode_key(1, WireType::SixtyFourBit, &mut sample);
            sample.extend(series.advance().to_le_bytes());
            encode_key(2, WireType::Varint, &mut sample);
            encode_varint(time_ms.cast_unsigned(), &mut sample);
            encode_key(1, WireType::LengthDelimited, &mut self.raw);
            // The sample's key and length are a byte each.
            encode_varint((labels.len() + 2 + sample.len()) as u64, &mut self.raw);
            self.raw.extend(labels);
            encode_key(2, WireType::LengthDelimited, &mut self.raw);
            encode_varint(sample.len() as u64, &mut self.raw);
            self.raw.extend(&sample);
        }
        Ok(self.snappy.compress_vec(&self.raw)?)
    }
}

fn labels(series: &Series) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in &series.labels {
        let mut label = Vec::new();
        prost::encoding::string::encode(1, &(*name).to_owned(), &mut label);
        prost::encoding::string::encode(2, value, &mut label);
        encode_key(1, WireType::LengthDelimited, &mut bytes);
        encode_varint(label.len() as u64, &mut bytes);
        bytes.extend(label);
    }
    bytes
}
