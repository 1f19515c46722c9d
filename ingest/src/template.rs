//! The template of a log body: its text with the parts that vary masked.

use std::hash::Hasher;

/// A number that is the same for bodies that differ only in numbers, hexadecimal ids, and quoted or bracketed texts.
///
/// Masked, each by `*`: a word that holds a digit, a text in quotes. Bodies longer than 512 bytes are cut there. The hash is
/// FNV-1a, so that the number is the same on every machine and in every version.
pub(crate) fn template_id(body: &str) -> i64 {
    let mut hash = Fnv::default();
    let mut quote = None;
    let mut word_start = 0;
    let mut end = body.len().min(512);
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    let body = &body[..end];
    for (at, c) in body.char_indices() {
        if let Some(open) = quote {
            if c == open {
                quote = None;
                word_start = at + c.len_utf8();
            }
            continue;
        }
        if c.is_alphanumeric() || c == '_' || c == '-' || c == '.' {
            continue;
        }
        hash.word(&body[word_start..at]);
        word_start = at + c.len_utf8();
        if c == '"' || c == '\'' {
            quote = Some(c);
            hash.write(b"*");
        } else {
            hash.write(&body.as_bytes()[at..word_start]);
        }
    }
    if quote.is_none() {
        hash.word(&body[word_start..]);
    }
    hash.finish().cast_signed()
}

struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn word(&mut self, word: &str) {
        if word.bytes().any(|b| b.is_ascii_digit()) {
            self.write(b"*");
        } else {
            self.write(word.as_bytes());
        }
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_differ_in_ids_and_quotes_share_a_template() {
        let one = template_id("order 17 of user \"ann\" took 35ms (id 9f3c2a)");
        let other = template_id("order 99 of user \"bob ber\" took 7ms (id 00ff1b)");
        assert_eq!(one, other);
        assert_ne!(
            one,
            template_id("order 17 of user \"ann\" failed after 35ms (id 9f3c2a)")
        );
    }

    #[test]
    fn an_open_quote_and_wide_characters_do_no_harm() {
        template_id("it's 定界");
        template_id(&"定".repeat(400));
    }
}
