//! Writes protobuf messages field by field, wrong ones too.

/// A message while it is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<u8>);

/// A message with one text.
pub(crate) fn text(field: u64, value: &str) -> Message {
    Message::default().and_text(field, value)
}

impl Message {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn and_text(self, field: u64, value: &str) -> Self {
        self.and_bytes(field, value.as_bytes())
    }

    pub(crate) fn and_bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.number(field << 3 | 2);
        self.number(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn message(&mut self, field: u64, value: &Self) {
        *self = std::mem::take(self).and_bytes(field, &value.0);
    }

    pub(crate) fn append(&mut self, fields: &Self) {
        self.0.extend_from_slice(&fields.0);
    }

    pub(crate) fn varint(&mut self, field: u64, value: u64) {
        self.number(field << 3);
        self.number(value);
    }

    pub(crate) fn zigzag(&mut self, field: u64, value: i64) {
        self.varint(field, ((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    pub(crate) fn double(&mut self, field: u64, value: f64) {
        self.number(field << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn packed(&mut self, field: u64, values: &[u64]) {
        let mut packed = Self::default();
        values.iter().for_each(|value| packed.number(*value));
        self.message(field, &packed);
    }

    pub(crate) fn doubles(&mut self, field: u64, values: &[f64]) {
        let packed = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.message(field, &Self(packed));
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
