//! All that a demarcation looks at, as one document: the pure core needs nothing else.

mod signals;

use std::{collections::BTreeMap, fmt};

use demarc_proto::{EntityId, OwnerId};
use demarc_topology::{EntityKind, Layer};
use serde::{Deserialize, Serialize};

use crate::{
    GapFacts, MissingSignal, OperationFacts, OwnFacts, Shift, SymptomKind, verdict::StoredQuery,
};

pub use signals::Signals;

/// All that a demarcation looks at. Times are Unix nanoseconds, durations milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The tenant whose service suffers.
    pub tenant: String,
    /// The service that suffers.
    pub service: EntityId,
    /// How, as far as the asker knows.
    pub symptom: SymptomKind,
    /// Where the time before begins.
    pub start: i64,
    /// When the disturbance began.
    pub onset: i64,
    /// Where the evidence ends.
    pub until: i64,
    /// When the asker says that it began; 0 where that is the onset.
    #[serde(default)]
    pub asked: i64,
    /// Further times of peace that the disturbance is compared with: first and last of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<(i64, i64)>,
    /// Everything named below.
    #[serde(default)]
    pub entities: BTreeMap<EntityId, EntityFacts>,
    /// What spans say of each service.
    #[serde(default)]
    pub services: BTreeMap<EntityId, ServiceFacts>,
    /// What metrics say of services that send no spans.
    #[serde(default)]
    pub levels: BTreeMap<EntityId, LevelFacts>,
    /// What spans say of each call.
    #[serde(default)]
    pub calls: Vec<CallFacts>,
    /// Who calls whom, by the graph.
    #[serde(default)]
    pub edges: Vec<(EntityId, EntityId)>,
    /// What each operation does, by spans and log lines.
    #[serde(default)]
    pub operations: Vec<OperationFacts>,
    /// What each service spends itself, by whole traces.
    #[serde(default)]
    pub own_times: BTreeMap<EntityId, OwnFacts>,
    /// Median duration of a whole trace before, in milliseconds.
    #[serde(default)]
    pub trace_ms: Option<f64>,
    /// What carries each service: pods, nodes, hosts.
    #[serde(default)]
    pub carriers: BTreeMap<EntityId, Vec<EntityId>>,
    /// What metrics say.
    #[serde(default)]
    pub signals: Signals,
    /// Processes on those hosts.
    #[serde(default)]
    pub processes: Vec<ProcessFact>,
    /// Changes before and during the disturbance.
    #[serde(default)]
    pub changes: Vec<ChangeFact>,
    /// Data that is not there.
    #[serde(default)]
    pub missing: Vec<MissingSignal>,
}

/// One entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntityFacts {
    /// Its name to a person.
    pub name: String,
    /// Where it stands.
    pub layer: Layer,
    /// The word of its kind; empty where its id says it.
    #[serde(default)]
    pub kind: String,
    /// Who answers for it.
    #[serde(default)]
    pub owner: Option<OwnerId>,
    /// The contract under which it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// The on-call rota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rota: Option<String>,
    /// Whose telemetry tells of it.
    #[serde(default)]
    pub tenant: Option<String>,
}

/// What spans, or else metrics, say of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceFacts {
    /// Requests per second.
    pub rate: Shift,
    /// Share of requests that fail, 0 to 1.
    pub errors: Shift,
    /// Share of requests that fail without any of their calls failing, 0 to 1.
    pub own_errors: Shift,
    /// Mean duration of a request.
    pub latency_ms: Shift,
    /// The part of it that is not spent waiting for calls.
    pub self_ms: Shift,
}

/// How a service that sends no spans served, by the metrics of its requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelFacts {
    /// Who measured it.
    pub side: Side,
    /// Each time of peace, summed up.
    pub history: Vec<LevelHistory>,
    /// The disturbance and the time right before it, interval by interval.
    pub recent: Vec<LevelPoint>,
    /// The query that shows requests by how they ended.
    pub requests_query: StoredQuery,
    /// The query that shows mean durations.
    pub latency_query: StoredQuery,
}

/// Who measured requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The service itself, answering calls.
    Server,
    /// The service itself, doing what nobody waits for.
    Consumer,
    /// Its callers.
    Client,
}

/// A time of peace, summed up over its intervals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LevelHistory {
    /// Number of intervals.
    pub count: u32,
    /// Median of requests per second.
    pub rate: f64,
    /// Median of the intervals' mean durations, in milliseconds; `None` when nothing was served.
    pub latency_ms: Option<f64>,
    /// The mean duration that only one interval in twenty exceeded, in milliseconds.
    pub latency_high_ms: Option<f64>,
    /// Mean of the intervals' shares of failed requests, 0 to 1; `None` when nothing was served.
    pub errors: Option<f64>,
    /// How far the share that only one interval in twenty exceeded lies above the median.
    pub errors_spread: f64,
    /// Of each two intervals that follow each other the better one: the mean duration that only one in twenty of these exceeded, in
    /// milliseconds. `None` when nothing was served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_lasting_ms: Option<f64>,
    /// The same of shares of failed requests, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors_lasting: Option<f64>,
}

