//! Names the data that a demarcation would have wanted.

use demarc_proto::EntityId;

use crate::{Evidence, MissingSignal, Signal};

/// What is not there, in the order of entities.
pub(crate) fn list(evidence: &Evidence) -> Vec<MissingSignal> {
    let mut missing = spans(evidence);
    missing.extend(hosts(evidence));
    missing.extend(answers(evidence));
    missing.sort();
    missing.dedup();
    missing
}

fn note(entity: &EntityId, signal: &str, [zh, en]: [&str; 2]) -> MissingSignal {
    MissingSignal {
        entity: entity.clone(),
        signal: signal.to_owned(),
        why_zh: zh.to_owned(),
        why_en: en.to_owned(),
    }
}

fn spans(evidence: &Evidence) -> Vec<MissingSignal> {
    let mut missing = Vec::new();
    if !evidence.services.contains_key(&evidence.service) {
        let why = [
            "该时间窗内没有此服务的调用链数据",
            "no spans of this service within the window",
        ];
        missing.push(note(&evidence.service, "spans", why));
    }
    let why = [
        "只有请求指标，没有调用链：无法区分自身耗时与等待下游的时间",
        "only metrics of its requests, no spans: what it spends itself and what it waits for cannot be told apart",
    ];
    missing.extend(evidence.levels.keys().map(|id| note(id, "spans", why)));
    missing
}

fn hosts(evidence: &Evidence) -> Vec<MissingSignal> {
    let mut missing = Vec::new();
    for id in evidence.services.keys() {
        let is_traced = !evidence.levels.contains_key(id);
        if is_traced && evidence.carriers_of(id).is_empty() {
            let why = [
                "不知道它运行在哪台主机上：请上报资源属性 host.name 或 k8s.node.name",
                "it is not known which host it runs on: send the resource attribute host.name or k8s.node.name",
            ];
            missing.push(note(id, "host", why));
        }
    }
    for id in evidence.entities.keys() {
        if evidence.is_host(id) && evidence.signal(id, Signal::HostCpu).is_none() {
            let why = [
                "没有主机 CPU 指标，无法判断算力是否饱和",
                "no CPU metrics of this host: saturation cannot be told",
            ];
            missing.push(note(id, "system.cpu.utilization", why));
        }
    }
    missing
}

fn answers(evidence: &Evidence) -> Vec<MissingSignal> {
    let why = [
        "被调方没有调用链数据：只能从调用方一侧判断",
        "the called side sends no spans: it can be judged from its callers only",
    ];
    let silent = evidence.calls.iter().filter(|call| !call.is_instrumented);
    silent
        .map(|call| note(&call.to, "server spans", why))
        .collect()
}
