//! Events that tell of changes: OTLP events of the application, and Kubernetes events as the collector's receivers send them.
//!
//! Sources: OpenTelemetry Collector, `k8seventsreceiver` and `k8sobjectsreceiver`; Kubernetes, `pkg/controller/deployment` and
//! `pkg/kubelet/events` (reasons and messages).

use demarc_proto::{AttrValue, Attributes, EntityId, TenantId};
use demarc_store::{ChangeRow, LogRow};
use serde_json::Value;

use crate::attribute::Pairs;

/// Whether a record may tell of a change, as far as can be seen at a glance.
pub(crate) fn may_be_change(event_name: &str, attributes: &Pairs<'_>) -> bool {
    !event_name.is_empty()
        || attributes.str("k8s.event.reason").is_some()
        || attributes.str("k8s.resource.name").is_some()
}

/// The change that a record tells of; `None` for any other record.
pub(crate) fn change(tenant: &TenantId, row: &LogRow) -> Option<ChangeRow> {
    if let Some(event) = KubernetesEvent::of(row) {
        return event.change(row);
    }
    let kind = match row.event_name.as_str() {
        "deployment" => "deployment",
        "config.change" => "config",
        "scaling" => "scaling",
        "migration" => "migration",
        "restart" => "restart",
        "maintenance" => "maintenance",
        _ => return None,
    };
    let entity = named(tenant, &row.attributes).or_else(|| named(tenant, &row.resource))?;
    Some(ChangeRow {
        time: row.time,
        kind: kind.to_owned(),
        entity: Some(entity),
        who: row
            .attributes
            .str("user.name")
            .unwrap_or_default()
            .to_owned(),
        what: row.body.clone(),
        attributes: row.attributes.clone(),
    })
}

/// What attributes name, the narrowest of it that can be changed.
fn named(tenant: &TenantId, attributes: &Attributes) -> Option<EntityId> {
    if let Some(service) = attributes.str("service.name") {
        let namespace = attributes.str("service.namespace");
        return Some(EntityId::service(tenant, namespace, service));
    }
    let text = |key: &str| attributes.str(key).unwrap_or_default();
    let (cluster, namespace) = (text("k8s.cluster.name"), text("k8s.namespace.name"));
    for kind in ["deployment", "statefulset", "daemonset", "cronjob", "job"] {
        if let Some(name) = attributes.str(&format!("k8s.{kind}.name")) {
            let steps = [cluster, namespace, kind, name];
            return Some(EntityId::shared("workload", &steps));
        }
    }
    if let Some(pod) = attributes.str("k8s.pod.name") {
        return Some(EntityId::shared("pod", &[cluster, namespace, pod]));
    }
    if let Some(node) = attributes.str("k8s.node.name") {
        return Some(EntityId::shared("node", &[node]));
    }
    let host = attributes.str("host.name")?;
    Some(EntityId::shared("host", &[host]))
}

/// An event of the Kubernetes API, by either receiver.
struct KubernetesEvent {
    reason: String,
    message: String,
    kind: String,
    namespace: String,
    name: String,
}

