//! SQL over PostgreSQL's protocol: what `POST /api/v1/sql` answers, for psql, drivers and Grafana's PostgreSQL data source.
//!
//! `wire` (bytes) -> `message` -> `session` (statements, portals, transactions) -> the engine -> `value` (rows)
//!
//! The database names the tenant, else the user does. Spoken here rather than by a library: a query must be refused before it is
//! buffered, and what a connection may hold must be bounded.
//!
//! Source: PostgreSQL, "Frontend/Backend Protocol", version 3.0.

mod command;
mod error;
mod extended;
mod message;
mod numeric;
mod parameter;
mod portal;
mod session;
mod text;
mod value;
mod wire;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use demarc_proto::TenantId;
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::{
    error::Fault,
    message::{Outgoing, Startup, text},
    session::Session,
    wire::{Gone, Wire},
};
use crate::{app::App, connection::Terms};

/// How long open queries may take to finish once the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// Serves connections until `stop`, then until the last answer.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    terms: Terms,
) -> anyhow::Result<()> {
    let stop = terms.stop.clone();
    let socket = Arc::new(Socket {
        app,
        terms,
        next: AtomicI32::new(1),
        open: Mutex::default(),
    });
    let mut tasks = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) if tasks.len() < socket.terms.patience.max_connections => {
                let socket = Arc::clone(&socket);
                // A client that breaks off is no concern of ours.
                tasks.spawn(async move { socket.talk(stream).await.unwrap_or(()) });
            }
            Ok(_) => warn!("connection was refused: there are max_connections"),
            Err(error) => {
                // Out of file descriptors, most likely.
                warn!(%error, "connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while tasks.try_join_next().is_some() {}
    }
    let last = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_ANSWERS, last).await;
    Ok(())
}

struct Socket {
    app: Arc<App>,
    terms: Terms,
    next: AtomicI32,
    open: Mutex<HashMap<i32, Arc<Running>>>,
}

/// What another connection needs to know to end a query of this one.
#[derive(Debug)]
struct Running {
    secret: i32,
    /// Cancelled to end the query that runs; a new one for each query.
    query: Mutex<CancellationToken>,
}

impl Running {
    fn new() -> Self {
        // The last bytes of such an id are random.
        let random = uuid::Uuid::now_v7().into_bytes();
        Self {
            secret: i32::from_be_bytes([random[12], random[13], random[14], random[15]]),
            query: Mutex::default(),
        }
    }

    /// Begins a query that can be cancelled.
    fn begin(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *self.query.lock() = token.clone();
        token
    }
}

/// Whose data is asked for: the database's name, else the user's.
fn tenant(parameters: &[(String, String)]) -> Result<TenantId, Fault> {
    let named = |key: &str| {
        let found = parameters
            .iter()
            .find(|(name, value)| name == key && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    let user = named("user").ok_or_else(|| Fault::refused("28000", "no user is named"))?;
    TenantId::new(named("database").unwrap_or(user)).map_err(|error| {
        Fault::refused(
            "3D000",
            format!("database, which names the tenant: {error}"),
        )
    })
}

impl Socket {
    async fn talk(&self, stream: TcpStream) -> Result<(), Gone> {
        // Small answers must not wait for more; where it cannot be set they only come later.
        let _ = stream.set_nodelay(true);
        let patience = &self.terms.patience;
        // Newer clients may begin with the handshake.
        let stream = self.terms.tls.greeted(stream, patience.head()).await;
        let mut wire = Wire::new(stream.ok_or(Gone)?, patience.clone());
        // TLS and GSSAPI may each be asked for once.
        for _ in 0..3 {
            match wire.startup().await? {
                Ok(Startup::Tls) if self.terms.tls.is_on() => {
                    wire.send(&mut Outgoing(vec![b'S'])).await?;
                    wire = wire.encrypted(&self.terms.tls).await?;
                }
                Ok(Startup::Tls | Startup::Gssapi) => {
                    wire.send(&mut Outgoing(vec![b'N'])).await?;
                }
                Ok(Startup::Cancel { process, secret }) => {
                    self.cancel(process, secret);
                    return Ok(());
                }
                Ok(Startup::Session { minor, parameters }) => {
                    return self.session(wire, minor, &parameters).await;
                }
                Err(fault) => return refuse(&mut wire, &fault).await,
            }
        }
        Ok(())
    }

    async fn session(
        &self,
        mut wire: Wire,
        minor: i32,
        parameters: &[(String, String)],
    ) -> Result<(), Gone> {
        let tenant = match tenant(parameters) {
            Ok(tenant) => tenant,
            Err(fault) => return refuse(&mut wire, &fault).await,
        };
        let process = self.next.fetch_add(1, Ordering::Relaxed);
        let running = Arc::new(Running::new());
        self.open.lock().insert(process, Arc::clone(&running));
        let mut out = Outgoing::default();
        greet(&mut out, minor, parameters, (process, running.secret));
        let mut session = Session::new(Arc::clone(&self.app), tenant, running, wire, out);
        let ended = session.run(&self.terms.stop).await;
        self.open.lock().remove(&process);
        ended
    }

    fn cancel(&self, process: i32, secret: i32) {
        let open = self.open.lock();
        if let Some(running) = open.get(&process).filter(|one| one.secret == secret) {
            running.query.lock().cancel();
        }
    }
}

async fn refuse(wire: &mut Wire, fault: &Fault) -> Result<(), Gone> {
    let mut out = Outgoing::default();
    out.fault(fault);
    wire.send(&mut out).await
}

/// What a client is told before it may ask.
fn greet(
    out: &mut Outgoing,
    minor: i32,
    parameters: &[(String, String)],
    (process, secret): (i32, i32),
) {
    let unknown = parameters.iter().map(|(name, _)| name);
    let unknown: Vec<&String> = unknown.filter(|name| name.starts_with("_pq_.")).collect();
    if minor > 0 || !unknown.is_empty() {
        out.message(b'v', |out| {
            out.extend_from_slice(&0_i32.to_be_bytes());
            let count = i32::try_from(unknown.len()).unwrap_or(i32::MAX);
            out.extend_from_slice(&count.to_be_bytes());
            unknown.iter().for_each(|name| text(out, name));
        });
    }
    // No password is asked for, and so any is right: a proxy decides who may name which tenant, as for every other socket.
    out.message(b'R', |out| out.extend_from_slice(&0_i32.to_be_bytes()));
    for (name, value) in command::REPORTED {
        out.parameter(name, value);
    }
    out.message(b'K', |out| {
        out.extend_from_slice(&process.to_be_bytes());
        out.extend_from_slice(&secret.to_be_bytes());
    });
}
