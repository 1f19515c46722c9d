//! One connection: what it has prepared, and where it stands.

use std::{collections::HashMap, sync::Arc, time::Duration};

use demarc_proto::TenantId;
use demarc_query::{Dialect, Frame, Options, QueryError, Reader, Statement, split_statements};
use tokio_util::sync::CancellationToken;

use super::{
    Running,
    command::{Command, Setting},
    error::Fault,
    message::{Message, Outgoing},
    portal::{Portal, Prepared, describe},
    wire::{Gone, Wire},
};
use crate::{app::App, status};

/// What is to be sent waits until it is so much, or until the client waits for it.
const PIECE_BYTES: usize = 64 << 10;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transaction {
    None,
    Open,
    /// Something went wrong in it: nothing is done until it is ended.
    Failed,
}

/// One connection.
pub(super) struct Session {
    app: Arc<App>,
    tenant: TenantId,
    running: Arc<Running>,
    pub(super) wire: Wire,
    pub(super) out: Outgoing,
    transaction: Transaction,
    timeout: Option<Duration>,
    pub(super) statements: HashMap<String, Prepared>,
    pub(super) portals: HashMap<String, Portal>,
}

/// Why work on a message ended early.
pub(super) enum Stop {
    Fault(Fault),
    Gone,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl Session {
    pub(super) fn new(
        app: Arc<App>,
        tenant: TenantId,
        running: Arc<Running>,
        wire: Wire,
        out: Outgoing,
    ) -> Self {
        Self {
            app,
            tenant,
            running,
            wire,
            out,
            transaction: Transaction::None,
            timeout: None,
            statements: HashMap::new(),
            portals: HashMap::new(),
        }
    }

    /// Answers until the client leaves, or the server stops.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> Result<(), Gone> {
        self.ready().await?;
        // After a fault everything up to the next `Sync` is left aside.
        let mut is_skipping = false;
        loop {
            let message = tokio::select! {
                message = self.wire.next() => message?,
                () = stop.cancelled() => Err(Fault::refused("57P01", "the server stops")),
            };
            let done = match message {
                Ok(Message::Terminate) => return Ok(()),
                Ok(Message::Sync) => {
                    is_skipping = false;
                    self.ready().await?;
                    continue;
                }
                Ok(_) if is_skipping => continue,
                Ok(Message::Query(text)) => {
                    let done = self.simple(&text).await;
                    self.settle(done).await?;
                    self.ready().await?;
                    continue;
                }
                Ok(message) => self.extended(message).await,
                Err(fault) => Err(fault.into()),
            };
            is_skipping = self.settle(done).await?;
        }
    }

    /// Tells the client of a fault; whether there was one. A fatal one ends the connection.
    async fn settle(&mut self, done: Result<(), Stop>) -> Result<bool, Gone> {
        match done {
            Ok(()) => Ok(false),
            Err(Stop::Gone) => Err(Gone),
            Err(Stop::Fault(fault)) => {
                self.out.fault(&fault);
                if fault.is_fatal() {
                    self.wire.send(&mut self.out).await?;
                    return Err(Gone);
                }
                if self.transaction == Transaction::Open {
                    self.transaction = Transaction::Failed;
                }
                Ok(true)
            }
        }
    }

    /// Says that the next question may come, after everything else was sent.
    async fn ready(&mut self) -> Result<(), Gone> {
        if self.transaction == Transaction::None {
            self.portals.clear();
        }
        let state = match self.transaction {
            Transaction::None => b'I',
            Transaction::Open => b'T',
            Transaction::Failed => b'E',
        };
        self.out.message(b'Z', |out| out.push(state));
        self.wire.send(&mut self.out).await
    }

    /// A text with any number of statements, without parameters.
    async fn simple(&mut self, text: &str) -> Result<(), Stop> {
        let statements = split_statements(text, Dialect::Postgres);
        if statements.is_empty() {
            self.out.message(b'I', |_| {});
        }
        for text in statements {
            let command = Command::of(&text)?;
            let mut portal = Portal::simple(text, command);
            self.check(&portal.prepared.command)?;
            if portal.prepared.command == Command::Query {
                let frame = self.frame(portal.statement()).await?;
                portal.describe(&frame.schema, &mut self.out);
                portal.ran(frame);
                self.send_rows(&mut portal, usize::MAX).await?;
            } else {
                self.perform(&portal.prepared.command.clone(), Described::No);
            }
        }
        Ok(())
    }

