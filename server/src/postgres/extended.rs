//! The extended query: statements are prepared, bound to parameters, described and run one message at a time.
//!
//! Source: PostgreSQL, "Frontend/Backend Protocol": "Extended Query".

use demarc_query::Dialect;

use super::{
    command::Command,
    error::Fault,
    message::Message,
    parameter::Expected,
    portal::{Portal, Prepared, describe},
    session::{Described, Session, Stop, describe_setting, fault},
};

/// Most prepared statements of a connection.
const MAX_STATEMENTS: usize = 256;
/// Most bytes of their texts.
const MAX_STATEMENT_BYTES: usize = 1 << 20;
/// Most portals of a connection: each holds its parameters.
const MAX_PORTALS: usize = 8;
impl Session {
    pub(super) async fn extended(&mut self, message: Message) -> Result<(), Stop> {
        match message {
            Message::Parse { name, text, types } => self.parse(name, text, &types).await?,
            Message::Bind {
                portal,
                statement,
                formats,
                values,
                results,
            } => {
                let prepared = self.prepared(&statement)?.clone();
                let bound = Portal::new(prepared, &formats, &values, results)?;
                self.portals.remove(&portal);
                check_room("portals", self.portals.len() + 1, MAX_PORTALS)?;
                self.portals.insert(portal, bound);
                self.out.message(b'2', |_| {});
            }
            Message::DescribeStatement(name) => self.describe_statement(&name)?,
            Message::DescribePortal(name) => self.describe_portal(&name)?,
            Message::Execute { portal, max_rows } => self.execute(&portal, max_rows).await?,
            Message::CloseStatement(name) => {
                self.statements.remove(&name);
                self.out.message(b'3', |_| {});
            }
            Message::ClosePortal(name) => {
                self.portals.remove(&name);
                self.out.message(b'3', |_| {});
            }
            Message::Flush => self.wire.send(&mut self.out).await?,
            Message::Query(_) | Message::Sync | Message::Terminate => {}
        }
        Ok(())
    }

    async fn parse(&mut self, name: String, text: String, types: &[u32]) -> Result<(), Stop> {
        let command = Command::of(&text)?;
        self.check(&command)?;
        let (mut parameters, mut schema) = (Vec::new(), None);
        if command == Command::Query {
            let named = types.iter().map(|number| Expected::named(*number));
            let kinds = named.map(|expected| expected.kind()).collect();
            let reader = self.reader()?;
            let described = reader.describe(&text, Dialect::Postgres, kinds).await;
            let described = described.map_err(|error| fault(&error))?;
            let inferred = described.parameters.into_iter();
            parameters.extend(inferred.enumerate().map(|(at, inferred)| Expected {
                number: types.get(at).copied().unwrap_or(0),
                inferred,
            }));
            schema = Some(described.schema);
        }
        let prepared = Prepared {
            command,
            text,
            parameters,
            schema,
        };
        self.statements.insert(name.clone(), prepared);
        let bytes = self.statements.values().map(|one| one.text.len()).sum();
        let room = check_room("prepared statements", self.statements.len(), MAX_STATEMENTS);
        let room = room.and(check_room(
            "bytes of statements",
            bytes,
            MAX_STATEMENT_BYTES,
        ));
        if let Err(fault) = room {
            self.statements.remove(&name);
            return Err(fault.into());
        }
        self.out.message(b'1', |_| {});
        Ok(())
    }

    fn prepared(&self, name: &str) -> Result<&Prepared, Fault> {
        let missing = || {
            let sentence = format!("prepared statement {name:?} does not exist");
            Fault::of_command("26000", sentence)
        };
        self.statements.get(name).ok_or_else(missing)
    }

    fn describe_statement(&mut self, name: &str) -> Result<(), Fault> {
        let prepared = self.prepared(name)?.clone();
        self.out.message(b't', |out| {
            let count = u16::try_from(prepared.parameters.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&count.to_be_bytes());
            for one in &prepared.parameters {
                out.extend_from_slice(&one.shown().to_be_bytes());
            }
        });
        match (&prepared.schema, &prepared.command) {
            (Some(schema), _) => describe(schema, &[], &mut self.out),
            (None, Command::Show(_)) => describe_setting(&mut self.out),
            (None, _) => self.out.message(b'n', |_| {}),
        }
        Ok(())
    }

    fn describe_portal(&mut self, name: &str) -> Result<(), Fault> {
        let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
        match (&portal.prepared.schema, &portal.prepared.command) {
            (Some(schema), _) => portal.describe(schema, &mut self.out),
            (None, Command::Show(_)) => describe_setting(&mut self.out),
            (None, _) => self.out.message(b'n', |_| {}),
        }
        Ok(())
    }

    async fn execute(&mut self, name: &str, max_rows: usize) -> Result<(), Stop> {
        let portal = self.portals.remove(name);
        let mut portal = portal.ok_or_else(|| no_portal(name))?;
        self.check(&portal.prepared.command)?;
        if portal.prepared.command != Command::Query {
            self.perform(&portal.prepared.command.clone(), Described::Yes);
            return Ok(());
        }
        if portal.rest.is_none() {
            if self.portals.values().any(|other| !other.is_done()) {
                let sentence = "another portal has rows left: fetch or close it first";
                return Err(Fault::of_command("53400", sentence).into());
            }
            let frame = self.frame(portal.statement()).await?;
            portal.ran(frame);
        }
        let max_rows = if max_rows == 0 { usize::MAX } else { max_rows };
        self.send_rows(&mut portal, max_rows).await?;
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }
}

fn no_portal(name: &str) -> Fault {
    Fault::of_command("34000", format!("portal {name:?} does not exist"))
}

fn check_room(what: &str, count: usize, limit: usize) -> Result<(), Fault> {
    if count <= limit {
        return Ok(());
    }
    let sentence = format!("{count} {what}: must be at most {limit}");
    Err(Fault::of_command("53400", sentence))
}
