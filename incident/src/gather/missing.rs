//! Names the data that a demarcation would have wanted.

use demarc_topology::Layer;

use crate::{Evidence, MissingSignal, Signal};

/// What is not there, in the order of entities.
pub(crate) fn list(evidence: &Evidence) -> Vec<MissingSignal> {
    let mut missing = Vec::new();
    let mut note = |entity: &demarc_proto::EntityId, signal: &str, why: [&str; 2]| {
        missing.push(MissingSignal {
            entity: entity.clone(),
            signal: signal.to_owned(),
            why_zh: why[0].to_owned(),
            why_en: why[1].to_owned(),
        });
    };
    if !evidence.services.contains_key(&evidence.service) {
        note(
            &evidence.service,
            "spans",
            [
                "该时间窗内没有此服务的调用链数据",
                "no spans of this service within the window",
            ],
        );
    }
    for id in evidence.services.keys() {
        if evidence.carriers_of(id).is_empty() {
            note(
                id,
                "host",
                [
                    "不知道它运行在哪台主机上：请上报资源属性 host.name 或 k8s.node.name",
                    "it is not known which host it runs on: send the resource attribute host.name or k8s.node.name",
                ],
            );
        }
    }
    for (id, entity) in &evidence.entities {
        let is_host = entity.layer == Layer::Compute;
        if is_host && evidence.signal(id, Signal::HostCpu).is_none() {
            note(
                id,
                "system.cpu.utilization",
                [
                    "没有主机 CPU 指标，无法判断算力是否饱和",
                    "no CPU metrics of this host: saturation cannot be told",
                ],
            );
        }
    }
    for call in &evidence.calls {
        if !call.is_instrumented {
            note(
                &call.to,
                "server spans",
                [
                    "被调方没有调用链数据：只能从调用方一侧判断",
                    "the called side sends no spans: it can be judged from its callers only",
                ],
            );
        }
    }
    missing.sort();
    missing.dedup();
    missing
}
