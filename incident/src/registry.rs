//! Keeps incidents, and the evidence of each verdict, in SQLite.

use std::path::Path;

use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{Evidence, Incident, IncidentError, IncidentState};

/// All incidents, open and past.
#[derive(Clone, Debug)]
pub struct Registry {
    pool: SqlitePool,
}

const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS incidents (
        id TEXT PRIMARY KEY, opened_at INTEGER NOT NULL, is_open INTEGER NOT NULL, document TEXT NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS evidence (
        incident TEXT NOT NULL, version INTEGER NOT NULL, document TEXT NOT NULL, PRIMARY KEY (incident, version)
    ) STRICT",
];

impl Registry {
    /// Opens the file, or makes it.
    pub async fn open(path: &Path) -> Result<Self, IncidentError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await?;
        for statement in SCHEMA {
            sqlx::query(statement).execute(&pool).await?;
        }
        Ok(Self { pool })
    }

    /// Writes an incident over the version that is there.
    pub async fn save(&self, incident: &Incident) -> Result<(), IncidentError> {
        sqlx::query(
            "INSERT INTO incidents (id, opened_at, is_open, document) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET is_open = ?3, document = ?4",
        )
        .bind(&incident.id)
        .bind(incident.opened_at)
        .bind(i64::from(incident.state == IncidentState::Open))
        .bind(serde_json::to_string(incident)?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// One incident; `None` when there is none of that id.
    pub async fn get(&self, id: &str) -> Result<Option<Incident>, IncidentError> {
        let row = sqlx::query("SELECT document FROM incidents WHERE id = ?1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Ok(serde_json::from_str(row.try_get::<&str, _>(0)?)?))
            .transpose()
    }

    /// The newest `limit` incidents, the newest first.
    pub async fn list(&self, limit: u32) -> Result<Vec<Incident>, IncidentError> {
        self.select(
            "SELECT document FROM incidents ORDER BY opened_at DESC LIMIT ?1",
            limit,
        )
        .await
    }

    /// Open incidents, the newest first.
    pub async fn open_ones(&self) -> Result<Vec<Incident>, IncidentError> {
        let text =
            "SELECT document FROM incidents WHERE is_open = 1 ORDER BY opened_at DESC LIMIT ?1";
        self.select(text, u32::MAX).await
    }

    async fn select(&self, text: &'static str, limit: u32) -> Result<Vec<Incident>, IncidentError> {
        let rows = sqlx::query(text)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        let read =
            |row: &sqlx::sqlite::SqliteRow| Ok(serde_json::from_str(row.try_get::<&str, _>(0)?)?);
        rows.iter().map(read).collect()
    }

    /// Keeps the evidence of one version of a verdict, counted from 1.
    pub async fn save_evidence(
        &self,
        incident: &str,
        version: usize,
        evidence: &Evidence,
    ) -> Result<(), IncidentError> {
        sqlx::query(
            "INSERT OR REPLACE INTO evidence (incident, version, document) VALUES (?1, ?2, ?3)",
        )
        .bind(incident)
        .bind(i64::try_from(version).unwrap_or(i64::MAX))
        .bind(serde_json::to_string(evidence)?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The evidence of one version of a verdict.
    pub async fn evidence(
        &self,
        incident: &str,
        version: usize,
    ) -> Result<Option<Evidence>, IncidentError> {
        let row = sqlx::query("SELECT document FROM evidence WHERE incident = ?1 AND version = ?2")
            .bind(incident)
            .bind(i64::try_from(version).unwrap_or(i64::MAX))
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Ok(serde_json::from_str(row.try_get::<&str, _>(0)?)?))
            .transpose()
    }
}
