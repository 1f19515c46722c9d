//! Whether the processor of a host is fought for, and by whom.

use demarc_proto::EntityId;

use crate::{Evidence, ProcessFact, Signal, SignalFact};

/// Share of a host's processors from which on its processes wait for each other.
///
/// Source: Gregg, "Systems Performance" (2nd ed.), 2.6.5: queueing dominates well below full utilisation.
const SATURATED: f64 = 0.8;
/// Rise in the seconds per second that processes wait for a turn which shows the same, also where use is averaged over calmer times.
/// Source: Linux, "PSI - Pressure Stall Information": what waits has no processor.
const WAITING: f64 = 0.5;
/// Rise in a process' share of the host that makes it a suspect.
const HOG_RISE: f64 = 0.15;

/// A host whose processor is fought for.
pub(crate) struct Contention<'a> {
    pub(crate) host: &'a EntityId,
    pub(crate) cpu: &'a SignalFact,
    /// The process whose use rose most.
    pub(crate) hog: Option<&'a ProcessFact>,
    /// 0 to 1.
    pub(crate) strength: f64,
}

/// The contention on what carries a service; `None` where there is none, or no metrics tell of it.
pub(crate) fn of<'a>(evidence: &'a Evidence, service: &EntityId) -> Option<Contention<'a>> {
    let carriers = evidence.carriers.get(service)?;
    carriers.iter().find_map(|host| {
        let cpu = evidence.signal(host, Signal::HostCpu)?;
        let during = cpu.shift.during?;
        let hog = hog(evidence, host);
        // A processor that was full before as well has nowhere to rise to: who takes more of it now tells.
        let is_fought_for = cpu.shift.rose_by(0.1) || hog.is_some();
        let is_waited_for = is_waited_for(evidence, host);
        if !(is_waited_for || during >= SATURATED) || !is_fought_for {
            return None;
        }
        let fullness = if is_waited_for {
            1.0
        } else {
            ((during - SATURATED) / (1.0 - SATURATED)).clamp(0.0, 1.0)
        };
        Some(Contention {
            host,
            cpu,
            hog,
            strength: 0.75 + 0.2 * fullness,
        })
    })
}

/// Whether a processor under a service is full, whoever filled it and since whenever.
pub(crate) fn is_full(evidence: &Evidence, service: &EntityId) -> bool {
    let is_used_up = |host| {
        let cpu = evidence.signal(host, Signal::HostCpu);
        cpu.and_then(|cpu| cpu.shift.during)
            .is_some_and(|during| during >= SATURATED)
    };
    let mut carriers = evidence.carriers_of(service).iter();
    carriers.any(|host| is_used_up(host) || is_waited_for(evidence, host))
}

/// Whether processes of a host wait for a processor as they did not before.
fn is_waited_for(evidence: &Evidence, host: &EntityId) -> bool {
    let wait = evidence.signal(host, Signal::HostCpuWait);
    wait.is_some_and(|wait| wait.shift.rose_by(WAITING))
}

fn hog<'a>(evidence: &'a Evidence, host: &EntityId) -> Option<&'a ProcessFact> {
    let processes = evidence
        .processes
        .iter()
        .filter(|process| process.host == *host);
    let rising = processes.filter(|process| process.cpu.rose_by(HOG_RISE));
    rising.max_by(|a, b| {
        a.cpu
            .delta()
            .total_cmp(&b.cpu.delta())
            .then_with(|| b.name.cmp(&a.name))
    })
}
