//! One incident, every reader, both languages: `tests/golden/<reader>-<language>.html`.

use std::{path::Path, sync::Arc};

use demarc_incident::{Audience, Incident};
use demarc_proto::{AttrValue, ManualClock, Nanos, Observation, ResourceObservation, TenantId};
use demarc_report::{Language, ReportConfig, render};
use demarc_store::{Store, StoreConfig};
use demarc_topology::{Graph, Responsibility, Topology, TopologyConfig};

const OWNERS: &str = "
parties:
  tax-bureau: {kind: agency, tenant: tax, name: {zh: 税务局, en: Tax Bureau}}
  ss-bureau: {kind: agency, tenant: ss, name: {zh: 社保局, en: Social Security Bureau}}
  operator: {kind: operator, tenant: operator, name: {zh: 平台运营方, en: Platform Operator}}
rules: []
";
const INCIDENT: &str = include_str!("../incident.json");

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// Two agencies on one host.
async fn graph() -> Arc<Graph> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Nanos(10)));
    let store = Store::open(folder.path(), StoreConfig::default(), clock.clone())
        .await
        .unwrap();
    let (config, owners) = (TopologyConfig::default(), Responsibility::default());
    let topology = Topology::open(store, config, owners, clock).await.unwrap();
    for (owner, service) in [("tax", "tax-api"), ("ss", "ss-batch")] {
        let pairs = [
            ("service.name", service),
            ("service.instance.id", "1"),
            ("host.name", "host-a"),
        ];
        let resource = pairs
            .into_iter()
            .map(|(key, value)| (key, AttrValue::from(value)))
            .collect();
        let seen = ResourceObservation {
            tenant: tenant(owner),
            at: Nanos(5),
            resource,
            entities: Vec::new(),
        };
        topology.observe(&[Observation::Resource(seen)]);
    }
    topology.graph_at(Nanos(6))
}

#[tokio::test]
async fn each_reader_gets_its_own_report_in_its_own_language() {
    let incident: Incident = serde_json::from_str(INCIDENT).unwrap();
    let owners = Responsibility::from_yaml(OWNERS).unwrap();
    let graph = graph().await;
    for reader in ["tax", "operator"] {
        for (name, language) in [("zh", Language::Zh), ("en", Language::En)] {
            let audience = Audience::new(&tenant(reader), &tenant("operator"), &graph);
            let config = ReportConfig::default();
            let html = render(&incident, &audience, &owners, (language, &config)).unwrap();
            let golden = Path::new("tests/golden").join(format!("{reader}-{name}.html"));
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::create_dir_all("tests/golden").unwrap();
                std::fs::write(&golden, &html).unwrap();
            }
            let expected = std::fs::read_to_string(&golden).unwrap_or_default();
            assert!(html == expected, "{} differs:\n{html}", golden.display());
            let names_other =
                html.contains("ss-batch") || html.contains("ss-bureau") || html.contains("社保局");
            assert_eq!(names_other, reader == "operator", "{reader}: {html}");
        }
    }
}

#[tokio::test]
async fn markup_in_telemetry_is_shown_and_not_obeyed() {
    let text = INCIDENT.replace("tax-api answers late", "<script>alert(1)</script>");
    let incident: Incident = serde_json::from_str(&text).unwrap();
    let audience = Audience::new(&tenant("operator"), &tenant("operator"), &*graph().await);
    let owners = Responsibility::default();
    let html = render(
        &incident,
        &audience,
        &owners,
        (Language::En, &ReportConfig::default()),
    )
    .unwrap();
    assert!(
        !html.contains("<script>") && html.contains("script"),
        "{html}"
    );
}
