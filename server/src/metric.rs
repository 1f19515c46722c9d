//! What the server counts of incidents; the crates count what they do themselves.

use std::sync::LazyLock;

use demarc_incident::{Incident, Outcome};
use demarc_notify::Occasion;
use opentelemetry::{KeyValue, metrics::Counter};

static OCCASIONS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    opentelemetry::global::meter("demarc")
        .u64_counter("incident_occasions")
        .with_description("Incidents that opened, were judged, or ended, by tenant")
        .build()
});

static VERDICTS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    opentelemetry::global::meter("demarc")
        .u64_counter("incident_verdicts")
        .with_description("Verdicts, by tenant, outcome, layer, owner and cause")
        .build()
});

/// Counts an occasion for each tenant that suffers, and the verdict that came with it.
pub(crate) fn count(incident: &Incident, occasion: Occasion) {
    let word = match occasion {
        Occasion::Opened => "opened",
        Occasion::Verdict => "verdict",
        Occasion::Resolved => "resolved",
    };
    for tenant in &incident.tenants {
        let tenant = KeyValue::new("tenant", tenant.clone());
        OCCASIONS.add(1, &[tenant, KeyValue::new("occasion", word)]);
    }
    let (Occasion::Verdict, Some(verdict)) = (occasion, incident.verdicts.last()) else {
        return;
    };
    let mut labels = vec![KeyValue::new("tenant", verdict.tenant.clone())];
    match &verdict.outcome {
        Outcome::Determined { suspect, .. } => {
            let owner = suspect.owner.as_ref().map_or("", |owner| owner.as_str());
            labels.extend([
                KeyValue::new("outcome", "determined"),
                KeyValue::new("layer", suspect.layer.as_str()),
                KeyValue::new("owner", owner.to_owned()),
                KeyValue::new("cause", suspect.cause.as_str()),
            ]);
        }
        Outcome::Inconclusive { .. } => labels.push(KeyValue::new("outcome", "inconclusive")),
    }
    VERDICTS.add(1, &labels);
}
