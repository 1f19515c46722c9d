//! Free ports.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::bail;

/// Ports below those that the kernel gives to outgoing connections, which would take a port before its listener does.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// A free port on the loopback interface, never the same one twice.
pub(crate) fn free() -> anyhow::Result<SocketAddr> {
    // Two labs on one machine begin at different places.
    let seed = u16::try_from(std::process::id() % 97).unwrap_or_default() * 120;
    for _ in 0..COUNT {
        let at = seed.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + at));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port from {FIRST} to {}", FIRST + COUNT - 1)
}
