//! What clients say that is no question: transactions, settings, and the like. None of it changes any data.
//!
//! Source: PostgreSQL, "SQL Commands".

use std::time::Duration;

use demarc_query::POSTGRES_SETTINGS as SETTINGS;

use super::error::Fault;

/// A statement, by what is to be done with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    Empty,
    Begin,
    Commit,
    Rollback,
    /// Within a transaction; reading needs none.
    Savepoint(&'static str),
    Set(Setting),
    Show(&'static str),
    /// `DISCARD ALL`: as if the connection were new.
    Discard,
    /// Of one prepared statement, or of all.
    Deallocate(Option<String>),
    /// The engine answers it.
    Query,
}

/// What a connection can be told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Setting {
    /// How long a query may take; no limit of its own when `None`.
    Timeout(Option<Duration>),
    /// What makes no difference here.
    Other,
}

/// Settings of which a client is told before it asks.
pub(super) const REPORTED: [(&str, &str); 7] = [
    SETTINGS[0],
    SETTINGS[2],
    SETTINGS[3],
    SETTINGS[4],
    SETTINGS[5],
    SETTINGS[6],
    SETTINGS[8],
];

/// Settings that may be set and make no difference: there is one way only, or the value is about writing.
const IGNORED: [&str; 13] = [
    "application_name",
    "bytea_output",
    "client_min_messages",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "intervalstyle",
    "lock_timeout",
    "search_path",
    "session",
    "synchronous_commit",
    "transaction",
];

/// Settings that have one value.
const FIXED: [(&str, &[&str]); 4] = [
    ("client_encoding", &["utf8", "utf-8", "unicode"]),
    ("datestyle", &["iso", "iso,mdy", "iso, mdy"]),
    ("standard_conforming_strings", &["on", "true"]),
    ("timezone", &["utc", "etc/utc", "gmt", "default"]),
];

impl Command {
    pub(super) fn of(text: &str) -> Result<Self, Fault> {
        let text = bare(text);
        let mut words = text.split_whitespace().map(str::to_ascii_uppercase);
        let first = words.next().unwrap_or_default();
        let second = words.next().unwrap_or_default();
        Ok(match (first.as_str(), second.as_str()) {
            ("", _) => Self::Empty,
            ("BEGIN", _) | ("START", "TRANSACTION") => Self::Begin,
            ("COMMIT" | "END", _) => Self::Commit,
            ("ROLLBACK" | "ABORT", "TO") => Self::Savepoint("ROLLBACK"),
            ("ROLLBACK" | "ABORT", _) => Self::Rollback,
            ("SAVEPOINT", _) => Self::Savepoint("SAVEPOINT"),
            ("RELEASE", _) => Self::Savepoint("RELEASE"),
            ("SET", _) => Self::Set(Setting::of(text)?),
            ("RESET", _) => Self::Set(Setting::Timeout(None)),
            ("DISCARD", _) => Self::Discard,
            ("DEALLOCATE", _) => {
                let name = text.split_whitespace().last().unwrap_or_default();
                let is_all = name.eq_ignore_ascii_case("all");
                Self::Deallocate((!is_all).then(|| name.trim_matches('"').to_owned()))
            }
            ("SHOW", _) => match shown(&text["SHOW".len()..]) {
                Some(value) => Self::Show(value),
                None => Self::Query,
            },
            _ => Self::Query,
        })
    }

    /// What the client is told when it is done; of a query, when it is done without rows.
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Rollback => "ROLLBACK",
            Self::Savepoint(tag) => tag,
            Self::Set(_) => "SET",
            Self::Show(_) => "SHOW",
            Self::Discard => "DISCARD ALL",
            Self::Deallocate(_) => "DEALLOCATE",
            Self::Empty | Self::Query => "SELECT 0",
        }
    }
}

/// The value of a setting, by its name in any case.
fn shown(name: &str) -> Option<&'static str> {
    let name = name.trim().to_ascii_lowercase();
    let name = match name.as_str() {
        "transaction isolation level" => "transaction_isolation",
        "time zone" => "timezone",
        other => other,
    };
    let found = SETTINGS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| *value)
}

/// A statement without the comments before it and the semicolon after it.
fn bare(text: &str) -> &str {
    let mut text = text.trim();
    loop {
        let rest = if text.starts_with("--") {
            text.split_once('\n').map_or("", |(_, rest)| rest)
        } else if text.starts_with("/*") {
            text.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return text.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
        };
        text = rest.trim_start();
    }
}

