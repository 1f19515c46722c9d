//! Old samples to windows: a file for each tenant, day and resolution, beside the samples themselves.
//!
//! The file is named after the newest file of samples that went into it ([`Order`]), so that its name says what it covers: where
//! samples came later, the day is done again, and the new file takes the place of the old one in one commit. Of
//! samples that are gone by then it keeps what the old one knew. Nothing else is remembered; what a crash interrupts is done in
//! the next round.

use std::{collections::BTreeMap, path::Path};

use demarc_proto::TenantId;

use super::{
    Maintenance,
    merge::{Batches, Merge},
};
use crate::{
    DataFile, Resolution, StoreError, Table,
    data_file::{self, Order, Place},
    day::Day,
    delta::{Edit, Files},
    window::{self, Downsampled, Joined},
};

/// Rows of a batch while samples are read.
const READ_ROWS: usize = 2048;

/// Days that are done in one round and resolution, at most: other maintenance waits for them, and so does the end of the process.
const MAX_DAYS: usize = 32;

/// One tenant's samples of one day.
#[derive(Clone, Debug)]
struct Job {
    resolution: Resolution,
    tenant: TenantId,
    inputs: Vec<DataFile>,
    /// What is there already of the day.
    replaced: Files,
}

impl Job {
    /// The windows that are there already.
    fn written(&self) -> Vec<DataFile> {
        let files = self.replaced.iter();
        files.map(|(_, file)| file.clone()).collect()
    }
}

/// Files by tenant and day.
type Days = BTreeMap<(TenantId, String), Vec<DataFile>>;

impl Maintenance {
    /// Writes the windows that are due. What fails holds up no other day; the first error is returned.
    pub(super) async fn downsample(&self) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        for resolution in Resolution::ALL {
            for job in self.due(resolution).await {
                outcome = outcome.and(self.write_windows(job).await);
            }
        }
        outcome
    }

    async fn due(&self, resolution: Resolution) -> Vec<Job> {
        let Some(after) = self.config.downsample_after() else {
            return Vec::new();
        };
        let today = Day::of_millis(self.clock.now().to_millis());
        let newest = today.minus(after).date();
        let flusher = self.flusher.lock().await;
        let done = by_day(flusher.log(resolution.table()).files());
        let mut due = Vec::new();
        for ((tenant, date), inputs) in by_day(flusher.log(Table::Samples).files()) {
            let retention = self.config.retention_of(&tenant);
            let first = retention.first_day(resolution.table(), today);
            let is_expired = first.is_some_and(|first| date < first.date());
            let key = (tenant.clone(), date.clone());
            let replaced = done.get(&key).cloned().unwrap_or_default();
            if date > newest || is_expired || covers(&replaced, &inputs) {
                continue;
            }
            let replaced = replaced.into_iter().map(|file| (tenant.clone(), file));
            due.push(Job {
                resolution,
                replaced: replaced.collect(),
                tenant,
                inputs,
            });
        }
        // Those that have no windows first: who always sends late keeps nobody else waiting.
        due.sort_by_key(|job| !job.replaced.is_empty());
        due.truncate(MAX_DAYS);
        due
    }

    async fn write_windows(&self, job: Job) -> Result<(), StoreError> {
        let (table, tenant) = (job.resolution.table(), job.tenant.clone());
        let dir = self.flusher.lock().await.log(table).dir().to_owned();
        let (integrity, replaced) = (self.integrity.clone(), job.replaced.clone());
        let write = move || {
            let are_intact = |table, files: Vec<DataFile>| {
                let count = files.len();
                integrity.intact(table, &job.tenant, files).len() == count
            };
            // Damaged ones are put aside before the next round.
            match are_intact(Table::Samples, job.inputs.clone()) && are_intact(table, job.written())
            {
                true => write(&dir, &job).map(Some),
                false => Ok(None),
            }
        };
        let written = tokio::task::spawn_blocking(write).await;
        let Some(file) = written.map_err(StoreError::task)?? else {
            return Ok(());
        };
        let add: Files = vec![(tenant, file)];
        let remove = &replaced;
        let mut flusher = self.flusher.lock().await;
        flusher
            .edit(table, Edit::Replace { add: &add, remove })
            .await
    }

    /// Whether the windows of all resolutions that are still to be kept hold what these samples of one day hold.
    pub(super) fn is_downsampled(
        &self,
        (tenant, date): (&TenantId, &str),
        samples: &[DataFile],
        windows: &BTreeMap<Resolution, Days>,
    ) -> bool {
        let today = Day::of_millis(self.clock.now().to_millis());
        let retention = self.config.retention_of(tenant);
        Resolution::ALL.into_iter().all(|resolution| {
            let first = retention.first_day(resolution.table(), today);
            let is_expired = first.is_some_and(|first| date < first.date().as_str());
            let key = (tenant.clone(), date.to_owned());
            let found = windows.get(&resolution).and_then(|days| days.get(&key));
            is_expired || found.is_some_and(|found| covers(found, samples))
        })
    }
}

/// Whether windows in `windows` hold all that is in `samples`, both of one day.
pub(crate) fn covers(windows: &[DataFile], samples: &[DataFile]) -> bool {
    let newest = |files: &[DataFile]| files.iter().map(|file| Order::of_file(&file.path)).max();
    !windows.is_empty() && newest(windows) >= newest(samples)
}

/// Files by tenant and day, oldest first.
pub(super) fn by_day(files: Files) -> Days {
    let mut days = Days::new();
    for (tenant, file) in files {
        days.entry((tenant, file.date.clone()))
            .or_default()
            .push(file);
    }
    days
}

fn write(dir: &Path, job: &Job) -> Result<DataFile, StoreError> {
    let (resolution, table) = (job.resolution, job.resolution.table());
    let now = Downsampled::new(merged(Table::Samples, &job.inputs)?, resolution);
    let before = window::written(resolution, merged(table, &job.written())?);
    let windows = window::batches(resolution, Joined::new(resolution, now, before));
    let place = Place {
        table,
        dir,
        tenant: &job.tenant,
    };
    data_file::write_derived(place, &job.inputs, windows)
}

fn merged(table: Table, files: &[DataFile]) -> Result<Merge, StoreError> {
    let mut sources: Vec<Batches> = Vec::new();
    for file in files {
        let batches = data_file::batches(table, &file.path, READ_ROWS)?;
        sources.push(Box::new(batches));
    }
    Merge::new(table, sources)
}
