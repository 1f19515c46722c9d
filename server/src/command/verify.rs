//! `demarc verify`

use anyhow::bail;
use reqwest::Method;

use super::{client, print};
use crate::cli::VerifyArgs;

pub(crate) async fn run(args: VerifyArgs) -> anyhow::Result<()> {
    let path = format!("/api/v1/incidents/{}/verify", args.incident);
    let found = client::data(
        &args.target,
        client::request(&args.target, Method::POST, &path),
    )
    .await?;
    let list = |name: &str| {
        let ids = found[name]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|id| id.as_str());
        ids.collect::<Vec<_>>().join(" ")
    };
    let is_reproduced = found["is_reproduced"].as_bool().unwrap_or_default();
    let again = if is_reproduced {
        "the same verdict"
    } else {
        "ANOTHER verdict"
    };
    print(&format!(
        "kept evidence leads to {again}\nunchanged: {}\nchanged:   {}\n",
        list("unchanged"),
        list("changed")
    ))?;
    if !is_reproduced {
        bail!("the kept evidence does not lead to the kept verdict");
    }
    let changed = list("changed");
    if !changed.is_empty() {
        bail!(
            "{changed}: the query returns something else now; data that arrived after the verdict counts"
        );
    }
    Ok(())
}
