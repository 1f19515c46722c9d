//! Which series and which resources tell of which entities: a table of rules, shipped and extensible.
//!
//! The shipped tables are `topology/mappings/*.yaml`, one file per exporter; `docs/topology.md` describes their form. A series
//! that a rule names becomes entities and relations, with the exporter as their source.

mod apply;
mod entity_type;
mod rule;
mod template;
mod tie;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(crate) use entity_type::EntityType;
pub(crate) use rule::{EntityRule, Rule};
pub(crate) use tie::{NAME, TieRule};

use crate::{EntityKind, TopologyError, owner::glob_matches};

/// The name and the text of a shipped table.
macro_rules! table {
    ($name:literal) => {
        ($name, include_str!(concat!("../mappings/", $name, ".yaml")))
    };
}

/// The shipped tables.
const SHIPPED: [(&str, &str); 14] = [
    table!("blackbox_exporter"),
    table!("cadvisor"),
    table!("istio"),
    table!("k8s_cluster"),
    table!("kube_state_metrics"),
    table!("kubeletstats"),
    table!("libvirt"),
    table!("node_exporter"),
    table!("opentelemetry"),
    table!("openstack"),
    table!("service_graph"),
    table!("snmp_exporter"),
    table!("ties"),
    table!("hostmetrics"),
];

/// The tables that are in force.
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    by_metric: HashMap<String, Vec<Rule>>,
    pub(crate) by_resource: Vec<Rule>,
    /// Metrics of known exporters, as globs, each with the exporter's name.
    covered: Vec<(String, String)>,
    pub(crate) ties: Vec<TieRule>,
    /// What OTLP entity references name, by their type or a glob over types.
    pub(crate) entity_types: BTreeMap<String, EntityType>,
}

impl Mappings {
    /// What is shipped.
    pub fn shipped() -> Self {
        let mut mappings = Self::default();
        for (name, text) in SHIPPED {
            mappings
                .add(text)
                .unwrap_or_else(|error| unreachable!("shipped table {name}: {error}"));
        }
        mappings
    }

    /// Adds a table of the user's; the error names what is wrong in it.
    pub fn add(&mut self, text: &str) -> Result<(), TopologyError> {
        let file: rule::File = serde_saphyr::from_str(text)
            .map_err(|error| TopologyError::Mapping(error.to_string()))?;
        let wrong =
            |place: String, fault: String| TopologyError::Mapping(format!("{place}: {fault}"));
        let exporter = file.exporter.as_str();
        for (at, text) in file.metrics.into_iter().enumerate() {
            let place = format!("metrics[{at}]");
            let metric = text.metric.clone();
            if metric.is_empty() {
                return Err(wrong(place, "metric: must be named".to_owned()));
            }
            let rule = Rule::of(text, exporter).map_err(|fault| wrong(place, fault))?;
            self.by_metric.entry(metric).or_default().push(rule);
        }
        for (at, text) in file.resources.into_iter().enumerate() {
            let rule = Rule::of(text, exporter);
            let rule = rule.map_err(|fault| wrong(format!("resources[{at}]"), fault))?;
            self.by_resource.push(rule);
        }
        for (at, text) in file.ties.into_iter().enumerate() {
            let tie = TieRule::of(text).map_err(|fault| wrong(format!("ties[{at}]"), fault))?;
            self.ties.push(tie);
        }
        for (name, text) in file.entity_types {
            let read = EntityType::of(text);
            let read = read.map_err(|fault| wrong(format!("entity_types.{name}"), fault))?;
            self.entity_types.insert(name, read);
        }
        let covered = file.covers.into_iter();
        self.covered
            .extend(covered.map(|glob| (glob, exporter.to_owned())));
        Ok(())
    }

    /// Whether entities of a kind are tied to others by equal values.
    pub(crate) fn is_tied(&self, kind: EntityKind) -> bool {
        let mut ties = self.ties.iter();
        ties.any(|tie| tie.from == kind || tie.to == kind)
    }

    /// The metrics whose series tell of entities: what `ingest` is to look out for.
    pub fn metrics(&self) -> BTreeSet<String> {
        self.by_metric.keys().cloned().collect()
    }

    pub(crate) fn of_metric(&self, metric: &str) -> &[Rule] {
        self.by_metric.get(metric).map_or(&[], Vec::as_slice)
    }

    /// The exporter that a metric is of; `None` when no table knows it.
    pub fn exporter_of(&self, metric: &str) -> Option<&str> {
        if let Some(rule) = self.of_metric(metric).first() {
            return Some(&rule.exporter);
        }
        let mut covered = self.covered.iter();
        let found = covered.find(|(glob, _)| glob_matches(glob, metric));
        found.map(|(_, exporter)| exporter.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_table_can_be_read() {
        for (name, text) in SHIPPED {
            let read = Mappings::default().add(text);
            assert!(read.is_ok(), "{name}: {read:?}");
        }
        assert!(Mappings::shipped().metrics().contains("kube_pod_info"));
    }

    #[test]
    fn what_is_wrong_in_a_table_is_named() {
        let wrong = |text: &str| Mappings::default().add(text).unwrap_err().to_string();
        let text =
            "{exporter: x, metrics: [{metric: m, entities: {a: {kind: toaster, name: '{n}'}}}]}";
        assert!(
            wrong(text).contains("metrics[0]: entities.a.kind \"toaster\""),
            "{}",
            wrong(text)
        );
        let text = "{exporter: x, metrics: [{metric: m, entities: {a: {kind: host, name: '{n'}}}]}";
        assert!(wrong(text).contains("must end with }"), "{}", wrong(text));
        let text = "{exporter: x, metrics: [{metric: m, relations: [a runs_on b]}]}";
        assert!(wrong(text).contains("must be one of"), "{}", wrong(text));
    }
}
