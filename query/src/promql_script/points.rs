//! Points of a series: `1 2 _ 3+1x4 stale {{sum:1 count:2}}x3`.

use demarc_store::{CUSTOM_BUCKETS, CounterReset};

use crate::promql::{Buckets, Histogram, PointValue};

/// The bits of the NaN that ends a series.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A written value.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) value: PointValue,
    /// Whether it says what is known of counter resets.
    pub(super) says_reset: bool,
}

/// The points, one or none for each step.
pub(super) fn points(text: &str) -> Result<Vec<Option<Written>>, String> {
    let mut points = Vec::new();
    for word in words(text) {
        if word.starts_with("{{") {
            histograms(word, &mut points)?;
        } else {
            floats(word, &mut points)?;
        }
    }
    Ok(points)
}

/// Splits at spaces outside of double braces.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut start, mut depth) = (Vec::new(), None, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c.is_whitespace() && depth == 0 {
            if let Some(from) = start.take() {
                words.push(&text[from..at]);
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    words.extend(start.map(|from| &text[from..]));
    words
}

/// `a`, `_`, `_xn`, `axn`, `a+bxn`, `a-bxn`
fn floats(word: &str, points: &mut Vec<Option<Written>>) -> Result<(), String> {
    let (head, times) = repetition(word);
    if head == "_" {
        points.extend(std::iter::repeat_n(None, times.unwrap_or(1)));
        return Ok(());
    }
    // A sign that begins the number, or stands in its exponent, is no operator.
    let is_operator = |(at, c): &(usize, char)| {
        *at > 0 && matches!(c, '+' | '-') && !head[..*at].ends_with(['e', 'E', '+', '-'])
    };
    let (start, delta) = match head.char_indices().find(is_operator) {
        None => (number(head), Some(0.0)),
        Some((at, _)) => (number(&head[..at]), number(&head[at..])),
    };
    let (Some(start), Some(delta)) = (start, delta) else {
        return Err(format!("{word:?} is no value"));
    };
    for at in 0..=times.unwrap_or(0) {
        let value = if at == 0 {
            start
        } else {
            start + at as f64 * delta
        };
        points.push(Some(Written {
            value: PointValue::Float(value),
            says_reset: false,
        }));
    }
    Ok(())
}

/// Splits `axn`; there are no hexadecimal numbers here.
pub(super) fn repetition(word: &str) -> (&str, Option<usize>) {
    match word.rsplit_once('x') {
        Some((head, times)) if !head.is_empty() => match times.parse() {
            Ok(times) => (head, Some(times)),
            Err(_) => (word, None),
        },
        _ => (word, None),
    }
}

/// A number as scripts write it.
pub(super) fn number(text: &str) -> Option<f64> {
    let (sign, plain) = match text.strip_prefix('-') {
        Some(plain) => (-1.0, plain),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    match plain.to_ascii_lowercase().as_str() {
        "inf" => return Some(sign * f64::INFINITY),
        "nan" => return Some(f64::NAN),
        "stale" => return Some(f64::from_bits(STALE)),
        _ => {}
    }
    plain.parse::<f64>().ok().map(|value| sign * value)
}

/// `{{...}}`, `{{...}}xn`, `{{...}}+{{...}}xn`, `{{...}}-{{...}}xn`
fn histograms(word: &str, points: &mut Vec<Option<Written>>) -> Result<(), String> {
    let fault = || format!("{word:?} is no histogram");
    let end = word.find("}}").ok_or_else(fault)?;
    let (mut current, says_reset) = histogram(&word[2..end])?;
    let rest = &word[end + 2..];
    let (middle, times) = match rest.rsplit_once('x') {
        Some((middle, times)) => (middle, times.parse::<usize>().map_err(|_| fault())?),
        None => (rest, 0),
    };
    let mut delta = None;
    if let Some(inner) = middle.get(1..).filter(|inner| !inner.is_empty()) {
        let inner = inner
            .strip_prefix("{{")
            .and_then(|inner| inner.strip_suffix("}}"));
        delta = Some((
            middle.starts_with('+'),
            histogram(inner.ok_or_else(fault)?)?.0,
        ));
    }
    for at in 0..=times {
        if at > 0
            && let Some((adds, delta)) = &delta
        {
            let reset = current.reset;
            let next = if *adds {
                current.plus(delta)
            } else {
                current.minus(delta)
            };
            current = next.ok_or_else(fault)?.0;
            current.reset = reset;
        }
        points.push(Some(Written {
            value: PointValue::Histogram(current.clone().into()),
            says_reset,
        }));
    }
    Ok(())
}

/// The parts of a histogram, `name:value` apart from each other by spaces; whether a counter reset is among them.
fn histogram(text: &str) -> Result<(Histogram, bool), String> {
    let mut histogram = Histogram::default();
    let mut says_reset = false;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once(':')
            .ok_or_else(|| format!("{rest:?} has no value"))?;
        let end = if after.starts_with('[') {
            after.find(']').map_or(after.len(), |at| at + 1)
        } else {
            after.find(char::is_whitespace).unwrap_or(after.len())
        };
        let value = &after[..end];
        let list = || -> Result<Vec<f64>, String> {
            let inner = value.trim_matches(['[', ']']);
            let numbers = inner.split_whitespace().map(number);
            let numbers: Option<Vec<f64>> = numbers.collect();
            numbers.ok_or_else(|| format!("{value:?} is no list of numbers"))
        };
        let one = || number(value).ok_or_else(|| format!("{value:?} is no number"));
        match name.trim() {
            "schema" => histogram.schema = one()? as i32,
            "sum" => histogram.sum = one()?,
            "count" => histogram.count = one()?,
            "z_bucket" => histogram.zero_count = one()?,
            "z_bucket_w" => histogram.zero_threshold = one()?,
            "custom_values" => histogram.custom_bounds = list()?.into(),
            "buckets" => histogram.positive.counts = list()?,
            "offset" => histogram.positive.offset = one()? as i32,
            "n_buckets" => histogram.negative.counts = list()?,
            "n_offset" => histogram.negative.offset = one()? as i32,
            "counter_reset_hint" => {
                says_reset = true;
                histogram.reset = reset(value)?;
            }
            other => return Err(format!("{other:?} is no part of a histogram")),
        }
        rest = after[end..].trim_start();
    }
    if histogram.schema != CUSTOM_BUCKETS && !histogram.custom_bounds.is_empty() {
        return Err("custom_values need schema:-53".to_owned());
    }
    for buckets in [&mut histogram.positive, &mut histogram.negative] {
        if buckets.counts.is_empty() {
            *buckets = Buckets::default();
        }
    }
    Ok((histogram, says_reset))
}

fn reset(text: &str) -> Result<CounterReset, String> {
    Ok(match text {
        "unknown" => CounterReset::Unknown,
        "reset" => CounterReset::Reset,
        "not_reset" => CounterReset::NotReset,
        "gauge" => CounterReset::Gauge,
        other => return Err(format!("{other:?} is no counter reset hint")),
    })
}
