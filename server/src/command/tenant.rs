//! `demarc tenant`

use anyhow::bail;
use reqwest::Method;

use super::{client, print};
use crate::cli::TenantCommand;

pub(crate) async fn run(command: TenantCommand) -> anyhow::Result<()> {
    let TenantCommand::Delete(args) = command;
    if args.yes_delete != args.target.tenant {
        bail!(
            "--yes-delete {}: must repeat the tenant to delete, {}",
            args.yes_delete,
            args.target.tenant
        );
    }
    let path = format!("/api/v1/tenants/{}", args.target.tenant);
    let request = client::request(&args.target, Method::DELETE, &path);
    let data = client::data(&args.target, request).await?;
    print(&format!("{} rows deleted\n", data["rows"]))
}
