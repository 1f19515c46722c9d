//! The messages of PostgreSQL's protocol: those that come, read within bounds, and those that go.
//!
//! Source: PostgreSQL, "Frontend/Backend Protocol": "Message Formats".

use super::{error::Fault, value::Format};

/// Most bytes of a message; texts of queries have a limit of their own.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Most bytes of the first message. Source: PostgreSQL, `MAX_STARTUP_PACKET_LENGTH`.
const MAX_STARTUP_BYTES: usize = 10_000;
/// The bytes of a length, which count as part of what they measure.
const LENGTH_BYTES: usize = 4;

/// What a client says first.
#[derive(Debug, PartialEq)]
pub(super) enum Startup {
    /// It would like TLS.
    Tls,
    /// It would like GSSAPI.
    Gssapi,
    /// Another connection's query is to end.
    Cancel { process: i32, secret: i32 },
    /// Who it is, and the minor version of the protocol.
    Session {
        minor: i32,
        parameters: Vec<(String, String)>,
    },
}

/// What a client says then.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    Query(String),
    Parse {
        name: String,
        text: String,
        /// The types of the first parameters; 0 is unspecified.
        types: Vec<u32>,
    },
    Bind {
        portal: String,
        statement: String,
        formats: Vec<Format>,
        values: Vec<Option<Vec<u8>>>,
        results: Vec<Format>,
    },
    DescribeStatement(String),
    DescribePortal(String),
    Execute {
        portal: String,
        /// 0 is all.
        max_rows: usize,
    },
    CloseStatement(String),
    ClosePortal(String),
    Flush,
    Sync,
    Terminate,
}

/// How many bytes the first message takes; `None` until that is known.
pub(super) fn startup_len(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let Some(head) = bytes.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    len(*head, MAX_STARTUP_BYTES).map(Some)
}

/// How many bytes the next message takes; `None` until that is known.
pub(super) fn message_len(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let Some(head) = bytes.get(1..).and_then(<[u8]>::first_chunk::<LENGTH_BYTES>) else {
        return Ok(None);
    };
    Ok(Some(len(*head, MAX_MESSAGE_BYTES)? + 1))
}

fn len(head: [u8; LENGTH_BYTES], limit: usize) -> Result<usize, Fault> {
    let len = i32::from_be_bytes(head);
    match usize::try_from(len) {
        Ok(len) if (LENGTH_BYTES..=limit).contains(&len) => Ok(len),
        _ => Err(Fault::protocol(format!(
            "message of {len} bytes: must be at most {limit}"
        ))),
    }
}

impl Startup {
    /// Reads a whole first message.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let mut fields = Fields(bytes.get(LENGTH_BYTES..).unwrap_or_default());
        match fields.int32()? {
            80_877_103 => Ok(Self::Tls),
            80_877_104 => Ok(Self::Gssapi),
            80_877_102 => Ok(Self::Cancel {
                process: fields.int32()?,
                secret: fields.int32()?,
            }),
            version if version >> 16 == 3 => {
                let mut parameters = Vec::new();
                while !matches!(fields.0, [] | [0]) {
                    parameters.push((fields.text()?, fields.text()?));
                }
                Ok(Self::Session {
                    minor: version & 0xffff,
                    parameters,
                })
            }
            version => Err(Fault::protocol(format!(
                "protocol {}.{}: must be 3.0",
                version >> 16,
                version & 0xffff
            ))),
        }
    }
}

impl Message {
    /// Reads a whole message.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let kind = bytes.first().copied().unwrap_or_default();
        let mut fields = Fields(bytes.get(1 + LENGTH_BYTES..).unwrap_or_default());
        Ok(match kind {
            b'Q' => Self::Query(fields.text()?),
            b'P' => Self::Parse {
                name: fields.text()?,
                text: fields.text()?,
                types: fields.list(|fields| Ok(fields.int32()?.cast_unsigned()))?,
            },
            b'B' => Self::Bind {
                portal: fields.text()?,
                statement: fields.text()?,
                formats: fields.list(Fields::format)?,
                values: fields.list(Fields::value)?,
                results: fields.list(Fields::format)?,
            },
            b'E' => Self::Execute {
                portal: fields.text()?,
                max_rows: usize::try_from(fields.int32()?).unwrap_or(0),
            },
            b'D' | b'C' => match (kind, fields.byte()?, fields.text()?) {
                (b'D', b'S', name) => Self::DescribeStatement(name),
                (b'D', b'P', name) => Self::DescribePortal(name),
                (b'C', b'S', name) => Self::CloseStatement(name),
                (b'C', b'P', name) => Self::ClosePortal(name),
                (_, what, _) => {
                    let sentence = format!("target {what}: must be 'S' or 'P'");
                    return Err(Fault::protocol(sentence));
                }
            },
            b'H' => Self::Flush,
            b'S' => Self::Sync,
            b'X' => Self::Terminate,
            kind => {
                let sentence = format!("message {:?} is not supported", char::from(kind));
                return Err(Fault::protocol(sentence));
            }
        })
    }
}

