//! Calls a running server.

use anyhow::{Context, bail};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use crate::cli::Target;

/// Begins a request to the server as the tenant.
pub(crate) fn request(target: &Target, method: Method, path: &str) -> RequestBuilder {
    let url = format!("{}{path}", target.server.trim_end_matches('/'));
    reqwest::Client::new()
        .request(method, url)
        .header("X-Scope-OrgID", &target.tenant)
}

/// Sends a request; a refusal becomes an error with the server's own words.
pub(crate) async fn send(target: &Target, request: RequestBuilder) -> anyhow::Result<Response> {
    let response = request.send().await.with_context(|| {
        format!(
            "no server answers at {}; start one with `demarc server`, or name it with --server",
            target.server
        )
    })?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.text().await.unwrap_or_default();
    let body: Option<Value> = serde_json::from_str(&text).ok();
    match body.as_ref().and_then(|body| body["error"].as_str()) {
        Some(message) => bail!("{message}"),
        None => bail!("the server answered {status}: {text}"),
    }
}

/// The `data` of a successful answer.
pub(crate) async fn data(target: &Target, request: RequestBuilder) -> anyhow::Result<Value> {
    let mut body: Value = send(target, request)
        .await?
        .json()
        .await
        .context("read the server's answer")?;
    Ok(body["data"].take())
}
