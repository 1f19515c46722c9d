//! What is expected of an evaluation.

use demarc_proto::Labels;
use regex::Regex;

use super::{
    command::time,
    points::{Written, number, points},
};
use crate::{RangeParams, promql};

/// What is expected of an evaluation.
#[derive(Default)]
pub(super) struct Expected {
    pub(super) series: Vec<(Labels, Vec<Option<Written>>)>,
    pub(super) scalar: Option<f64>,
    pub(super) text: Option<String>,
    pub(super) ordered: bool,
    /// The times of an expected range vector.
    pub(super) range: Option<RangeParams>,
    notes: Vec<(Kind, Message)>,
}

/// What may be noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fail,
    Warn,
    Info,
}

enum Message {
    Any,
    None,
    Exact(String),
    Matching(Regex),
}

impl Expected {
    pub(super) fn fails(&self) -> bool {
        self.notes.iter().any(|(kind, _)| *kind == Kind::Fail)
    }

    /// What the older forms of `eval` say.
    pub(super) fn add_form(&mut self, form: &str) {
        match form {
            "eval_fail" => self.notes.push((Kind::Fail, Message::Any)),
            "eval_warn" => self.notes.push((Kind::Warn, Message::Any)),
            "eval_info" => self.notes.push((Kind::Info, Message::Any)),
            "eval_ordered" => self.ordered = true,
            _ => {}
        }
    }

    /// Takes in one line behind the `eval`.
    pub(super) fn add(&mut self, line: &str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("expect ") {
            return self.add_expect(rest.trim());
        }
        for (word, form) in [
            ("expected_fail_message", true),
            ("expected_fail_regexp", false),
        ] {
            if let Some(text) = line.strip_prefix(word) {
                let message = if form {
                    Message::Exact(text.trim().to_owned())
                } else {
                    Message::Matching(regex(text.trim())?)
                };
                self.notes.push((Kind::Fail, message));
                return Ok(());
            }
        }
        if let Some(value) = number(line) {
            self.scalar = Some(value);
            return Ok(());
        }
        let (labels, rest) =
            promql::parse_series(line).map_err(|error| format!("{line:?}: {error}"))?;
        self.series.push((labels, points(rest)?));
        Ok(())
    }

    fn add_expect(&mut self, rest: &str) -> Result<(), String> {
        let (word, message) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let message = message.trim();
        let kind = match word {
            "fail" => Kind::Fail,
            "warn" | "no_warn" => Kind::Warn,
            "info" | "no_info" => Kind::Info,
            "ordered" => {
                self.ordered = true;
                return Ok(());
            }
            "string" => {
                self.text = Some(text(message)?);
                return Ok(());
            }
            "range" => {
                self.range = Some(range(message)?);
                return Ok(());
            }
            other => return Err(format!("expect {other:?} is not known")),
        };
        let message = if word.starts_with("no_") {
            Message::None
        } else if let Some(text) = message.strip_prefix("msg:") {
            Message::Exact(text.trim().to_owned())
        } else if let Some(text) = message.strip_prefix("regex:") {
            Message::Matching(regex(text.trim())?)
        } else {
            Message::Any
        };
        self.notes.push((kind, message));
        Ok(())
    }

    /// Whether what was noted is what was expected: each note is expected, and each expectation met.
    pub(super) fn check_notes(&self, kind: Kind, found: &[String]) -> Result<(), String> {
        let wanted: Vec<&Message> = self
            .notes
            .iter()
            .filter(|(one, _)| *one == kind)
            .map(|(_, message)| message)
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        for message in &wanted {
            let is_met = match message {
                Message::None => found.is_empty(),
                message => found.iter().any(|text| message.fits(text)),
            };
            if !is_met {
                return Err(format!(
                    "expected {kind:?} {}, got {found:?}",
                    message.shown()
                ));
            }
        }
        let is_odd = |text: &&String| !wanted.iter().any(|message| message.fits(text));
        match found.iter().find(is_odd) {
            Some(text) => Err(format!("unexpected {kind:?}: {text}")),
            None => Ok(()),
        }
    }
}

impl Message {
    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::None => false,
            Self::Exact(wanted) => text == wanted,
            Self::Matching(regex) => regex.is_match(text),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Any => "of any kind".to_owned(),
            Self::None => "of no kind".to_owned(),
            Self::Exact(text) => format!("{text:?}"),
            Self::Matching(regex) => format!("like {:?}", regex.as_str()),
        }
    }
}

fn regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| error.to_string())
}

fn text(quoted: &str) -> Result<String, String> {
    match promql::parse(quoted) {
        Ok(promql::ast::Expr::Text(text)) => Ok(text.value().into_owned()),
        _ => Err(format!("{quoted} is no string")),
    }
}

/// `vector from <time> to <time> step <duration>`
fn range(text: &str) -> Result<RangeParams, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let ["vector", "from", start, "to", end, "step", step] = words.as_slice() else {
        return Err(format!(
            "expect range {text:?}: vector from ... to ... step ..."
        ));
    };
    Ok(RangeParams {
        start: time(start)?,
        end: time(end)?,
        step: std::time::Duration::from_millis(time(step)?.0.unsigned_abs()),
    })
}