impl KubernetesEvent {
    fn of(row: &LogRow) -> Option<Self> {
        if let Some(reason) = row.attributes.str("k8s.event.reason") {
            let text = |key: &str| row.resource.str(key).unwrap_or_default().to_owned();
            let namespace = row.attributes.str("k8s.namespace.name").unwrap_or_default();
            return Some(Self {
                reason: reason.to_owned(),
                message: row.body.clone(),
                kind: text("k8s.object.kind").to_lowercase(),
                namespace: namespace.to_owned(),
                name: text("k8s.object.name"),
            });
        }
        if row.attributes.str("k8s.resource.name") != Some("events") {
            return None;
        }
        let body: Value = serde_json::from_str(&row.body).ok()?;
        // A watch wraps the event with what happened to it; a pull does not.
        let event = body.get("object").unwrap_or(&body);
        let text = |path: &str| {
            let value = event.pointer(path).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        // Events of the newer API call the object `regarding`, and the message `note`.
        let either = |a: &str, b: &str| {
            Some(text(a))
                .filter(|a| !a.is_empty())
                .unwrap_or_else(|| text(b))
        };
        Some(Self {
            reason: text("/reason"),
            message: either("/message", "/note"),
            kind: either("/involvedObject/kind", "/regarding/kind").to_lowercase(),
            namespace: either("/involvedObject/namespace", "/regarding/namespace"),
            name: either("/involvedObject/name", "/regarding/name"),
        })
    }

    fn change(&self, row: &LogRow) -> Option<ChangeRow> {
        let kind = self.kind_of_change()?;
        let cluster = row.resource.str("k8s.cluster.name").unwrap_or_default();
        let entity = match self.kind.as_str() {
            "node" => EntityId::shared("node", &[&self.name]),
            "pod" => EntityId::shared("pod", &[cluster, &self.namespace, &self.name]),
            kind => EntityId::shared("workload", &[cluster, &self.namespace, kind, &self.name]),
        };
        let mut attributes = Attributes::default();
        attributes.set("k8s.event.reason", AttrValue::Str(self.reason.clone()));
        Some(ChangeRow {
            time: row.time,
            kind: kind.to_owned(),
            entity: Some(entity),
            who: "kubernetes".to_owned(),
            what: self.message.clone(),
            attributes,
        })
    }

    /// What an event changes; most events change nothing, or tell of a symptom.
    fn kind_of_change(&self) -> Option<&'static str> {
        match self.reason.as_str() {
            // A replica set that grows from nothing is a new revision.
            "ScalingReplicaSet" if self.message.contains(" from 0 to ") => Some("deployment"),
            "ScalingReplicaSet" | "SuccessfulRescale" => Some("scaling"),
            "Evicted" | "Preempted" | "TaintManagerEviction" => Some("migration"),
            "Killing" if self.message.contains("will be restarted") => Some("restart"),
            "Rebooted" => Some("restart"),
            "NodeNotSchedulable" | "NodeSchedulable" => Some("maintenance"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use demarc_proto::Nanos;

    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> Attributes {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| (*key, AttrValue::from(*value)))
            .collect()
    }

    fn told(resource: &[(&str, &str)], of_record: &[(&str, &str)], body: &str) -> Option<String> {
        let row = LogRow {
            event_name: of_record
                .iter()
                .find(|(key, _)| *key == "event.name")
                .map(|(_, name)| (*name).to_owned())
                .unwrap_or_default(),
            body: body.to_owned(),
            resource: Arc::new(attributes(resource)),
            attributes: attributes(of_record),
            time: Nanos(1),
            observed_time: Nanos(1),
            severity_number: 9,
            severity_text: String::new(),
            template_id: 0,
            trace_id: None,
            span_id: None,
            service: String::new(),
            scope: String::new(),
        };
        let change = change(&TenantId::default(), &row)?;
        Some(format!("{} {}", change.kind, change.entity.unwrap()))
    }

    #[test]
    fn events_name_what_they_change() {
        let service = [("service.name", "api"), ("k8s.pod.name", "api-1")];
        let event = [("event.name", "deployment")];
        assert_eq!(
            told(&service, &event, "v2").unwrap(),
            "deployment service:default/api"
        );
        let host = [("event.name", "maintenance"), ("host.name", "host-a")];
        assert_eq!(
            told(&[], &host, "new kernel").unwrap(),
            "maintenance host:host-a"
        );
        assert_eq!(told(&service, &[("event.name", "login")], ""), None);
    }

    #[test]
    fn kubernetes_events_of_both_receivers_become_changes() {
        let object = [
            ("k8s.object.kind", "Deployment"),
            ("k8s.object.name", "api"),
        ];
        let scaled = |message: &str| {
            let event = [
                ("k8s.event.reason", "ScalingReplicaSet"),
                ("k8s.namespace.name", "prod"),
            ];
            told(&object, &event, message).unwrap()
        };
        assert_eq!(
            scaled("Scaled up replica set api-7d9 from 0 to 1"),
            "deployment workload:prod/deployment/api"
        );
        assert_eq!(
            scaled("Scaled up replica set api-7d9 from 2 to 5"),
            "scaling workload:prod/deployment/api"
        );
        let body = r#"{"type":"ADDED","object":{"kind":"Event","reason":"Evicted","message":"The node was low on resource: memory.",
            "involvedObject":{"kind":"Pod","namespace":"prod","name":"api-7d9-x"}}}"#;
        assert_eq!(
            told(&[], &[("k8s.resource.name", "events")], body).unwrap(),
            "migration pod:prod/api-7d9-x"
        );
        let pulled = r#"{"reason":"Pulled","regarding":{"kind":"Pod","name":"a"}}"#;
        assert_eq!(told(&[], &[("k8s.resource.name", "events")], pulled), None);
    }
}
