//! The body that a webhook gets: what Alertmanager sends (version 4), with the incident and its verdict beside it.
//!
//! Source: Alertmanager, "Configuration", `webhook_config`.

use std::collections::BTreeMap;

use demarc_incident::{Incident, IncidentAlert, Verdict};
use jiff::Timestamp;
use serde::Serialize;

use crate::Occasion;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message<'a> {
    version: &'static str,
    group_key: String,
    truncated_alerts: u32,
    status: &'static str,
    receiver: &'a str,
    group_labels: BTreeMap<&'a str, &'a str>,
    common_labels: BTreeMap<&'a str, &'a str>,
    common_annotations: BTreeMap<&'a str, &'a str>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    alerts: Vec<AlertBody<'a>>,
    incident: IncidentBody<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertBody<'a> {
    status: &'static str,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct IncidentBody<'a> {
    id: &'a str,
    occasion: Occasion,
    title: &'a demarc_incident::Bilingual,
    opened_at: String,
    url: String,
    report_zh: String,
    report_en: String,
    verdict: Option<&'a Verdict>,
}

impl<'a> Message<'a> {
    pub(crate) fn new(
        incident: &'a Incident,
        occasion: Occasion,
        receiver: &'a str,
        external_url: &'a str,
    ) -> Self {
        let id = &incident.id;
        let report =
            |language| format!("{external_url}/api/v1/incidents/{id}/report?lang={language}");
        Self {
            version: "4",
            group_key: format!("incident/{id}"),
            truncated_alerts: 0,
            status: if incident.is_open() {
                "firing"
            } else {
                "resolved"
            },
            receiver,
            group_labels: BTreeMap::from([("incident", id.as_str())]),
            common_labels: common(&incident.alerts, |alert| &alert.labels),
            common_annotations: common(&incident.alerts, |alert| &alert.annotations),
            external_url,
            alerts: incident
                .alerts
                .iter()
                .map(|alert| AlertBody::of(alert, external_url))
                .collect(),
            incident: IncidentBody {
                id,
                occasion,
                title: &incident.title,
                opened_at: time(incident.opened_at),
                url: format!("{external_url}/api/v1/incidents/{id}"),
                report_zh: report("zh"),
                report_en: report("en"),
                verdict: incident.verdict(),
            },
        }
    }
}

impl<'a> AlertBody<'a> {
    fn of(alert: &'a IncidentAlert, external_url: &str) -> Self {
        let generator_url = reqwest::Url::parse_with_params(
            &format!("{external_url}/api/v1/query"),
            [("query", alert.expr.as_str())],
        );
        Self {
            status: if alert.resolved_at.is_some() {
                "resolved"
            } else {
                "firing"
            },
            labels: &alert.labels,
            annotations: &alert.annotations,
            starts_at: time(alert.since),
            // What has no end yet ends at Go's zero time.
            ends_at: alert
                .resolved_at
                .map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), time),
            generator_url: generator_url.map(String::from).unwrap_or_default(),
            fingerprint: fingerprint(&alert.labels),
        }
    }
}

/// FNV-1a over the labels, as Prometheus' `model.LabelSet.Fingerprint`.
fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for (name, value) in labels {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    format!("{hash:016x}")
}

/// What all alerts have in common.
fn common<'a>(
    alerts: &'a [IncidentAlert],
    of: impl Fn(&'a IncidentAlert) -> &'a BTreeMap<String, String>,
) -> BTreeMap<&'a str, &'a str> {
    let Some((first, others)) = alerts.split_first() else {
        return BTreeMap::new();
    };
    let pairs = of(first).iter();
    let in_all = |name: &str, value: &str| {
        others
            .iter()
            .all(|other| of(other).get(name).is_some_and(|known| known == value))
    };
    pairs
        .filter(|(name, value)| in_all(name, value))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

fn time(nanoseconds: i64) -> String {
    Timestamp::from_nanosecond(i128::from(nanoseconds))
        .map(|at| at.to_string())
        .unwrap_or_default()
}
