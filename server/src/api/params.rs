//! Parameters as the Prometheus HTTP API takes them: in the URL, or as a form.

use std::time::Duration;

use axum::{
    Form,
    extract::{FromRequest, Query, Request},
};
use demarc_proto::{Millis, Nanos, TimeRange};

use crate::status::ApiError;

/// All parameters of a request, those of its URL first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        type Pairs = Vec<(String, String)>;
        let bad = |what: &str, error: String| ApiError::bad_request(format!("{what}: {error}"));
        let Query(mut pairs) = Query::<Pairs>::try_from_uri(request.uri())
            .map_err(|error| bad("URL parameters", error.to_string()))?;
        if request.method() == http::Method::POST {
            let Form(form) = Form::<Pairs>::from_request(request, state)
                .await
                .map_err(|error| bad("form", error.to_string()))?;
            pairs.extend(form);
        }
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
            .ok_or_else(|| ApiError::bad_request(format!("parameter {name:?} is missing")))
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).collect()
    }

    /// A time; `None` when absent.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Nanos>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        time(text)
            .map(Some)
            .map_err(|fault| ApiError::bad_request(format!("{name}: {fault}")))
    }

    pub(crate) fn millis(&self, name: &str) -> Result<Option<Millis>, ApiError> {
        Ok(self.time(name)?.map(Nanos::to_millis))
    }

    /// `start` and `end`; `None` unless one of them is given.
    pub(crate) fn range(&self, now: Nanos) -> Result<Option<TimeRange>, ApiError> {
        let (start, end) = (self.time("start")?, self.time("end")?);
        if start.is_none() && end.is_none() {
            return Ok(None);
        }
        // `end` is inclusive in this API.
        let end = end.unwrap_or(now).plus(Duration::from_nanos(1));
        TimeRange::new(start.unwrap_or(Nanos(0)), end)
            .map(Some)
            .ok_or_else(|| ApiError::bad_request("end: must not be before start"))
    }

    /// A duration: seconds with a fraction, or `5m`.
    pub(crate) fn duration(&self, name: &str) -> Result<Duration, ApiError> {
        let text = self.require(name)?;
        duration(text).map_err(|fault| ApiError::bad_request(format!("{name}: {fault}")))
    }
}

/// Unix seconds with a fraction, or RFC 3339.
pub(crate) fn time(text: &str) -> Result<Nanos, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        return Ok(Nanos::from_secs_f64(seconds));
    }
    let at: jiff::Timestamp = text.parse().map_err(|_| {
        format!("{text:?} is neither Unix seconds nor a time such as 2026-01-31T10:02:00Z")
    })?;
    i64::try_from(at.as_nanosecond())
        .map(Nanos)
        .map_err(|_| format!("{text:?} is out of range"))
}

/// Seconds with a fraction, or numbers with units: `1h30m`, `500ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("{text:?} is neither seconds nor a duration such as \"30s\" or \"5m\"");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| fault());
    }
    let mut sum = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .filter(|end| *end > 0)
            .ok_or_else(fault)?;
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            _ => return Err(fault()),
        };
        let count: u64 = number.parse().map_err(|_| fault())?;
        let part = count.checked_mul(millis).ok_or_else(fault)?;
        sum = sum
            .checked_add(Duration::from_millis(part))
            .ok_or_else(fault)?;
        rest = after;
    }
    if sum.is_zero() { Err(fault()) } else { Ok(sum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_come_in_both_forms() {
        assert_eq!(time("1.5").unwrap(), Nanos(1_500_000_000));
        assert_eq!(
            time("1970-01-01T08:00:01+08:00").unwrap(),
            Nanos(1_000_000_000)
        );
        assert!(time("yesterday").is_err() && time("NaN").is_err());
        assert_eq!(duration("0.5").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("1h30m").unwrap(), Duration::from_secs(5400));
        for bad in ["", "m", "5x", "-5", "5m3"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
