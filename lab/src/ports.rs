//! Free ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A free port on the loopback interface. It stays free unless somebody else takes it before its user does.
pub(crate) fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
