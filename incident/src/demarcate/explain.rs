//! Facts in words, each with the query that shows it.

mod accusation;
mod query;

use std::collections::BTreeSet;

use demarc_proto::EntityId;

use super::rank::Ranked;
use crate::{
    Bilingual, CallFacts, ChangeFact, Evidence, EvidenceItem, ProcessFact, Role, Shift, Signal,
    SignalFact, StoredQuery, SymptomKind,
};
pub(crate) use accusation::score;
use query::{self_time_query, service_query};

/// Most facts that rule something out.
const MAX_RULED_OUT: usize = 4;

/// The symptom itself.
pub(crate) fn symptom(evidence: &Evidence, kind: Option<SymptomKind>) -> Vec<EvidenceItem> {
    let Some(facts) = evidence.services.get(&evidence.service) else {
        return Vec::new();
    };
    let name = evidence.name(&evidence.service);
    let (statement, shift, scale, unit) = match kind {
        Some(SymptomKind::Errors) => (
            Bilingual::new(
                format!("{name} 的请求失败率"),
                format!("share of {name}'s requests that fail"),
            ),
            facts.errors,
            100.0,
            "%",
        ),
        Some(SymptomKind::Traffic) => (
            Bilingual::new(format!("{name} 的请求量"), format!("requests to {name}")),
            facts.rate,
            1.0,
            "{request}/s",
        ),
        _ => (
            Bilingual::new(
                format!("{name} 的平均响应时间"),
                format!("mean duration of {name}'s requests"),
            ),
            facts.latency_ms,
            1.0,
            "ms",
        ),
    };
    let query = match (evidence.levels.get(&evidence.service), kind) {
        (Some(level), Some(SymptomKind::Errors | SymptomKind::Traffic)) => {
            level.requests_query.clone()
        }
        (Some(level), _) => level.latency_query.clone(),
        (None, _) => service_query(evidence, &evidence.service),
    };
    vec![item(
        Role::Symptom,
        &evidence.service,
        statement,
        (shift, scale, unit),
        query,
    )]
}

/// What a service spends itself.
pub(crate) fn service(evidence: &Evidence, id: &EntityId) -> Vec<EvidenceItem> {
    let Some(facts) = evidence.services.get(id) else {
        return Vec::new();
    };
    let name = evidence.name(id);
    let mut items = Vec::new();
    if facts.own_errors.rose_by(0.02) {
        let statement = Bilingual::new(
            format!("{name} 自身失败（并非被其下游拖累）的请求比例"),
            format!("share of requests that {name} fails itself, without any of its calls failing"),
        );
        let query = service_query(evidence, id);
        items.push(item(
            Role::Supports,
            id,
            statement,
            (facts.own_errors, 100.0, "%"),
            query,
        ));
    }
    if facts.self_ms.rose_by(1.0) {
        let statement = Bilingual::new(
            format!("{name} 自身耗时（不含等待下游）"),
            format!("time that {name} spends itself, without waiting for calls"),
        );
        let query = self_time_query(evidence, id);
        items.push(item(
            Role::Supports,
            id,
            statement,
            (facts.self_ms, 1.0, "ms"),
            query,
        ));
    }
    items
}

/// A signal that metrics tell.
pub(crate) fn signal(evidence: &Evidence, fact: &SignalFact) -> EvidenceItem {
    let name = evidence.name(&fact.entity);
    let (statement, scale, unit) = signal_words(fact.signal, &name);
    item(
        Role::Supports,
        &fact.entity,
        statement,
        (fact.shift, scale, unit),
        fact.query.clone(),
    )
}

fn signal_words(signal: Signal, name: &str) -> (Bilingual, f64, &'static str) {
    let (zh, en, scale, unit) = match signal {
        Signal::HostCpu => ("的 CPU 使用率", "processor use of", 100.0, "%"),
        Signal::HostCpuWait => (
            "上进程等待 CPU 的时间",
            "waiting for a processor on",
            1.0,
            "s/s",
        ),
        Signal::HostMemory => ("的内存使用率", "memory use of", 100.0, "%"),
        Signal::HostDisk => ("的磁盘繁忙率", "disk time of", 100.0, "%"),
        Signal::PodCpu => ("的 CPU 用量", "processors used by", 1.0, "{cpu}"),
        Signal::PodMemory => ("的内存用量", "memory used by", 1.0, "By"),
        Signal::PodCpuLimit => (
            "的 CPU 用量占其上限的比例",
            "share of its processor limit used by",
            100.0,
            "%",
        ),
        Signal::PodMemoryLimit => (
            "的内存用量占其上限的比例",
            "share of its memory limit used by",
            100.0,
            "%",
        ),
        Signal::ProcessCpu => ("进程的 CPU 占比", "processor share of", 100.0, "%"),
        Signal::LinkDelay => ("的往返时延", "round-trip time of", 1000.0, "ms"),
        Signal::LinkLoss => (
            "每秒丢弃的报文或连接",
            "packets or connections lost by",
            1.0,
            "1/s",
        ),
        Signal::LockWait => ("上请求等待锁的时间", "waiting for locks in", 1.0, "s/s"),
        Signal::Restarts => ("每分钟重启次数", "restarts per minute of", 60.0, "1/min"),
    };
    (
        Bilingual::new(format!("{name} {zh}"), format!("{en} {name}")),
        scale,
        unit,
    )
}

