//! What a receiver gets, how often it is tried, and what it must not be told.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use demarc_incident::Incident;
use demarc_notify::{Notice, Notifier, NotifyConfig, Occasion, ReceiverConfig, RouteConfig};
use demarc_proto::{ManualClock, Nanos, TenantId};
use demarc_topology::Graph;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

/// A receiver that answers with each status in turn, the last one for ever.
async fn receiver(statuses: &'static [u16]) -> (String, mpsc::UnboundedReceiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, bodies) = mpsc::unbounded_channel();
    let count = Arc::new(AtomicU32::new(0));
    let take = move |State(sender): State<mpsc::UnboundedSender<Value>>,
                     Json(body): Json<Value>| {
        let at = count.fetch_add(1, Ordering::SeqCst) as usize;
        let status = statuses[at.min(statuses.len() - 1)];
        async move {
            let _ = sender.send(body);
            StatusCode::from_u16(status).unwrap()
        }
    };
    let router = Router::new().route("/", post(take)).with_state(sender);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, bodies)
}

fn alert(tenant: &str, service: &str) -> Value {
    json!({
        "tenant": tenant, "service": format!("service:{tenant}/{service}"), "symptom": "latency",
        "labels": {"alertname": "ServiceLatencyHigh", "service": service},
        "annotations": {"summary": format!("{service} is slow")},
        "expr": "x > 1", "since": 1_795_478_400_000_000_000_i64, "fired_at": 1_795_478_410_000_000_000_i64,
        "resolved_at": null,
    })
}

fn notice() -> Notice {
    let incident: Incident = serde_json::from_value(json!({
        "id": "0190", "state": "open", "opened_at": 1_795_478_410_000_000_000_i64,
        "title": {"zh": "tax-web 响应变慢", "en": "tax-web answers late"},
        "tenants": ["tax", "ss"], "alerts": [alert("tax", "tax-web"), alert("ss", "ss-web")],
        "verdicts": [],
        "timeline": [{"at": 1, "text": {"zh": "ss-web", "en": "alert fires: ss-web is slow"}}],
    }))
    .unwrap();
    Notice {
        incident,
        occasion: Occasion::Opened,
        graph: Arc::new(Graph::default()),
    }
}

fn notifier(url: &str, tenant: &str, max_attempts: u32) -> Notifier {
    let receiver = ReceiverConfig {
        name: "duty".to_owned(),
        url: url.to_owned(),
        max_attempts,
        timeout_seconds: 5,
    };
    let route = RouteConfig {
        receiver: "duty".to_owned(),
        tenant: tenant.to_owned(),
    };
    let config = NotifyConfig {
        receivers: vec![receiver],
        routes: vec![route],
    };
    config.validate().unwrap();
    let operator = TenantId::new("operator").unwrap();
    let clock = Arc::new(ManualClock::new(Nanos(1)));
    Notifier::new(
        config,
        operator,
        "http://demarc.local:9400".to_owned(),
        clock,
    )
}

#[tokio::test]
async fn an_agency_gets_alertmanagers_message_about_its_own_services_only() {
    let (url, mut bodies) = receiver(&[200]).await;
    let deliveries = notifier(&url, "tax", 3).notify(&notice()).await;
    assert_eq!((deliveries[0].attempts, &deliveries[0].error), (1, &None));
    let body = bodies.recv().await.unwrap();
    assert_eq!(
        (&body["version"], &body["status"], &body["receiver"]),
        (&json!("4"), &json!("firing"), &json!("duty"))
    );
    assert_eq!(body["alerts"].as_array().unwrap().len(), 1);
    assert_eq!(body["alerts"][0]["startsAt"], "2026-11-24T00:00:00Z");
    assert_eq!(body["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");
    assert_eq!(body["commonLabels"]["service"], "tax-web");
    assert_eq!(body["incident"]["occasion"], "opened");
    assert!(!body.to_string().contains("ss-web"), "{body}");
}

#[tokio::test]
async fn the_operator_gets_the_whole_and_others_get_nothing() {
    let (url, mut bodies) = receiver(&[200]).await;
    notifier(&url, "operator", 3).notify(&notice()).await;
    assert_eq!(
        bodies.recv().await.unwrap()["alerts"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert!(
        notifier(&url, "education", 3)
            .notify(&notice())
            .await
            .is_empty()
    );
    assert!(bodies.try_recv().is_err());
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_cannot_is_not() {
    let (url, _bodies) = receiver(&[503, 429, 200]).await;
    let notifier_of = |url: &str| notifier(url, "tax", 3);
    let deliveries = notifier_of(&url).notify(&notice()).await;
    assert_eq!(
        (deliveries[0].attempts, deliveries[0].error.is_none()),
        (3, true)
    );
    let (url, _bodies) = receiver(&[400]).await;
    let refused = notifier_of(&url);
    let deliveries = refused.notify(&notice()).await;
    assert_eq!(deliveries[0].attempts, 1);
    assert!(deliveries[0].error.as_ref().unwrap().contains("400"));
    assert_eq!(refused.deliveries(), deliveries);
}

#[test]
fn a_wrong_route_is_refused_by_name() {
    let route = RouteConfig {
        receiver: "nobody".to_owned(),
        tenant: "tax".to_owned(),
    };
    let config = NotifyConfig {
        receivers: Vec::new(),
        routes: vec![route],
    };
    assert!(config.validate().unwrap_err().contains("nobody"));
}
