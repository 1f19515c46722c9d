//! Finding out what a table consists of, whatever happened to its log.
//!
//! Three things say it: the Delta log as `deltalake` reads it, the seals of the log's entries, and the journal. Where they agree
//! all is well. Where they do not, the journal and the sealed entries after it are right: the log is put aside and a new one is
//! written, with one entry that holds the whole table. Without a journal the log is believed as long as no seal is broken.

use std::collections::BTreeMap;

use deltalake::kernel::{StructType, engine::arrow_conversion::TryIntoKernel};
use uuid::Uuid;

use super::{
    Effect, TableLog, action, create_dir, definition,
    entry::{self, Seal},
    journal::{self, Found},
    lines, position,
    state::{Change, State},
};
use crate::{
    StoreError, Table,
    quarantine::{Damage, DamageKind},
};

/// Bytes of the log's entries by version.
type Entries = BTreeMap<u64, Vec<u8>>;

impl TableLog {
    /// Reads the log anew and puts right what is wrong with it.
    pub(crate) async fn reload(&mut self) -> Result<(), StoreError> {
        let before = std::mem::take(&mut self.state);
        let reloaded = self.read_anew().await;
        match &reloaded {
            // Snapshots that were made before go on holding their files.
            Ok(()) => self.state.take_leases(&before),
            Err(_) => self.state = before,
        }
        reloaded
    }

    async fn read_anew(&mut self) -> Result<(), StoreError> {
        let entries = entry::read_all(&self.log_dir())?;
        let trusted = self.trusted_state(&entries)?;
        let broken = entries
            .iter()
            .find(|(_, bytes)| entry::check(bytes) == Seal::Broken);
        let logged = match broken {
            Some((version, _)) => Err(format!("entry {version} is damaged")),
            None => self.read_log().await.map_err(|error| describe(&error)),
        };
        match (trusted, logged) {
            (Some(trusted), Ok(Some(logged))) if logged.agrees_with(&trusted) => {
                self.state = trusted;
            }
            (Some(trusted), logged) => {
                let reason = logged
                    .err()
                    .unwrap_or_else(|| "the log does not say what was committed to it".to_owned());
                self.rebuild(trusted, &reason)?;
            }
            (None, Ok(Some(logged))) => self.state = logged,
            (None, Ok(None)) if self.data_files()?.is_empty() => self.create()?,
            (None, Ok(None)) => self.refuse("the log is missing")?,
            (None, Err(reason)) => self.refuse(&reason)?,
        }
        // Also drops what only half of a journal's last record says.
        self.rewrite_journal().await;
        Ok(())
    }

    /// The newest state that the journal and the entries after it hold for sure.
    fn trusted_state(&self, entries: &Entries) -> Result<Option<State>, StoreError> {
        let mut state = match journal::read(&self.dir)? {
            Found::Intact(state) => state,
            Found::Damaged(state) => {
                self.put_journal_aside("a record is damaged")?;
                let Some(state) = state else { return Ok(None) };
                state
            }
            Found::Absent => {
                let has_sealed = |bytes: &Vec<u8>| entry::check(bytes) == Seal::Intact;
                if entries.len() > 1 && entries.values().any(has_sealed) {
                    self.put_journal_aside("missing")?;
                }
                return Ok(None);
            }
        };
        let behind = state.version;
        while let Some(bytes) = entries.get(&(state.version + 1)) {
            if entry::check(bytes) == Seal::Broken {
                break;
            }
            let change = action::change_of(self.table, &self.dir, bytes)?;
            state.apply(state.version + 1, change);
        }
        // A crash between an entry and its record leaves the journal one version behind, never more.
        if state.version > behind + 1 {
            self.put_journal_aside("records at its end are missing")?;
        }
        Ok(Some(state))
    }

    fn put_journal_aside(&self, reason: &str) -> Result<(), StoreError> {
        let damage = Damage::new(DamageKind::Journal, &journal::path(&self.dir), reason);
        self.quarantine
            .put(damage.of_table(self.table).without_loss())
    }

    /// A new log for a new table.
    fn create(&mut self) -> Result<(), StoreError> {
        self.write_first_entry(&State::default())?;
        self.state = State::default();
        Ok(())
    }

    /// A new log in place of a damaged one.
    fn rebuild(&mut self, mut trusted: State, reason: &str) -> Result<(), StoreError> {
        let damage = Damage::new(DamageKind::DeltaLog, &self.log_dir(), reason);
        self.quarantine
            .put(damage.of_table(self.table).without_loss())?;
        self.write_first_entry(&trusted)?;
        trusted.version = 0;
        self.state = trusted;
        tracing::warn!(table = %self.table, "delta log made again from the journal");
        Ok(())
    }

    /// Writes entry 0: what the table is and all that it holds.
    fn write_first_entry(&self, state: &State) -> Result<(), StoreError> {
        create_dir(&self.log_dir())?;
        let now = self.clock.now().to_millis();
        let mut actions = Vec::new();
        for (tenant, file) in state.files.values() {
            actions.push(action::add(
                self.place(tenant),
                file,
                Effect::Arrangement,
                now,
            )?);
        }
        if state.seq > 0 {
            actions.push(position(state.seq, now));
        }
        let mut lines = lines("CREATE TABLE", &actions, now);
        let definition = definition::lines(self.table, Uuid::new_v4(), now)?;
        lines.splice(1..1, definition);
        entry::write(&self.log_dir(), 0, &entry::seal(&lines))
    }

    /// Tells the log of columns that the version which made the table did not have.
    pub(super) async fn add_missing_columns(&mut self) -> Result<(), StoreError> {
        let loaded = self.load().await.map_err(StoreError::delta(self.table))?;
        let snapshot = loaded.snapshot().map_err(StoreError::delta(self.table))?;
        let wanted: StructType = self.table.file_schema().as_ref().try_into_kernel()?;
        let known = snapshot.schema();
        if wanted
            .fields()
            .all(|field| known.field(field.name()).is_some())
        {
            return Ok(());
        }
        let metadata = serde_json::to_value(snapshot.metadata()).unwrap_or_default();
        let id = metadata["id"].as_str().and_then(|id| id.parse().ok());
        let now = self.clock.now().to_millis();
        let [_, definition] = definition::lines(self.table, id.unwrap_or_else(Uuid::new_v4), now)?;
        let mut lines = lines("ADD COLUMNS", &[], now);
        lines.push(definition);
        let version = self.state.version + 1;
        entry::write(&self.log_dir(), version, &entry::seal(&lines))?;
        let change = Change {
            seq: self.state.seq,
            ..Change::default()
        };
        self.note(version, change).await;
        Ok(())
    }

    fn refuse(&self, reason: &str) -> Result<(), StoreError> {
        Err(bad(self.table, reason))
    }
}

fn bad(table: Table, reason: &str) -> StoreError {
    StoreError::Log {
        table,
        reason: reason.to_owned(),
    }
}

fn describe(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
