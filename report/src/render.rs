//! The entry point.

use askama::Template;
use demarc_incident::{Audience, Incident};
use demarc_topology::Responsibility;
use jiff::tz::{Offset, TimeZone};

use crate::{Language, ReportError, page::Maker};

/// What `report` may be told.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportConfig {
    /// The time zone of reports: hours east of UTC, -25 to 25.
    pub utc_offset_hours: i8,
}

impl Default for ReportConfig {
    /// Beijing time.
    fn default() -> Self {
        Self {
            utc_offset_hours: 8,
        }
    }
}

impl ReportConfig {
    /// Names the first setting that cannot work, its value, and what would be right.
    pub fn validate(&self) -> Result<(), String> {
        if (-25..=25).contains(&self.utc_offset_hours) {
            return Ok(());
        }
        Err(format!(
            "report.utc_offset_hours {}: must be from -25 to 25",
            self.utc_offset_hours
        ))
    }
}

/// The report of an incident for one reader: a complete HTML page.
pub fn render(
    incident: &Incident,
    audience: &Audience,
    responsibility: &Responsibility,
    (language, config): (Language, &ReportConfig),
) -> Result<String, ReportError> {
    let offset = Offset::from_hours(config.utc_offset_hours).unwrap_or(Offset::UTC);
    let maker = Maker {
        language,
        responsibility,
        zone: TimeZone::fixed(offset),
    };
    let seen = audience.incident(incident);
    Ok(maker.page(&seen, audience.tenant().as_str()).render()?)
}
