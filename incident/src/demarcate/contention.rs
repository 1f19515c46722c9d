//! Whether the processor of a host is fought for, and by whom.

use demarc_proto::EntityId;

use crate::{Evidence, ProcessFact, Signal, SignalFact};

/// Share of a host's processors from which on its processes wait for each other.
///
/// Source: Gregg, "Systems Performance" (2nd ed.), 2.6.5: queueing dominates well below full utilisation.
const SATURATED: f64 = 0.8;
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
        if during < SATURATED || !cpu.shift.rose_by(0.1) {
            return None;
        }
        let fullness = ((during - SATURATED) / (1.0 - SATURATED)).clamp(0.0, 1.0);
        Some(Contention {
            host,
            cpu,
            hog: hog(evidence, host),
            strength: 0.75 + 0.2 * fullness,
        })
    })
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