impl Setting {
    fn of(text: &str) -> Result<Self, Fault> {
        let mut rest = text["SET".len()..].trim_start();
        for scope in ["SESSION ", "LOCAL "] {
            let is_scope = rest.len() >= scope.len()
                && rest.is_char_boundary(scope.len())
                && rest[..scope.len()].eq_ignore_ascii_case(scope);
            let after = if is_scope {
                rest[scope.len()..].trim_start()
            } else {
                rest
            };
            // `SET SESSION CHARACTERISTICS` names no scope.
            if !after.to_ascii_uppercase().starts_with("CHARACTERISTICS") {
                rest = after;
            }
        }
        let end = rest.find(|c: char| c.is_whitespace() || c == '=');
        let (name, value) = rest.split_at(end.unwrap_or(rest.len()));
        let name = name.trim_matches('"').to_ascii_lowercase();
        let value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
        let value = value
            .strip_prefix("TO ")
            .or_else(|| value.strip_prefix("to "))
            .unwrap_or(value);
        let value = value.trim().trim_matches('\'').to_ascii_lowercase();
        Self::named(&name, &value)
    }

    fn named(name: &str, value: &str) -> Result<Self, Fault> {
        if name == "statement_timeout" {
            return statement_timeout(value).map(Self::Timeout);
        }
        if IGNORED.contains(&name) {
            return Ok(Self::Other);
        }
        let (name, value) = match (name, value.strip_prefix("zone ")) {
            ("time", Some(zone)) => ("timezone", zone.trim_matches('\'')),
            _ => (name, value),
        };
        match FIXED.iter().find(|(known, _)| *known == name) {
            Some((_, fine)) if fine.contains(&value) => Ok(Self::Other),
            Some((_, fine)) => Err(Fault::of_command(
                "22023",
                format!("{name} {value:?}: must be {:?}", fine[0]),
            )),
            None => Err(Fault::of_command(
                "42704",
                format!("unrecognized configuration parameter {name:?}"),
            )),
        }
    }
}

/// Milliseconds, or a number with a unit; 0 is no limit.
fn statement_timeout(value: &str) -> Result<Option<Duration>, Fault> {
    if matches!(value, "0" | "default") {
        return Ok(None);
    }
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = match value[digits.len()..].trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        _ => 0,
    };
    match digits.parse::<u64>() {
        Ok(count) if unit > 0 => Ok(Some(Duration::from_millis(count.saturating_mul(unit)))),
        _ => Err(Fault::of_command(
            "22023",
            format!(
                "statement_timeout {value:?}: must be milliseconds, or a number with ms, s or min"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_questions() {
        let timeout = |millis| Command::Set(Setting::Timeout(Some(Duration::from_millis(millis))));
        for (text, wanted) in [
            ("", Command::Empty),
            (" ; ", Command::Empty),
            ("-- only a comment", Command::Empty),
            ("begin", Command::Begin),
            ("START TRANSACTION READ ONLY;", Command::Begin),
            ("/* why */ COMMIT", Command::Commit),
            ("ROLLBACK TO a", Command::Savepoint("ROLLBACK")),
            ("SET statement_timeout = 5000", timeout(5000)),
            ("SET SESSION statement_timeout TO '2s'", timeout(2000)),
            ("SET extra_float_digits = 3", Command::Set(Setting::Other)),
            (
                "SET client_encoding TO 'UTF8'",
                Command::Set(Setting::Other),
            ),
            ("SET TIME ZONE 'UTC'", Command::Set(Setting::Other)),
            (
                "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
                Command::Set(Setting::Other),
            ),
            (
                "SHOW transaction isolation level",
                Command::Show("repeatable read"),
            ),
            ("SHOW TABLES", Command::Query),
            ("DEALLOCATE ALL", Command::Deallocate(None)),
            ("SELECT 1", Command::Query),
        ] {
            assert_eq!(Command::of(text).unwrap(), wanted, "{text}");
        }
        for bad in [
            "SET datafusion.execution.batch_size = 1",
            "SET client_encoding = 'LATIN1'",
            "SET statement_timeout = 'soon'",
        ] {
            assert!(Command::of(bad).is_err(), "{bad}");
        }
    }
}