    pub(super) async fn send_rows(
        &mut self,
        portal: &mut Portal,
        max_rows: usize,
    ) -> Result<(), Stop> {
        let mut sent = 0;
        while sent < max_rows
            && let Some(rows) = portal.next(max_rows - sent)?
        {
            for row in 0..rows.count {
                rows.write(&mut self.out, row);
                if self.out.0.len() > PIECE_BYTES {
                    self.wire.send(&mut self.out).await?;
                }
            }
            sent += rows.count;
        }
        if portal.is_done() {
            self.out.complete(&format!("SELECT {sent}"));
        } else {
            self.out.message(b's', |_| {});
        }
        Ok(())
    }

    /// The rows of a statement, unless it is cancelled or nobody waits for them any more.
    pub(super) async fn frame(&mut self, statement: Statement) -> Result<Frame, Stop> {
        let cancelled = self.running.begin();
        let app = Arc::clone(&self.app);
        let reader = reader(&app, &self.tenant, self.timeout)?;
        tokio::select! {
            rows = reader.statement(statement) => rows.map_err(|error| fault(&error).into()),
            () = cancelled.cancelled() => Err(fault(&QueryError::Canceled).into()),
            () = self.wire.gone() => Err(Stop::Gone),
        }
    }

    pub(super) fn reader(&self) -> Result<Reader<'_>, Fault> {
        reader(&self.app, &self.tenant, self.timeout)
    }

    /// Nothing but its end is done in a transaction in which something went wrong.
    pub(super) fn check(&self, command: &Command) -> Result<(), Fault> {
        let is_end = matches!(command, Command::Commit | Command::Rollback);
        if self.transaction == Transaction::Failed && !is_end {
            let sentence = "current transaction is aborted, commands ignored until its end";
            return Err(Fault::of_command("25P02", sentence));
        }
        Ok(())
    }

    /// Does what is no question.
    pub(super) fn perform(&mut self, command: &Command, described: Described) {
        let mut tag = command.tag();
        match command {
            Command::Begin => self.transaction = Transaction::Open,
            Command::Commit | Command::Rollback => {
                if self.transaction == Transaction::Failed {
                    tag = "ROLLBACK";
                }
                self.transaction = Transaction::None;
            }
            Command::Set(Setting::Timeout(timeout)) => self.timeout = *timeout,
            Command::Show(value) => {
                if described == Described::No {
                    describe_setting(&mut self.out);
                }
                self.out.message(b'D', |out| {
                    out.extend_from_slice(&1_i16.to_be_bytes());
                    let len = i32::try_from(value.len()).unwrap_or(0);
                    out.extend_from_slice(&len.to_be_bytes());
                    out.extend_from_slice(value.as_bytes());
                });
            }
            Command::Discard | Command::Deallocate(None) => {
                self.statements.clear();
                self.timeout = None;
            }
            Command::Deallocate(Some(name)) => drop(self.statements.remove(name)),
            Command::Empty => {
                self.out.message(b'I', |_| {});
                return;
            }
            Command::Savepoint(_) | Command::Set(Setting::Other) | Command::Query => {}
        }
        self.out.complete(tag);
    }
}

fn reader<'a>(
    app: &'a App,
    tenant: &TenantId,
    timeout: Option<Duration>,
) -> Result<Reader<'a>, Fault> {
    let options = Options {
        timeout,
        ..Options::default()
    };
    let reader = app.engine.reader(tenant.into(), options);
    reader.map_err(|error| fault(&error))
}

/// Whether the client was told of the columns before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Described {
    Yes,
    No,
}

/// The one column of a setting's value: a text.
pub(super) fn describe_setting(out: &mut Outgoing) {
    use arrow::datatypes::{DataType, Field, Schema};
    let schema = Schema::new(vec![Field::new("setting", DataType::Utf8, false)]);
    describe(&schema, &[], out);
}

pub(super) fn fault(error: &QueryError) -> Fault {
    Fault::of_command(status::sqlstate(error), status::chain(error))
}
