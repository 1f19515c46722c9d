//! A third party: answers, and tells nobody anything.

use std::time::Duration;

use axum::{Router, routing::get};
use tokio::net::TcpListener;

use super::{RoleConfig, defect::Watched};

pub(crate) async fn run(config: RoleConfig, defect: Watched) -> anyhow::Result<()> {
    let usual = Duration::from_secs_f64(config.work_ms / 1e3);
    let answer = move || async move {
        let added = Duration::from_millis(defect.borrow().delay_ms);
        tokio::time::sleep(usual + added).await;
        "paid"
    };
    let listener = TcpListener::bind(config.listen).await?;
    Ok(axum::serve(listener, Router::new().route("/", get(answer))).await?)
}