/// One interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelPoint {
    /// Where it begins, Unix nanoseconds.
    pub start: i64,
    /// Its length.
    pub seconds: f64,
    /// Requests per second.
    pub rate: f64,
    /// Mean duration in milliseconds; `None` when nothing was served.
    pub latency_ms: Option<f64>,
    /// Share of requests that failed, 0 to 1; `None` when nothing was served.
    pub errors: Option<f64>,
}

/// What spans say of the calls from one service to one other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallFacts {
    /// The caller.
    pub from: EntityId,
    /// The called: a service, or a peer that sends no telemetry.
    pub to: EntityId,
    /// Whether the called side sends spans.
    pub is_instrumented: bool,
    /// Calls per request of the caller.
    pub per_request: Shift,
    /// Mean duration as the caller sees it.
    pub client_ms: Shift,
    /// Mean duration as the called side sees it.
    pub server_ms: Shift,
    /// The difference: network, queues in the kernel, and waiting for a processor at either end.
    pub gap_ms: Shift,
    /// The same over single calls of whole traces, or of metrics where there are no spans.
    #[serde(default)]
    pub gap: Option<GapFacts>,
    /// Share of calls that fail, 0 to 1.
    pub failed: Shift,
    /// Share of calls that fail without the called side having seen them, 0 to 1.
    pub unanswered: Shift,
    /// Network links between both.
    #[serde(default)]
    pub links: Vec<EntityId>,
    /// The query that shows the caller's side.
    pub query: StoredQuery,
}

/// A signal that metrics tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Share of a host's processors in use, 0 to 1.
    HostCpu,
    /// Seconds per second that processes of a host wait for a processor.
    HostCpuWait,
    /// Share of a host's memory in use, 0 to 1.
    HostMemory,
    /// Share of time in which a host's disk is busy, 0 to 1.
    HostDisk,
    /// Processors in use by a pod.
    PodCpu,
    /// Processors in use by a pod, as a share of its limit, 0 to 1.
    PodCpuLimit,
    /// Memory in use by a pod, as a share of its limit, 0 to 1.
    PodMemoryLimit,
    /// Memory in use by a pod, in bytes.
    PodMemory,
    /// Processors in use by a service's processes, as a share of their host.
    ProcessCpu,
    /// Round-trip time of a link, in seconds.
    LinkDelay,
    /// Packets or connections that a link loses, per second.
    LinkLoss,
    /// Seconds per second that requests wait for locks of a database.
    LockWait,
    /// Restarts of a service per second.
    Restarts,
}

impl Signal {
    /// The signal's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HostCpu => "host-cpu",
            Self::HostCpuWait => "host-cpu-wait",
            Self::HostMemory => "host-memory",
            Self::HostDisk => "host-disk",
            Self::PodCpu => "pod-cpu",
            Self::PodCpuLimit => "pod-cpu-limit",
            Self::PodMemoryLimit => "pod-memory-limit",
            Self::PodMemory => "pod-memory",
            Self::ProcessCpu => "process-cpu",
            Self::LinkDelay => "link-delay",
            Self::LinkLoss => "link-loss",
            Self::LockWait => "lock-wait",
            Self::Restarts => "restarts",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What metrics say of one entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalFact {
    /// The entity.
    pub entity: EntityId,
    /// The signal.
    pub signal: Signal,
    /// How it changed.
    pub shift: Shift,
    /// The query that shows it.
    pub query: StoredQuery,
}

/// What metrics say of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessFact {
    /// Where it runs.
    pub host: EntityId,
    /// Its name.
    pub name: String,
    /// The service that it is of, where the graph knows it.
    #[serde(default)]
    pub service: Option<EntityId>,
    /// Share of the host's processors, 0 to 1.
    pub cpu: Shift,
    /// The query that shows it.
    pub query: StoredQuery,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeFact {
    /// What was changed.
    pub entity: EntityId,
    /// `deployment`, `config` ...
    pub kind: String,
    /// When.
    pub at: i64,
    /// What was done.
    pub what: String,
    /// The query that shows it.
    pub query: StoredQuery,
}

impl Evidence {
    /// The fact of one signal of one entity.
    pub(crate) fn signal(&self, entity: &EntityId, signal: Signal) -> Option<&SignalFact> {
        self.signals.get(entity, signal)
    }

    /// What an entity is; `None` where neither the graph nor its id says so.
    pub(crate) fn kind(&self, id: &EntityId) -> Option<EntityKind> {
        let told = self
            .entities
            .get(id)
            .and_then(|facts| EntityKind::parse(&facts.kind));
        let of_id = || EntityKind::parse(id.0.split(':').next().unwrap_or_default());
        told.or_else(of_id)
    }

    /// Whether an entity is a host or a node.
    pub(crate) fn is_host(&self, id: &EntityId) -> bool {
        matches!(self.kind(id), Some(EntityKind::Host | EntityKind::Node))
    }

    /// When the asker says that it began.
    pub(crate) fn asked_since(&self) -> i64 {
        if self.asked == 0 {
            self.onset
        } else {
            self.asked
        }
    }

    /// What carries a service.
    pub(crate) fn carriers_of(&self, service: &EntityId) -> &[EntityId] {
        self.carriers.get(service).map_or(&[], Vec::as_slice)
    }

    /// The name of an entity to a person.
    pub(crate) fn name(&self, id: &EntityId) -> String {
        self.entities
            .get(id)
            .map_or_else(|| id.0.clone(), |entity| entity.name.clone())
    }
}