/// The rest of a message.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], Fault> {
        let short = || Fault::protocol("message ends too early");
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    fn int16(&mut self) -> Result<i16, Fault> {
        let bytes = self.take(2)?;
        Ok(i16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn int32(&mut self) -> Result<i32, Fault> {
        let bytes = self.take(4)?;
        Ok(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A text that ends with a zero byte.
    fn text(&mut self) -> Result<String, Fault> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| Fault::protocol("text without an end"))?;
        let text = self.take(end)?.to_vec();
        self.byte()?;
        String::from_utf8(text).map_err(|_| Fault::protocol("text is not UTF-8"))
    }

    fn format(&mut self) -> Result<Format, Fault> {
        match self.int16()? {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(Fault::protocol(format!("format {other}: must be 0 or 1"))),
        }
    }

    /// A value; `None` is NULL.
    fn value(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        match usize::try_from(self.int32()?) {
            Ok(len) => Ok(Some(self.take(len)?.to_vec())),
            Err(_) => Ok(None),
        }
    }

    fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let count = self.int16()?.cast_unsigned();
        // No room is made for what is only announced.
        (0..count).map(|_| read(self)).collect()
    }
}

/// Messages that go to a client, one after the other.
#[derive(Debug, Default)]
pub(super) struct Outgoing(pub(super) Vec<u8>);

impl Outgoing {
    /// A message whose fields `write` appends.
    pub(super) fn message(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
        self.0.push(kind);
        let start = self.0.len();
        self.0.extend_from_slice(&[0; LENGTH_BYTES]);
        write(&mut self.0);
        let len = i32::try_from(self.0.len() - start).unwrap_or(i32::MAX);
        self.0[start..start + LENGTH_BYTES].copy_from_slice(&len.to_be_bytes());
    }

    pub(super) fn parameter(&mut self, name: &str, value: &str) {
        self.message(b'S', |out| {
            text(out, name);
            text(out, value);
        });
    }

    /// That a command has ended, and how: `SELECT 5`.
    pub(super) fn complete(&mut self, tag: &str) {
        self.message(b'C', |out| text(out, tag));
    }

    pub(super) fn fault(&mut self, fault: &Fault) {
        self.message(b'E', |out| {
            for (field, value) in [
                (b'S', fault.severity()),
                (b'V', fault.severity()),
                (b'C', fault.code()),
                (b'M', fault.message()),
            ] {
                out.push(field);
                text(out, &value.replace('\0', " "));
            }
            out.push(0);
        });
    }
}

/// A text and the zero byte that ends it.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, fields: &[u8]) -> Vec<u8> {
        let mut out = Outgoing::default();
        out.message(kind, |out| out.extend_from_slice(fields));
        out.0
    }

    #[test]
    fn messages_are_read_whole_and_within_bounds() {
        let query = message(b'Q', b"SELECT 1\0");
        assert_eq!(message_len(&query[..3]).unwrap(), None);
        assert_eq!(message_len(&query).unwrap(), Some(query.len()));
        let wanted = Message::Query("SELECT 1".to_owned());
        assert_eq!(Message::read(&query).unwrap(), wanted);
        let bind = message(
            b'B',
            b"\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0",
        );
        let wanted = Message::Bind {
            portal: String::new(),
            statement: "s".to_owned(),
            formats: vec![Format::Binary],
            values: vec![Some(b"x".to_vec()), None],
            results: Vec::new(),
        };
        assert_eq!(Message::read(&bind).unwrap(), wanted);
        for bad in [
            message(b'Q', b"no end"),
            message(b'Q', b"\xff\0"),
            message(b'B', b"\0s\0\0\0\x7f\xff"),
            message(b'D', b"x\0"),
            message(b'!', b""),
        ] {
            assert!(Message::read(&bad).is_err());
        }
        assert!(message_len(b"Q\x7f\xff\xff\xff").is_err());
        assert!(message_len(b"Q\0\0\0\x01").is_err());
        assert!(startup_len(b"GET ").is_err());
    }

    #[test]
    fn a_first_message_names_who_asks() {
        let mut bytes = vec![0, 0, 0, 0, 0, 3, 0, 0];
        bytes.extend_from_slice(b"user\0tax\0\0");
        let wanted = Startup::Session {
            minor: 0,
            parameters: vec![("user".to_owned(), "tax".to_owned())],
        };
        assert_eq!(Startup::read(&bytes).unwrap(), wanted);
        assert!(Startup::read(&[0, 0, 0, 8, 0, 2, 0, 0]).is_err());
    }
}
