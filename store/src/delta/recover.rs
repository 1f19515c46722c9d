//! Finding out what a table consists of, whatever happened to its log.
//!
//! Three things say it: the Delta log as `deltalake` reads it, the seals of the log's entries, and the journal. Where they agree
//! all is well. Where they do not, the journal and the sealed entries after it are right: the log is put aside and a new one is
//! written, with one entry that holds the whole table. Without a journal the log is believed as long as no seal is broken.

use std::collections::BTreeMap;

use deltalake::kernel::{StructType, engine::arrow_conversion::TryIntoKernel};
use uuid::Uuid;

use super::{
    Effect, OnDisk, TableLog, action, blocking, create_dir, definition,
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
        let disk = self.disk.clone();
        let (trusted, broken) = blocking(move || disk.look()).await?;
        let logged = match broken {
            Some(version) => Err(format!("entry {version} is damaged")),
            None => self.read_log().await.map_err(|error| describe(&error)),
        };
        let disk = self.disk.clone();
        self.state = blocking(move || disk.settle(trusted, logged)).await?;
        // Also drops what only half of a journal's last record says.
        self.rewrite_journal().await;
        Ok(())
    }

    /// Tells the log of columns that the version which made the table did not have.
    pub(super) async fn add_missing_columns(&mut self) -> Result<(), StoreError> {
        let loaded = self
            .load()
            .await
            .map_err(StoreError::delta(self.disk.table))?;
        let snapshot = loaded
            .snapshot()
            .map_err(StoreError::delta(self.disk.table))?;
        let wanted: StructType = self.disk.table.file_schema().as_ref().try_into_kernel()?;
        let known = snapshot.schema();
        if wanted
            .fields()
            .all(|field| known.field(field.name()).is_some())
        {
            return Ok(());
        }
        let metadata = serde_json::to_value(snapshot.metadata()).unwrap_or_default();
        let id = metadata["id"].as_str().and_then(|id| id.parse().ok());
        let now = self.disk.clock.now().to_millis();
        let [_, definition] =
            definition::lines(self.disk.table, id.unwrap_or_else(Uuid::new_v4), now)?;
        let mut lines = lines("ADD COLUMNS", &[], now);
        lines.push(definition);
        let version = self.state.version + 1;
        entry::write(&self.disk.log_dir(), version, &entry::seal(&lines))?;
        let change = Change {
            seq: self.state.seq,
            ..Change::default()
        };
        self.note(version, change).await;
        Ok(())
    }
}

impl OnDisk {
    /// The newest state that is known for sure, and the version of an entry that is damaged.
    fn look(&self) -> Result<(Option<State>, Option<u64>), StoreError> {
        let entries = entry::read_all(&self.log_dir())?;
        let trusted = self.trusted_state(&entries)?;
        let is_broken = |bytes: &Vec<u8>| entry::check(bytes) == Seal::Broken;
        let mut versions = entries.iter();
        let broken = versions.find_map(|(version, bytes)| is_broken(bytes).then_some(*version));
        Ok((trusted, broken))
    }

    /// The state of the table, given what is known for sure and what the log says; writes a new log where it says otherwise.
    fn settle(
        &self,
        trusted: Option<State>,
        logged: Result<Option<State>, String>,
    ) -> Result<State, StoreError> {
        match (trusted, logged) {
            (Some(trusted), Ok(Some(logged))) if logged.agrees_with(&trusted) => Ok(trusted),
            (Some(trusted), logged) => {
                let reason = logged
                    .err()
                    .unwrap_or_else(|| "the log does not say what was committed to it".to_owned());
                self.rebuild(trusted, &reason)
            }
            (None, Ok(Some(logged))) => Ok(logged),
            (None, Ok(None)) if self.data_files()?.is_empty() => self.create(),
            (None, Ok(None)) => Err(bad(self.table, "the log is missing")),
            (None, Err(reason)) => Err(bad(self.table, &reason)),
        }
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
    fn create(&self) -> Result<State, StoreError> {
        self.write_first_entry(&State::default())?;
        Ok(State::default())
    }

    /// A new log in place of a damaged one.
    fn rebuild(&self, mut trusted: State, reason: &str) -> Result<State, StoreError> {
        let damage = Damage::new(DamageKind::DeltaLog, &self.log_dir(), reason);
        self.quarantine
            .put(damage.of_table(self.table).without_loss())?;
        self.write_first_entry(&trusted)?;
        trusted.version = 0;
        tracing::warn!(table = %self.table, "delta log made again from the journal");
        Ok(trusted)
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
