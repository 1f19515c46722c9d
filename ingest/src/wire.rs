//! Walks protobuf bytes in place: no copy, no allocation, no recursion, whatever lengths the bytes claim.
//!
//! Source: Protocol Buffers, "Encoding".

/// Why bytes are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A length or a number reaches past the end.
    #[error("the message ends within a field")]
    Truncated,
    /// A number of more than 64 bits.
    #[error("a variable-length number has more than 64 bits")]
    Overflow,
    /// A field number outside 1 to 2^29 - 1.
    #[error("field number {0}: must be 1 to 536870911")]
    FieldNumber(u64),
    /// Groups and unassigned wire types.
    #[error("field {field} has wire type {wire_type}: must be 0, 1, 2 or 5")]
    WireType {
        /// The field's number.
        field: u32,
        /// Its wire type.
        wire_type: u8,
    },
    /// A known field of another wire type than its own.
    #[error("field {0} has the wire type of another kind of field")]
    Mismatch(u32),
    /// A text that is not UTF-8.
    #[error("field {0}: must be UTF-8")]
    Utf8(u32),
    /// More parts than a message may have.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Which parts.
        what: &'static str,
        /// The most that are accepted.
        limit: usize,
    },
}

/// One field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The fields of one message, in the order of the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire<'a> {
    rest: &'a [u8],
}

impl<'a> Wire<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next field's number and value; `None` at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match u32::try_from(tag >> 3) {
            Ok(field) if field != 0 && field < 1 << 29 => field,
            _ => return Err(WireError::FieldNumber(tag >> 3)),
        };
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => Value::Bytes(self.bytes()?),
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            other => {
                let wire_type = other as u8;
                return Err(WireError::WireType { field, wire_type });
            }
        };
        Ok(Some((field, value)))
    }

    /// A variable-length number.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        if let [first @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut number = 0_u64;
        for (at, byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && bits > 1 {
                return Err(WireError::Overflow);
            }
            number |= bits << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok(number);
            }
        }
        if self.rest.len() >= 10 {
            return Err(WireError::Overflow);
        }
        Err(WireError::Truncated)
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let len = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
        let (bytes, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

impl<'a> Value<'a> {
    #[inline]
    pub(crate) fn bytes(self, field: u32) -> Result<&'a [u8], WireError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::Mismatch(field)),
        }
    }

    #[inline]
    pub(crate) fn varint(self, field: u32) -> Result<u64, WireError> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(WireError::Mismatch(field)),
        }
    }

    #[inline]
    pub(crate) fn int64(self, field: u32) -> Result<i64, WireError> {
        Ok(self.varint(field)?.cast_signed())
    }

    #[inline]
    pub(crate) fn double(self, field: u32) -> Result<f64, WireError> {
        match self {
            Self::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(WireError::Mismatch(field)),
        }
    }

    #[inline]
    pub(crate) fn fixed64(self, field: u32) -> Result<u64, WireError> {
        match self {
            Self::Fixed64(number) => Ok(number),
            _ => Err(WireError::Mismatch(field)),
        }
    }

    /// `sint32`, cut to 32 bits as the encoding's readers do.
    pub(crate) fn sint32(self, field: u32) -> Result<i32, WireError> {
        Ok(zigzag(self.varint(field)?) as i32)
    }

    /// The numbers of a repeated field, packed or one by one.
    pub(crate) fn each_varint(
        self,
        field: u32,
        mut each: impl FnMut(u64),
    ) -> Result<(), WireError> {
        match self {
            Self::Varint(number) => each(number),
            Self::Bytes(packed) => {
                let mut packed = Wire::new(packed);
                while packed.remaining() > 0 {
                    each(packed.varint()?);
                }
            }
            _ => return Err(WireError::Mismatch(field)),
        }
        Ok(())
    }

    /// The doubles of a repeated field, packed or one by one.
    pub(crate) fn each_double(
        self,
        field: u32,
        mut each: impl FnMut(f64),
    ) -> Result<(), WireError> {
        match self {
            Self::Fixed64(bits) => each(f64::from_bits(bits)),
            Self::Bytes(packed) => {
                let mut packed = Wire::new(packed);
                while packed.remaining() > 0 {
                    each(f64::from_bits(u64::from_le_bytes(packed.array()?)));
                }
            }
            _ => return Err(WireError::Mismatch(field)),
        }
        Ok(())
    }
}

/// Undoes the encoding of `sint32` and `sint64`.
pub(crate) fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_numbers_beyond_the_end_are_refused() {
        let huge_length = [
            0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1,
        ];
        let cases: [(&[u8], WireError); 6] = [
            (&huge_length, WireError::Truncated),
            (&[0x0a, 5, 1], WireError::Truncated),
            (&[0x08, 0x80], WireError::Truncated),
            (&[0x09, 1, 2], WireError::Truncated),
            (&[0x00, 1], WireError::FieldNumber(0)),
            (
                &[0x0b],
                WireError::WireType {
                    field: 1,
                    wire_type: 3,
                },
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Wire::new(bytes).next(), Err(expected), "{bytes:?}");
        }
        assert_eq!(Wire::new(&[0xff; 10]).varint(), Err(WireError::Overflow));
    }

    #[test]
    fn numbers_come_back() {
        let mut wire = Wire::new(&[
            0x96, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ]);
        assert_eq!(wire.varint(), Ok(150));
        assert_eq!(wire.varint(), Ok(u64::MAX));
        assert_eq!((zigzag(0), zigzag(1), zigzag(2)), (0, -1, 1));
        assert_eq!(zigzag(u64::MAX), i64::MIN);
    }
}
