//! `demarc report`

use anyhow::{Context, bail};
use reqwest::Method;

use super::{client, print};
use crate::cli::ReportArgs;

pub(crate) async fn run(args: ReportArgs) -> anyhow::Result<()> {
    let id = match args.incident {
        Some(id) => id,
        None => {
            let request = client::request(&args.target, Method::GET, "/api/v1/incidents");
            let incidents = client::data(&args.target, request).await?;
            match incidents[0]["id"].as_str() {
                Some(id) => id.to_owned(),
                None => bail!("tenant {} has had no incident", args.target.tenant),
            }
        }
    };
    let path = format!("/api/v1/incidents/{id}/report?lang={}", args.lang);
    let html = client::send(
        &args.target,
        client::request(&args.target, Method::GET, &path),
    )
    .await?
    .text()
    .await?;
    match args.out {
        None => print(&html),
        Some(path) => {
            std::fs::write(&path, html).with_context(|| format!("write {}", path.display()))?;
            print(&format!("{}\n", path.display()))
        }
    }
}
