//! The power goes while a real process writes: what it acknowledged was synced and is there, once.
//!
//! The disk is a loop-mounted ext4 file system that is shut down without flushing, so that whatever was not synced is gone.

use std::env;

use crate::{
    crash::{Ledger, Writing, config},
    disk::Disk,
    fixture::open_with,
};

/// How often the power is cut; a variable, because fifty rounds take a while.
const ROUNDS: &str = "DEMARC_POWER_CUT_ROUNDS";
const DEFAULT_ROUNDS: u64 = 8;
const DISK_BYTES: u64 = 256 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_no_acknowledged_row_and_doubles_none() {
    let disk = match Disk::new(DISK_BYTES) {
        Ok(disk) => disk,
        Err(reason) => {
            eprintln!("SKIPPED: needs to mount a file system (as root): {reason}");
            return;
        }
    };
    let rounds = env::var(ROUNDS).map_or(DEFAULT_ROUNDS, |rounds| rounds.parse().unwrap());
    let dir = disk.root().join("data");
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        let mut writing = Writing::start(&dir, round);
        writing.wait_for_some(round);
        // What is acknowledged while the power goes may be on either side of it.
        ledger.add(writing.acked_until_now());
        disk.cut_power();
        writing.kill();
        disk.power_on();
        let store = open_with(&dir, config()).await;
        ledger.check(&store, round).await;
        if round % 3 == 2 {
            store.close().await.unwrap();
        }
    }
    eprintln!("{} acknowledged rows in {rounds} rounds", ledger.len());
    assert!(ledger.len() as u64 > 20 * rounds, "{}", ledger.len());
}
