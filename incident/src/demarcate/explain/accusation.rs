//! What is measured at an entity that accuses it, in words.

use demarc_proto::EntityId;
use demarc_topology::Layer;

use super::{gap, item, query::operation_query, service, signal};
use crate::{
    Bilingual, CallFacts, Event, Evidence, EvidenceItem, OperationFacts, Role, Shift, Signal,
    SignalFact,
    demarcate::{change::Change, score::Score},
};

/// What accuses an entity of a fault in a layer, the strongest first.
pub(crate) fn score(
    evidence: &Evidence,
    entity: &EntityId,
    (layer, score): (Layer, &Score<'_>),
) -> Vec<EvidenceItem> {
    match layer {
        Layer::Compute => usage(evidence, entity),
        Layer::Network => gaps(evidence, entity),
        _ => {
            let mut items: Vec<EvidenceItem> = score
                .structure
                .change
                .iter()
                .filter(|_| score.structure.score > 0.0)
                .map(|(operation, change)| behaviour(evidence, operation, change))
                .collect();
            items.extend(level(evidence, entity));
            items.extend(service(evidence, entity));
            items
        }
    }
}

/// The signals that tell of a saturated processor or memory.
fn usage(evidence: &Evidence, entity: &EntityId) -> Vec<EvidenceItem> {
    let kinds = [
        Signal::PodCpuLimit,
        Signal::PodMemoryLimit,
        Signal::HostCpu,
        Signal::HostMemory,
    ];
    let carriers = evidence.carriers_of(entity);
    let is_own = |fact: &&SignalFact| fact.entity == *entity || carriers.contains(&fact.entity);
    let rising = |fact: &&SignalFact| kinds.contains(&fact.signal) && fact.shift.rose_by(0.05);
    let facts = evidence.signals.iter().filter(is_own).filter(rising);
    facts.map(|fact| signal(evidence, fact)).collect()
}

/// The calls to and from an entity that are late between their sides.
fn gaps(evidence: &Evidence, entity: &EntityId) -> Vec<EvidenceItem> {
    let touches = |call: &&CallFacts| call.from == *entity || call.to == *entity;
    let is_late = |call: &&CallFacts| call.gap_ms.rose_by(2.0);
    let mut late: Vec<&CallFacts> = evidence
        .calls
        .iter()
        .filter(touches)
        .filter(is_late)
        .collect();
    late.sort_by(|a, b| b.gap_ms.delta().total_cmp(&a.gap_ms.delta()));
    late.into_iter()
        .take(3)
        .map(|call| gap(evidence, call))
        .collect()
}

/// What an operation does no more, or does that it never did.
fn behaviour(evidence: &Evidence, operation: &OperationFacts, change: &Change<'_>) -> EvidenceItem {
    let (name, done) = (&operation.operation, words(change.event));
    let service = evidence.name(&operation.service);
    let (zh, en) = if change.is_gone {
        (
            format!("{service} 的 {name} 中仍有“{}”的比例（以往总有）", done.zh),
            format!("share of {service}'s {name} that still {}", done.en),
        )
    } else {
        (
            format!("{service} 的 {name} 中出现“{}”的比例（以往没有）", done.zh),
            format!(
                "share of {service}'s {name} that {}, which it did not before",
                done.en
            ),
        )
    };
    let shift = Shift {
        before: Some(change.before),
        during: Some(change.during),
        ..Shift::default()
    };
    let shown = (shift, 100.0, "%");
    let query = operation_query(evidence, operation);
    let statement = Bilingual::new(zh, en);
    let item = item(Role::Supports, &operation.service, statement, shown, query);
    let names = match change.event {
        Event::Call { service, .. } => service.iter().cloned().collect(),
        _ => Vec::new(),
    };
    EvidenceItem { names, ..item }
}

fn words(event: &Event) -> Bilingual {
    match event {
        Event::Call { operation, .. } => {
            Bilingual::new(format!("调用 {operation}"), format!("calls {operation}"))
        }
        Event::Line(template) => {
            Bilingual::new(format!("日志 {template}"), format!("logs {template:?}"))
        }
        Event::ErrorLine(template) => Bilingual::new(
            format!("错误日志 {template}"),
            format!("logs the error {template:?}"),
        ),
        Event::Exception(kind) => {
            Bilingual::new(format!("抛出异常 {kind}"), format!("throws {kind}"))
        }
        Event::Failure => Bilingual::new("失败", "fails"),
        Event::Nothing => Bilingual::new("什么也不做", "does nothing at all"),
    }
}

/// How an entity without spans served.
fn level(evidence: &Evidence, entity: &EntityId) -> Vec<EvidenceItem> {
    let (Some(level), Some(facts)) = (evidence.levels.get(entity), evidence.services.get(entity))
    else {
        return Vec::new();
    };
    let name = evidence.name(entity);
    let mut items = Vec::new();
    if facts.errors.delta() > 0.001 {
        let statement = Bilingual::new(
            format!("{name} 的请求失败率（由指标得出）"),
            format!("share of {name}'s requests that fail, by its metrics"),
        );
        let shown = (facts.errors, 100.0, "%");
        items.push(item(
            Role::Supports,
            entity,
            statement,
            shown,
            level.requests_query.clone(),
        ));
    }
    if facts.latency_ms.delta() > 1.0 {
        let statement = Bilingual::new(
            format!("{name} 的平均响应时间（由指标得出）"),
            format!("mean duration of {name}'s requests, by its metrics"),
        );
        let shown = (facts.latency_ms, 1.0, "ms");
        items.push(item(
            Role::Supports,
            entity,
            statement,
            shown,
            level.latency_query.clone(),
        ));
    }
    items
}
