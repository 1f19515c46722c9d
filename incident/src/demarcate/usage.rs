//! Whether the resources of an entity are used up, measured at the entity itself.

use demarc_proto::EntityId;

use super::{
    parameters::{CPU_PRESSURE, MEMORY_HALF, MEMORY_PRESSURE, MIN_BEFORE, USAGE_NOISE},
    proportion::ramp,
};
use crate::{Evidence, Shift, Signal};

/// How far an entity's own resources are used up, each 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    pub(crate) cpu: f64,
    pub(crate) memory: f64,
    /// A processor that is busier than usual, saturated or not.
    pub(crate) activity: f64,
}

impl Usage {
    /// The stronger of processor and memory.
    pub(crate) fn compute(&self) -> f64 {
        self.cpu.max(self.memory)
    }

    /// The same usage, believed so far.
    pub(crate) fn scaled(self, by: f64) -> Self {
        Self {
            cpu: self.cpu * by,
            memory: self.memory * by,
            activity: self.activity,
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.max(other.cpu),
            memory: self.memory.max(other.memory),
            activity: self.activity.max(other.activity),
        }
    }
}

/// The usage of a host, or of the pods of a service: of the pod that is worst off.
pub(crate) fn usage(evidence: &Evidence, entity: &EntityId) -> Usage {
    let pods = evidence.carriers_of(entity).iter();
    let pods = pods.filter(|carrier| carrier.0.starts_with("pod:"));
    let of_pods = pods.map(|pod| of(evidence, pod, Signal::PodCpuLimit, Signal::PodMemoryLimit));
    let own = of(evidence, entity, Signal::HostCpu, Signal::HostMemory);
    of_pods.fold(own, Usage::max)
}

fn of(evidence: &Evidence, entity: &EntityId, cpu: Signal, memory: Signal) -> Usage {
    let percent = |signal: Signal| {
        let fact = evidence.signal(entity, signal)?;
        Percent::of(&fact.shift)
    };
    let cpu = percent(cpu);
    Usage {
        cpu: cpu.map_or(0.0, |percent| percent.cpu()),
        memory: percent(memory).map_or(0.0, |percent| percent.memory()),
        activity: cpu.map_or(0.0, |percent| percent.activity()),
    }
}

/// A share of a limit in percent.
#[derive(Clone, Copy, Debug)]
struct Percent {
    usual: f64,
    usual_high: f64,
    now: f64,
}

impl Percent {
    fn of(shift: &Shift) -> Option<Self> {
        if f64::from(shift.before_count) < MIN_BEFORE {
            return None;
        }
        Some(Self {
            usual: 100.0 * shift.before?,
            usual_high: 100.0 * shift.before_high?,
            now: 100.0 * shift.during_high?,
        })
    }

    /// A rise against the usual spread: bounded, and slow to believe where the usual varies.
    fn effect(self, rise: f64) -> f64 {
        if rise <= 0.0 {
            return 0.0;
        }
        rise / (rise + USAGE_NOISE + 0.5 * (self.usual_high - self.usual))
    }

    fn cpu(self) -> f64 {
        self.effect(self.now - self.usual_high - USAGE_NOISE) * ramp(self.now, CPU_PRESSURE)
    }

    fn activity(self) -> f64 {
        self.effect(self.now - self.usual_high)
    }

    fn memory(self) -> f64 {
        let rise = self.now - self.usual_high - USAGE_NOISE;
        if rise <= 0.0 {
            return 0.0;
        }
        rise / (rise + MEMORY_HALF) * ramp(self.now, MEMORY_PRESSURE)
    }
}
