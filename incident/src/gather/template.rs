//! The template of a log line: what lines share that differ in data only.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;

/// Most bytes of a line that are looked at.
const MAX_BYTES: usize = 512;
/// Words of a line among which the place in the code is looked for.
const PLACE_WORDS: usize = 5;
/// Words of a template.
const WORDS: usize = 12;
/// Words of an error's template: what tells two errors apart often stands late in the line.
const ERROR_WORDS: usize = 24;
/// What stands between a file's name and the number of a line.
const PLACE_MARKS: [&str; 9] = [
    "#", ".java:", ".go:", ".py:", ".rs:", ".js:", ".c:", ".cc:", ".cs:",
];

static TIME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:?\d\d)? +")
});
static QUOTED: LazyLock<Regex> = LazyLock::new(|| pattern(r#""[^"]*""#));
static NUMBERED: LazyLock<Regex> = LazyLock::new(|| pattern(r"[\w.\-]*\d[\w.\-]*"));
static ASSIGNED: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\w)=[^,\s\])}]+"));
static NAMED: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\w): ?[\w\-.]+([,\])])"));
static STARS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\*([:|,]? ?\*)+"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant that a test compiles")
}

/// Names that tell data and not kinds of lines.
#[derive(Debug)]
pub(crate) struct Names(Option<AhoCorasick>);

impl Names {
    /// Of several that begin alike, the longest counts.
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        let mut builder = AhoCorasick::builder();
        // More names than fit into an automaton are not masked: templates are finer then.
        Self(
            builder
                .match_kind(MatchKind::LeftmostLongest)
                .build(names)
                .ok(),
        )
    }

    fn masked(&self, text: String) -> String {
        let Some(names) = self.0.as_ref().filter(|names| names.is_match(&text)) else {
            return text;
        };
        let mut masked = String::with_capacity(text.len());
        names.replace_all_with(&text, &mut masked, |_, _, masked| {
            masked.push('@');
            true
        });
        masked
    }
}

/// Whether a line without a severity says that it is an error.
pub(crate) fn is_error(line: &str) -> bool {
    let head: String = without_time(line).chars().take(40).collect();
    let mut words = head.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.any(|word| matches!(word, "ERROR" | "FATAL" | "SEVERE" | "CRITICAL"))
}

/// What the line shares with others of its kind.
///
/// A line that is no error and says where in the code it was written is known by that place alone. Otherwise `names` become `@`, and
/// what is quoted, in brackets within brackets, holds a digit, or is a value after its key becomes `*`.
pub(crate) fn template(line: &str, is_error: bool, names: &Names) -> String {
    let line = without_time(first_line(line));
    let words: Vec<&str> = line.split_whitespace().collect();
    let place = words
        .iter()
        .take(PLACE_WORDS)
        .position(|word| is_place(word));
    if let Some(at) = place.filter(|_| !is_error) {
        return words[at].to_owned();
    }
    let (front, rest) = match place {
        Some(at) => (Some(words[at]), words[at + 1..].join(" ")),
        None => (None, line.to_owned()),
    };
    let text = within_brackets(&names.masked(rest));
    let text = QUOTED.replace_all(&text, "*");
    let text = NUMBERED.replace_all(&text, "*");
    let text = ASSIGNED.replace_all(&text, "$1=*");
    let text = NAMED.replace_all(&text, "$1: *$2");
    let text = STARS.replace_all(&text, "*");
    let most = if is_error { ERROR_WORDS } else { WORDS };
    let words = text.split_whitespace().take(most);
    front.into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

fn first_line(text: &str) -> &str {
    let line = text.split('\n').next().unwrap_or_default();
    let mut end = line.len().min(MAX_BYTES);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

fn without_time(line: &str) -> &str {
    TIME.find(line).map_or(line, |found| &line[found.end()..])
}

/// Whether a word is `a.b.Class#12` or `file.go:12`.
fn is_place(word: &str) -> bool {
    let is_inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | '[' | ']');
    let starts = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let digits = word.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (front, _) = word.split_at(word.len() - digits);
    let named = PLACE_MARKS.iter().find_map(|mark| front.strip_suffix(mark));
    starts && digits > 0 && named.is_some_and(|name| !name.is_empty() && name.chars().all(is_inner))
}

/// Masks what stands in round, curly or pointed brackets, and in square ones within square ones.
fn within_brackets(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut open: Vec<char> = Vec::new();
    let is_deep = |open: &[char]| open.len() > 1 || open.last().is_some_and(|c| *c != '[');
    for c in text.chars() {
        let was_deep = is_deep(&open);
        if matches!(c, '(' | '[' | '{' | '<') {
            open.push(c);
            if !was_deep {
                masked.push(c);
                masked.push_str(if is_deep(&open) { "*" } else { "" });
            }
        } else if matches!(c, ')' | ']' | '}' | '>') && !open.is_empty() {
            open.pop();
            if !is_deep(&open) {
                masked.push(c);
            }
        } else if !was_deep {
            masked.push(c);
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Names {
        Names::of(std::iter::empty())
    }

    #[test]
    fn a_line_with_a_place_is_known_by_it_and_an_error_by_its_words() {
        let line =
            "17:02:12.420 INFO  v.c.VerifyCodeController#54 [verifyCode][verify result: false]";
        let names = Names::of(["tax", "tax-api"].into_iter());
        assert_eq!(template(line, false, &names), "v.c.VerifyCodeController#54");
        assert!(!is_error(line));
        let line = "17:02:12.420 ERROR a.b.C#7 order 17 of tax-api failed: \"no such row\" (id 9)";
        assert!(is_error(line));
        assert_eq!(
            template(line, true, &names),
            "a.b.C#7 order * of @ failed: * (*)"
        );
    }

    #[test]
    fn lines_that_differ_in_data_share_a_template() {
        let one = template("user=ann took 35ms, state: open, [a, [b]]", false, &none());
        let other = template("user=bob took 9ms, state: shut, [a, [cc]]", false, &none());
        assert_eq!(one, other);
        assert_ne!(one, template("user=bob gave up after 9ms", false, &none()));
    }

    #[test]
    fn open_brackets_and_wide_characters_do_no_harm() {
        template("((((<[[ 定界", false, &none());
        template(&"定".repeat(400), true, &none());
        template("", false, &none());
    }
}
