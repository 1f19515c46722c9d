//! Merging the small files of one tenant, table and day into one. Writers and readers go on meanwhile: the merged file takes the
//! place of the others in one commit.

use std::{collections::BTreeSet, path::Path};

use demarc_proto::TenantId;

use super::{
    Maintenance,
    merge::{Batches, Merge},
    plan::{self, Rules},
};
use crate::{
    DataFile, StoreError, Table,
    data_file::{self, Place, RowMemory},
    day::Day,
    delta::{Edit, Files},
    metric,
};

/// Rows of a batch while files are merged, at most: there is one for each file.
const READ_ROWS: u64 = 2048;
/// Memory of such a batch, about.
const READ_BYTES: u64 = 16 << 20;
/// Memory that the batches of all files take together at most, if each holds as much as a row group may.
const MERGE_BYTES: u64 = 1 << 30;

/// Files of one tenant, table and day.
#[derive(Clone, Debug)]
struct Job {
    table: Table,
    tenant: TenantId,
    inputs: Vec<DataFile>,
}

/// The days that are left alone for the rest of a round, by table and tenant.
type Skipped = BTreeSet<(Table, TenantId, String)>;

impl Maintenance {
    /// Merges files until there is nothing to merge. A day whose files cannot be merged does not keep the others from it; the
    /// first error is returned.
    pub(super) async fn compact(&self) -> Result<(), StoreError> {
        let mut skipped = Skipped::new();
        let mut outcome = Ok(());
        for table in Table::ALL {
            while let Some(job) = self.next_job(table, &skipped).await {
                let day = (table, job.tenant.clone(), job.inputs[0].date.clone());
                let merged = self.merge_files(job).await;
                if !matches!(merged, Ok(true)) {
                    skipped.insert(day);
                }
                outcome = outcome.and(merged.map(drop));
            }
        }
        outcome
    }

    async fn next_job(&self, table: Table, skipped: &Skipped) -> Option<Job> {
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
            let skip = |day: &str| skipped.contains(&(table, tenant.clone(), day.to_owned()));
            if let Some(inputs) = plan::next(&listed, &today, rules, skip) {
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
            match intact.len() == count {
                true => merge(&dir, job).map(Some),
                false => Ok(None),
            }
        };
        let merged = tokio::task::spawn_blocking(merge).await;
        let Some((inputs, merged)) = merged.map_err(StoreError::task)?? else {
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

/// Merges the inputs of a job, or as many of the first as memory allows; returns these and the new file.
fn merge(dir: &Path, mut job: Job) -> Result<(Vec<DataFile>, DataFile), StoreError> {
    let memory: Result<Vec<RowMemory>, _> = job
        .inputs
        .iter()
        .map(|input| RowMemory::of_file(&input.path))
        .collect();
    let memory = memory?;
    job.inputs.truncate(fitting(&memory));
    let mut sources: Vec<Batches> = Vec::new();
    for (input, memory) in job.inputs.iter().zip(&memory) {
        let rows = (READ_BYTES / memory.row_bytes.max(1)).clamp(1, READ_ROWS);
        let batches = data_file::batches(job.table, &input.path, rows as usize)?;
        sources.push(Box::new(batches));
    }
    let place = Place {
        table: job.table,
        dir,
        tenant: &job.tenant,
    };
    let merged = Merge::new(job.table, sources)?;
    let file = data_file::write_merged(place, &job.inputs, merged)?;
    Ok((job.inputs, file))
}

/// How many of the first files can be merged at once, at least two: a batch may be as large as its row group.
fn fitting(files: &[RowMemory]) -> usize {
    let mut bytes = 0;
    let fits = files.iter().take_while(|memory| {
        bytes += memory.whole_bytes.min(data_file::GROUP_BYTES as u64);
        bytes <= MERGE_BYTES
    });
    fits.count().max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_whose_rows_are_large_are_merged_a_few_at_a_time() {
        let file = |whole_bytes| RowMemory {
            whole_bytes,
            row_bytes: 1,
        };
        assert_eq!(fitting(&[file(1 << 20); 16]), 16);
        assert_eq!(fitting(&[file(4 << 30); 16]), 4);
        assert_eq!(fitting(&[file(100 << 20), file(1 << 40)]), 2);
    }
}
