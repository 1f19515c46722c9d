//! Why: a closed vocabulary of state changes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Bilingual;

/// A state change that can begin a disturbance. A degraded metric is a symptom, never one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A new version was rolled out.
    Deployment,
    /// Configuration was changed.
    ConfigChange,
    /// More requests came than before.
    TrafficRise,
    /// The processor is used up by whoever suffers.
    CpuSaturation,
    /// Memory is used up.
    MemorySaturation,
    /// The disk is full.
    DiskSaturation,
    /// The disk is busy.
    IoSaturation,
    /// Another tenant of the same host uses it up.
    NoisyNeighbour,
    /// Requests wait for a lock that others hold.
    LockContention,
    /// Packets or connections are lost.
    NetworkLoss,
    /// Packets take longer than before.
    NetworkDelay,
    /// Something that is called, and that sends no telemetry, is slow or does not answer.
    DependencyDown,
    /// A process ends again and again.
    Crash,
    /// The code fails or is slow without anything around it having changed.
    CodeError,
    /// Something changed here, and nothing says what.
    Unknown,
}

impl Cause {
    /// The cause's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::ConfigChange => "config-change",
            Self::TrafficRise => "traffic-rise",
            Self::CpuSaturation => "cpu-saturation",
            Self::MemorySaturation => "memory-saturation",
            Self::DiskSaturation => "disk-saturation",
            Self::IoSaturation => "io-saturation",
            Self::NoisyNeighbour => "noisy-neighbour",
            Self::LockContention => "lock-contention",
            Self::NetworkLoss => "network-loss",
            Self::NetworkDelay => "network-delay",
            Self::DependencyDown => "dependency-down",
            Self::Crash => "crash",
            Self::CodeError => "code-error",
            Self::Unknown => "unknown",
        }
    }

    /// The cause in words for people.
    pub fn words(self) -> Bilingual {
        let (zh, en) = match self {
            Self::Deployment => ("新版本上线", "deployment of a new version"),
            Self::ConfigChange => ("配置变更", "configuration change"),
            Self::TrafficRise => ("流量上升", "rise in traffic"),
            Self::CpuSaturation => ("CPU 饱和", "CPU saturation"),
            Self::MemorySaturation => ("内存饱和", "memory saturation"),
            Self::DiskSaturation => ("磁盘空间耗尽", "disk full"),
            Self::IoSaturation => ("磁盘 I/O 饱和", "I/O saturation"),
            Self::NoisyNeighbour => ("同主机其他租户抢占资源", "noisy neighbour on the same host"),
            Self::LockContention => ("锁竞争", "lock contention"),
            Self::NetworkLoss => ("网络丢包或断连", "network loss"),
            Self::NetworkDelay => ("网络时延", "network delay"),
            Self::DependencyDown => ("外部依赖缓慢或不可用", "dependency slow or down"),
            Self::Crash => ("进程反复崩溃", "process crashes"),
            Self::CodeError => ("应用代码错误", "error in code"),
            Self::Unknown => ("原因未明", "unknown"),
        };
        Bilingual::new(zh, en)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
