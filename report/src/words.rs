//! All fixed texts of the report.

use demarc_incident::{Role, SymptomKind};
use demarc_topology::Layer;

use crate::Language;

/// Headings and labels in one language.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    pub(crate) report: &'static str,
    pub(crate) for_reader: &'static str,
    pub(crate) status: &'static str,
    pub(crate) open: &'static str,
    pub(crate) resolved: &'static str,
    pub(crate) began: &'static str,
    pub(crate) detected: &'static str,
    pub(crate) suffers: &'static str,
    pub(crate) conclusion: &'static str,
    pub(crate) layer: &'static str,
    pub(crate) owner: &'static str,
    pub(crate) nobody: &'static str,
    pub(crate) contract: &'static str,
    pub(crate) rota: &'static str,
    pub(crate) entity: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) culprit: &'static str,
    pub(crate) confidence: &'static str,
    pub(crate) runner_up: &'static str,
    pub(crate) none: &'static str,
    pub(crate) inconclusive: &'static str,
    pub(crate) candidates: &'static str,
    pub(crate) evidence: &'static str,
    pub(crate) fact: &'static str,
    pub(crate) before: &'static str,
    pub(crate) during: &'static str,
    pub(crate) role: &'static str,
    pub(crate) query: &'static str,
    pub(crate) hidden: &'static str,
    pub(crate) missing: &'static str,
    pub(crate) impact: &'static str,
    pub(crate) service: &'static str,
    pub(crate) slower: &'static str,
    pub(crate) failing: &'static str,
    pub(crate) timeline: &'static str,
    pub(crate) verify: &'static str,
    pub(crate) no_verdict: &'static str,
}

pub(crate) fn words(language: Language) -> &'static Words {
    match language {
        Language::Zh => &ZH,
        Language::En => &EN,
    }
}

const ZH: Words = Words {
    report: "事件定界报告",
    for_reader: "阅读方",
    status: "状态",
    open: "进行中",
    resolved: "已恢复",
    began: "故障开始",
    detected: "告警时间",
    suffers: "受影响的服务",
    conclusion: "定界结论",
    layer: "层次",
    owner: "责任方",
    nobody: "责任清单中没有对应条目",
    contract: "合同",
    rota: "值班",
    entity: "对象",
    cause: "原因",
    culprit: "指向",
    confidence: "把握",
    runner_up: "次选解释",
    none: "无",
    inconclusive: "无法判定",
    candidates: "可能的位置",
    evidence: "证据",
    fact: "事实",
    before: "之前",
    during: "期间",
    role: "作用",
    query: "查询语句（双方均可复核）",
    hidden: "查询涉及其他租户，不予展示",
    missing: "缺少的数据",
    impact: "影响范围",
    service: "服务",
    slower: "响应时间倍数",
    failing: "失败率",
    timeline: "时间线",
    verify: "复核命令",
    no_verdict: "尚无结论",
};

const EN: Words = Words {
    report: "Incident report",
    for_reader: "Reader",
    status: "Status",
    open: "in progress",
    resolved: "resolved",
    began: "Began",
    detected: "Alert fired",
    suffers: "Services that suffer",
    conclusion: "Verdict",
    layer: "Layer",
    owner: "Owner",
    nobody: "no entry in the responsibility file",
    contract: "Contract",
    rota: "On call",
    entity: "Entity",
    cause: "Cause",
    culprit: "Points at",
    confidence: "Confidence",
    runner_up: "Runner-up",
    none: "none",
    inconclusive: "Inconclusive",
    candidates: "Possible places",
    evidence: "Evidence",
    fact: "Fact",
    before: "Before",
    during: "During",
    role: "Role",
    query: "Query (both sides can run it)",
    hidden: "the query names another tenant and is not shown",
    missing: "Missing data",
    impact: "Impact",
    service: "Service",
    slower: "Duration, times",
    failing: "Failing",
    timeline: "Timeline",
    verify: "Check it with",
    no_verdict: "no verdict yet",
};

pub(crate) fn layer(layer: Layer, language: Language) -> &'static str {
    let zh = match layer {
        Layer::Application => "应用",
        Layer::Middleware => "中间件",
        Layer::Platform => "平台",
        Layer::Compute => "计算",
        Layer::Storage => "存储",
        Layer::Network => "网络",
        Layer::External => "外部第三方",
    };
    language.pick(zh, layer.as_str())
}

pub(crate) fn role(role: Role, language: Language) -> &'static str {
    match role {
        Role::Symptom => language.pick("症状", "symptom"),
        Role::Supports => language.pick("支持", "supports"),
        Role::Contradicts => language.pick("相反", "contradicts"),
        Role::RulesOut => language.pick("排除其他", "rules out others"),
    }
}

pub(crate) fn symptom(kind: SymptomKind, language: Language) -> &'static str {
    match kind {
        SymptomKind::Errors => language.pick("请求失败", "fails requests"),
        SymptomKind::Latency => language.pick("响应变慢", "answers late"),
        SymptomKind::Traffic => language.pick("没有请求", "serves no requests"),
        SymptomKind::Any => language.pick("异常", "is disturbed"),
    }
}
