//! Lines to commands.

use std::time::Duration;

use demarc_proto::Millis;
use demarc_store::Rows;

use super::{expect::Expected, load, nhcb};
use crate::{RangeParams, promql};

/// One command.
pub(super) enum Command {
    Clear,
    Load(Rows),
    Eval(Eval),
}

/// A query with what is expected of it.
pub(super) struct Eval {
    pub(super) query: String,
    pub(super) when: When,
    pub(super) expected: Expected,
}

#[derive(Clone, Copy)]
pub(super) enum When {
    Instant(Millis),
    Range(RangeParams),
}

/// A command and its line, from 1; or what is wrong with it.
pub(super) struct Step<'a> {
    pub(super) line: usize,
    pub(super) text: &'a str,
    pub(super) command: Result<Command, String>,
}

/// All commands in their order.
pub(super) fn parse(script: &str) -> Vec<Step<'_>> {
    let mut lines = script
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.starts_with('#') && !line.is_empty())
        .peekable();
    let ends = blocks(script);
    let mut commands = Vec::new();
    while let Some((at, line)) = lines.next() {
        let mut block = Vec::new();
        if !line.starts_with("clear") {
            let end = ends[at - 1];
            while let Some(next) = lines.next_if(|(next, _)| *next < end) {
                block.push(next);
            }
        }
        commands.push(Step {
            line: at,
            text: line,
            command: command(line, &block),
        });
    }
    commands
}

/// For each line, the number of the first line behind it that is blank or a comment, both from 1.
fn blocks(script: &str) -> Vec<usize> {
    let lines: Vec<&str> = script.lines().map(str::trim).collect();
    let mut end = lines.len() + 1;
    let mut ends = vec![end; lines.len()];
    for at in (0..lines.len()).rev() {
        ends[at] = end;
        if lines[at].is_empty() || lines[at].starts_with('#') {
            end = at + 1;
        }
    }
    ends
}

fn command(line: &str, block: &[(usize, &str)]) -> Result<Command, String> {
    let word = line.split_whitespace().next().unwrap_or_default();
    match word {
        "clear" => Ok(Command::Clear),
        "load" | "load_with_nhcb" => {
            let step = line.split_whitespace().nth(1).ok_or("load names no step")?;
            let step = time(step)?.0;
            let lines: Vec<&str> = block.iter().map(|(_, line)| *line).collect();
            let mut rows = load::rows(step, &lines)?;
            if word == "load_with_nhcb" {
                nhcb::convert(&mut rows);
            }
            Ok(Command::Load(rows))
        }
        "eval" | "eval_fail" | "eval_warn" | "eval_info" | "eval_ordered" => {
            let mut eval = eval(line)?;
            eval.expected.add_form(word);
            for (_, line) in block {
                eval.expected.add(line)?;
            }
            Ok(Command::Eval(eval))
        }
        other => Err(format!("{other:?} is no command")),
    }
}

fn eval(line: &str) -> Result<Eval, String> {
    let mut rest = line;
    let mut next = || {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        rest = after.trim_start();
        word
    };
    next();
    let when = match next() {
        "instant" => {
            next();
            When::Instant(time(next())?)
        }
        "range" => {
            next();
            let start = time(next())?;
            next();
            let end = time(next())?;
            next();
            let step = time(next())?.0.unsigned_abs();
            When::Range(RangeParams {
                start,
                end,
                step: Duration::from_millis(step),
            })
        }
        other => return Err(format!("eval {other:?}: instant or range")),
    };
    Ok(Eval {
        query: rest.trim().to_owned(),
        when,
        expected: Expected::default(),
    })
}

/// A duration, or seconds, before or after the epoch.
pub(super) fn time(text: &str) -> Result<Millis, String> {
    let (sign, plain) = match text.strip_prefix('-') {
        Some(plain) => (-1, plain),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let millis = match plain.parse::<f64>() {
        Ok(seconds) => Some((seconds * 1000.0).round() as i64),
        Err(_) => promql::parse_duration(plain).and_then(|millis| i64::try_from(millis).ok()),
    };
    let millis = millis.ok_or_else(|| format!("{text:?} is no time"))?;
    Ok(Millis(sign * millis))
}
