//! Merging the small files of one tenant, table and day into one. Writers and readers go on meanwhile: the merged file takes the
//! place of the others in one commit.

use std::path::Path;

use demarc_proto::TenantId;

use super::{
    Maintenance,
    merge::{Batches, Merge},
    plan::{self, Rules},
};
use crate::{
    DataFile, StoreError, Table,
    data_file::{self, Place},
    day::Day,
    delta::{Edit, Files},
    metric,
};

/// Rows of a batch while files are merged: small, because there is one for each file.
const READ_ROWS: usize = 2048;

/// Files of one tenant, table and day.
struct Job {
    table: Table,
    tenant: TenantId,
    inputs: Vec<DataFile>,
}

impl Maintenance {
    /// Merges files until there is nothing to merge.
    pub(super) async fn compact(&self) -> Result<(), StoreError> {
        for table in Table::ALL {
            while let Some(job) = self.next_job(table).await {
                let is_progress = self.merge_files(job).await?;
                if !is_progress {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn next_job(&self, table: Table) -> Option<Job> {
        let rules = Rules {
            target_bytes: self.config.compact_target_bytes,
            min_files: self.config.compact_min_files,
        };
        let today = Day::of_millis(self.clock.now().to_millis()).date();
        let mut files = self.flusher.lock().await.log(table).files();
        files.sort_by(|(a, _), (b, _)| a.cmp(b));
        for of_tenant in files.chunk_by(|(a, _), (b, _)| a == b) {
            let tenant = of_tenant[0].0.clone();
            let listed: Vec<DataFile> = of_tenant.iter().map(|(_, file)| file.clone()).collect();
            if let Some(inputs) = plan::next(&listed, &today, rules) {
                return Some(Job {
                    table,
                    tenant,
                    inputs,
                });
            }
        }
        None
    }

    /// Returns whether the table's files are others now.
    async fn merge_files(&self, job: Job) -> Result<bool, StoreError> {
        let (table, tenant) = (job.table, job.tenant.clone());
        let dir = self.flusher.lock().await.log(table).dir().to_owned();
        let integrity = self.integrity.clone();
        let merge = move || {
            let count = job.inputs.len();
            let intact = integrity.intact(table, &job.tenant, job.inputs.clone());
            // Damaged ones are put aside before the next round.
            let merged = match intact.len() == count {
                true => Some(merge(&dir, &job)?),
                false => None,
            };
            Ok::<_, StoreError>((job.inputs, merged))
        };
        let merged = tokio::task::spawn_blocking(merge).await;
        let (inputs, merged) = merged.map_err(StoreError::task)??;
        let Some(merged) = merged else {
            return Ok(false);
        };
        let with_tenant = |file: DataFile| (tenant.clone(), file);
        let add: Files = vec![with_tenant(merged)];
        let remove: Files = inputs.into_iter().map(with_tenant).collect();
        self.replace(table, &add, &remove).await
    }

    async fn replace(&self, table: Table, add: &Files, remove: &Files) -> Result<bool, StoreError> {
        let mut flusher = self.flusher.lock().await;
        if !flusher.log(table).has_all(remove) {
            // Expired or deleted meanwhile.
            data_file::delete_uncommitted(add);
            return Ok(false);
        }
        flusher.edit(table, Edit::Compact { add, remove }).await?;
        metric::COMPACTED_FILES.add(remove.len() as u64, &[]);
        Ok(true)
    }
}

fn merge(dir: &Path, job: &Job) -> Result<DataFile, StoreError> {
    let mut rows = 0;
    let mut sources: Vec<Batches> = Vec::new();
    for input in &job.inputs {
        rows += input.rows;
        let batches = data_file::batches(job.table, &input.path, READ_ROWS)?;
        sources.push(Box::new(batches));
    }
    let place = Place {
        table: job.table,
        dir,
        tenant: &job.tenant,
    };
    let merged = Merge::new(job.table, sources)?;
    data_file::write_merged(place, &job.inputs[0].date, rows, merged)
}
