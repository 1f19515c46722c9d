//! Quoted texts, with the escapes of Go.

/// The bytes that a quoted text means; `None` when an escape is no escape.
///
/// `quoted` begins and ends with the same quote; between backticks nothing is an escape.
pub(crate) fn unquote(quoted: &str) -> Option<Vec<u8>> {
    let quote = quoted.chars().next()?;
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if quote == '`' {
        return Some(inner.as_bytes().to_vec());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            push(&mut bytes, c);
            continue;
        }
        match chars.next()? {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' => bytes.push(b'\\'),
            'x' => bytes.push(u8::try_from(digits(&mut chars, 2, 16)?).ok()?),
            'u' => push(&mut bytes, char::from_u32(digits(&mut chars, 4, 16)?)?),
            'U' => push(&mut bytes, char::from_u32(digits(&mut chars, 8, 16)?)?),
            first @ '0'..='7' => {
                let first = first.to_digit(8)?;
                let value = first * 64 + digits(&mut chars, 2, 8)?;
                bytes.push(u8::try_from(value).ok()?);
            }
            other if other == quote => push(&mut bytes, other),
            _ => return None,
        }
    }
    Some(bytes)
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn digits(chars: &mut std::str::Chars<'_>, count: usize, radix: u32) -> Option<u32> {
    let mut value: u32 = 0;
    for _ in 0..count {
        value = value.checked_mul(radix)? + chars.next()?.to_digit(radix)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_go() {
        let cases: [(&str, Option<&[u8]>); 7] = [
            (r#""a\xc5z""#, Some(b"a\xc5z")),
            (r#""\u4f60\n""#, Some("你\n".as_bytes())),
            (r"`\n`", Some(br"\n")),
            (r"'\''", Some(b"'")),
            (r#""\'""#, None),
            (r#""\101""#, Some(b"A")),
            (r#""\777""#, None),
        ];
        for (quoted, bytes) in cases {
            assert_eq!(unquote(quoted).as_deref(), bytes, "{quoted}");
        }
    }
}