/// A process that uses the processor.
pub(crate) fn process(evidence: &Evidence, fact: &ProcessFact) -> EvidenceItem {
    let host = evidence.name(&fact.host);
    let statement = Bilingual::new(
        format!("进程 {} 占用 {host} CPU 的比例", fact.name),
        format!(
            "share of {host}'s processors that process {} uses",
            fact.name
        ),
    );
    let shown = (fact.cpu, 100.0, "%");
    let item = item(
        Role::Supports,
        &fact.host,
        statement,
        shown,
        fact.query.clone(),
    );
    let process = EntityId(format!("process:{}", fact.name));
    EvidenceItem {
        names: vec![fact.service.clone().unwrap_or(process)],
        ..item
    }
}

/// What is lost between caller and called.
pub(crate) fn gap(evidence: &Evidence, call: &CallFacts) -> EvidenceItem {
    let (from, to) = (evidence.name(&call.from), evidence.name(&call.to));
    let statement = Bilingual::new(
        format!("{from} 调用 {to} 时，既不在调用方也不在被调方、耗在两者之间的时间"),
        format!("time that calls from {from} to {to} spend in neither of the two"),
    );
    item(
        Role::Supports,
        &call.to,
        statement,
        (call.gap_ms, 1.0, "ms"),
        call.query.clone(),
    )
}

/// A call as the caller sees it: whether it fails, else how long it takes.
pub(crate) fn call(evidence: &Evidence, call: &CallFacts) -> EvidenceItem {
    let (from, to) = (evidence.name(&call.from), evidence.name(&call.to));
    if call.failed.rose_by(0.02) {
        let statement = Bilingual::new(
            format!("{from} 调用 {to} 的失败比例"),
            format!("share of calls from {from} to {to} that fail"),
        );
        return item(
            Role::Supports,
            &call.to,
            statement,
            (call.failed, 100.0, "%"),
            call.query.clone(),
        );
    }
    let statement = Bilingual::new(
        format!("{from} 调用 {to} 的平均耗时"),
        format!("mean duration of calls from {from} to {to}"),
    );
    item(
        Role::Supports,
        &call.to,
        statement,
        (call.client_ms, 1.0, "ms"),
        call.query.clone(),
    )
}

/// A change near the onset.
pub(crate) fn change(evidence: &Evidence, change: &ChangeFact) -> EvidenceItem {
    let name = evidence.name(&change.entity);
    let seconds = (evidence.onset - change.at) as f64 / 1e9;
    let statement = Bilingual::new(
        format!(
            "{name} 有一次变更（{}），{}",
            change.what,
            relative_zh(seconds)
        ),
        format!(
            "{name} was changed ({}) {}",
            change.what,
            relative_en(seconds)
        ),
    );
    let shift = Shift {
        before: Some(0.0),
        during: Some(1.0),
        ..Shift::default()
    };
    item(
        Role::Supports,
        &change.entity,
        statement,
        (shift, 1.0, "{change}"),
        change.query.clone(),
    )
}

fn relative_zh(seconds: f64) -> String {
    if seconds >= 0.0 {
        format!("在故障开始前 {seconds:.0} 秒")
    } else {
        format!("与故障开始同时（相差 {:.0} 秒）", -seconds)
    }
}

fn relative_en(seconds: f64) -> String {
    if seconds >= 0.0 {
        format!("{seconds:.0} s before the disturbance began")
    } else {
        format!("as the disturbance began ({:.0} s apart)", -seconds)
    }
}

/// Signals that were looked at and did not change: what the other suspects would have shown.
pub(crate) fn ruled_out(evidence: &Evidence, found: &[Ranked]) -> Vec<EvidenceItem> {
    let suspected: BTreeSet<&EntityId> = found.iter().map(|one| &one.entity).take(1).collect();
    let near: Vec<&EntityId> = evidence
        .carriers_of(&evidence.service)
        .iter()
        .chain(
            evidence
                .calls
                .iter()
                .filter(|call| call.from == evidence.service)
                .flat_map(|call| &call.links),
        )
        .collect();
    let is_telling = |fact: &&SignalFact| {
        let kinds = [
            Signal::HostCpu,
            Signal::LinkDelay,
            Signal::LockWait,
            Signal::HostMemory,
        ];
        let is_near = near.contains(&&fact.entity) || fact.signal == Signal::LockWait;
        kinds.contains(&fact.signal) && is_near && !suspected.contains(&fact.entity)
    };
    let floor = |signal: Signal| match signal {
        Signal::LinkDelay => 0.002,
        _ => 0.05,
    };
    let quiet = evidence.signals.iter().filter(is_telling);
    let quiet =
        quiet.filter(|fact| fact.shift.during.is_some() && !fact.shift.rose_by(floor(fact.signal)));
    quiet
        .take(MAX_RULED_OUT)
        .map(|fact| EvidenceItem {
            role: Role::RulesOut,
            ..signal(evidence, fact)
        })
        .collect()
}

fn item(
    role: Role,
    entity: &EntityId,
    statement: Bilingual,
    (shift, scale, unit): (Shift, f64, &str),
    query: StoredQuery,
) -> EvidenceItem {
    EvidenceItem {
        id: String::new(),
        role,
        entity: entity.clone(),
        names: Vec::new(),
        statement,
        observed: rounded(shift.during.unwrap_or(0.0) * scale),
        expected: rounded(shift.before.unwrap_or(0.0) * scale),
        unit: unit.to_owned(),
        query,
    }
}

/// Four digits after the point: documents are compared byte by byte.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
