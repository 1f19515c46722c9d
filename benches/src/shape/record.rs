//! Scrapes an exporter, one file a scrape.

use std::{fs, time::Duration};

use anyhow::Context;
use demarc_proto::{Clock, SystemClock};

use crate::{cli::RecordArgs, table};

/// Scrapes until there are enough files. One that fails is said and left out, as a gap.
pub(crate) async fn run(args: &RecordArgs) -> anyhow::Result<()> {
    fs::create_dir_all(&args.folder)
        .with_context(|| format!("create {}", args.folder.display()))?;
    let client = reqwest::Client::new();
    let mut beat = tokio::time::interval(Duration::from_millis(args.every_ms.max(1)));
    for at in 0..args.scrapes {
        beat.tick().await;
        let time = SystemClock.now().to_millis().0;
        let scraped = async {
            let answer = client.get(&args.url).send().await?;
            answer.error_for_status()?.text().await
        };
        match scraped.await {
            Ok(text) => {
                let path = args.folder.join(format!("{at:06}-{time}.prom"));
                fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
            }
            Err(error) => table::say(&format!("scrape {at}: {error}")),
        }
    }
    Ok(())
}
