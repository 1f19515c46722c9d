//! Parameters as the Prometheus HTTP API takes them: in the URL, or as a form.

use std::time::Duration;

use axum::{
    Form,
    extract::{FromRequest, Query, Request},
};
use demarc_proto::{Millis, Nanos, TimeRange};
use http::header::CONTENT_TYPE;

use crate::status::ApiError;

/// All parameters of a request, those of its form first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        type Pairs = Vec<(String, String)>;
        let bad = |what: &str, error: String| ApiError::bad_request(format!("{what}: {error}"));
        let Query(in_url) = Query::<Pairs>::try_from_uri(request.uri())
            .map_err(|error| bad("URL parameters", error.to_string()))?;
        let kind = request.headers().get(CONTENT_TYPE);
        let is_form = kind.is_some_and(|kind| {
            kind.as_bytes()
                .starts_with(b"application/x-www-form-urlencoded")
        });
        let mut pairs = Pairs::new();
        if request.method() == http::Method::POST && is_form {
            let Form(form) = Form::<Pairs>::from_request(request, state)
                .await
                .map_err(|error| bad("form", error.to_string()))?;
            pairs = form;
        }
        pairs.extend(in_url);
        Ok(Self(pairs))
    }
}

impl Params {
    /// The parameters of a URL alone, for requests whose body is something else.
    pub(crate) fn of_url(uri: &http::Uri) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| ApiError::bad_request(format!("URL parameters: {error}")))?;
        Ok(Self(pairs))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self
            .0
            .iter()
            .find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn require(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name)
            .ok_or_else(|| ApiError::parameter(name, "is missing"))
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).collect()
    }

    /// A time; `None` when absent.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Nanos>, ApiError> {
        Ok(self.millis(name)?.map(Millis::to_nanos))
    }

    /// A time, rounded to milliseconds as Prometheus does; `None` when absent.
    pub(crate) fn millis(&self, name: &str) -> Result<Option<Millis>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        millis(text)
            .map(Some)
            .map_err(|fault| ApiError::parameter(name, fault))
    }

    /// A time that must be there.
    pub(crate) fn require_millis(&self, name: &str) -> Result<Millis, ApiError> {
        let missing = || ApiError::parameter(name, "cannot parse \"\" to a valid timestamp");
        self.millis(name)?.ok_or_else(missing)
    }

    /// `start` and `end`; `None` unless one of them is given.
    pub(crate) fn range(&self, now: Nanos) -> Result<Option<TimeRange>, ApiError> {
        let (start, end) = (self.millis("start")?, self.millis("end")?);
        if start.is_none() && end.is_none() {
            return Ok(None);
        }
        let start = start.unwrap_or(Millis(0)).to_nanos();
        let end = end.map_or(now, Millis::to_nanos);
        if end < start {
            let sentence = "end timestamp must not be before start time";
            return Err(ApiError::parameter("end", sentence));
        }
        // `end` is inclusive in this API; times beyond what nanoseconds can say are the last that they can.
        let start = start.min(Nanos(i64::MAX - 1));
        Ok(TimeRange::new(start, end.plus(Duration::from_nanos(1))))
    }

    /// A duration: seconds with a fraction, or `5m`; `None` when absent.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        duration(text)
            .map(Some)
            .map_err(|fault| ApiError::parameter(name, fault))
    }

    /// How many at most; `None` when absent or 0, which is without end.
    pub(crate) fn limit(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let limit: i64 = text
            .parse()
            .map_err(|_| ApiError::parameter(name, format!("{text:?} is no whole number")))?;
        let limit = usize::try_from(limit)
            .map_err(|_| ApiError::parameter(name, "limit must be non-negative"))?;
        Ok(Some(limit).filter(|limit| *limit > 0))
    }

    /// `true` or `false`; `false` when absent.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some(text) => Err(ApiError::parameter(
                name,
                format!("{text:?} is neither true nor false"),
            )),
        }
    }
}

/// Unix seconds with a fraction, or RFC 3339.
pub(crate) fn time(text: &str) -> Result<Nanos, String> {
    millis(text).map(Millis::to_nanos)
}

/// As [`time`], to the millisecond. Source: Prometheus, `web/api/v1` `parseTime`.
fn millis(text: &str) -> Result<Millis, String> {
    let fault = || format!("cannot parse {text:?} to a valid timestamp");
    if let Ok(seconds) = text.parse::<f64>() {
        // Seconds of which milliseconds overflow are as far as time goes.
        return if seconds.is_finite() {
            Ok(Millis((seconds * 1e3).round() as i64))
        } else {
            Err(fault())
        };
    }
    match text {
        // What Go's clients send for "since ever" and "for ever".
        "-292273086-05-16T16:47:06Z" => return Ok(Millis(i64::MIN / 1_000_000)),
        "+292277025-08-18T07:12:54.999999999Z" | "292277025-08-18T07:12:54.999999999Z" => {
            return Ok(Millis(i64::MAX / 1_000_000));
        }
        _ => {}
    }
    let at: jiff::Timestamp = text.parse().map_err(|_| fault())?;
    Ok(Millis(at.as_millisecond()))
}

/// Units in the order in which they may follow each other, in milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Seconds with a fraction, or numbers with units, the largest first: `1h30m`, `500ms`.
///
/// Source: Prometheus, `model.ParseDuration` and `web/api/v1` `parseDuration`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("cannot parse {text:?} to a valid duration");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| fault());
    }
    let mut sum: u64 = 0;
    let mut units = UNITS.iter();
    let mut rest = text;
    while !rest.is_empty() {
        let is_digit = |c: char| c.is_ascii_digit();
        let digits = rest.find(|c| !is_digit(c)).filter(|end| *end > 0);
        let (number, after) = rest.split_at(digits.ok_or_else(fault)?);
        let (unit, after) = after.split_at(after.find(is_digit).unwrap_or(after.len()));
        let (_, millis) = units.find(|(name, _)| *name == unit).ok_or_else(fault)?;
        let count: u64 = number.parse().map_err(|_| fault())?;
        let part = count.checked_mul(*millis).ok_or_else(fault)?;
        sum = sum.checked_add(part).ok_or_else(fault)?;
        rest = after;
    }
    if sum == 0 {
        return Err(fault());
    }
    Ok(Duration::from_millis(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_come_in_both_forms() {
        assert_eq!(time("1.5").unwrap(), Nanos(1_500_000_000));
        assert_eq!(time("1.0009").unwrap(), Nanos(1_001_000_000));
        assert_eq!(
            time("1970-01-01T08:00:01+08:00").unwrap(),
            Nanos(1_000_000_000)
        );
        assert_eq!(time("1e300").unwrap(), Nanos(i64::MAX));
        assert!(time("yesterday").is_err() && time("NaN").is_err());
        assert_eq!(duration("0.5").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("1h30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(duration("1m500ms").unwrap(), Duration::from_millis(60_500));
        for bad in ["", "m", "5x", "-5", "5m3", "30m1h", "1m1m"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
