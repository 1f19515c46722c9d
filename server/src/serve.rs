//! The sockets, from listening to the last answer.

use std::{future::Future, net::SocketAddr, sync::Arc};

use anyhow::Context;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    app::App, background, command::print, config::Config, connection, otlp, routes, telemetry,
};

/// Runs the server until `stop`.
pub(crate) async fn serve(
    mut config: Config,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let http = listen("http", config.http).await?;
    let grpc = listen("otlp_grpc", config.otlp_grpc).await?;
    let otlp_http = listen("otlp_http", config.otlp_http).await?;
    let grpc_address = grpc.local_addr()?;
    if config.external_url.is_empty() {
        config.external_url = format!("http://{}", http.local_addr()?);
    }
    let telemetry = telemetry::start(&config.telemetry, grpc_address)?;
    let files = connection::raise_file_limit();
    let sockets = &mut config.sockets;
    sockets.max_connections = sockets.max_connections.min(files / 4).max(1);
    let (app, observations) = App::open(&config).await?;
    let token = CancellationToken::new();
    let mut loops = background::start(&app, observations, &token);
    for (name, listener) in [
        ("http", &http),
        ("otlp-grpc", &grpc),
        ("otlp-http", &otlp_http),
    ] {
        print(&format!("{name} listening on {}\n", listener.local_addr()?))?;
    }
    let mut sockets = JoinSet::new();
    for (listener, router) in [
        (http, routes::router(Arc::clone(&app), telemetry.metrics())),
        (grpc, otlp::router(Arc::clone(&app))),
        (otlp_http, otlp::router(Arc::clone(&app))),
    ] {
        let patience = config.sockets.clone();
        sockets.spawn(connection::serve(listener, router, patience, token.clone()));
    }
    tokio::select! {
        () = stop => info!("stopping"),
        Some(ended) = sockets.join_next() => {
            ended.context("a socket's task failed")?.context("a socket failed")?;
        }
    }
    // Its last export goes to the sockets that are about to close.
    telemetry.flush().await;
    token.cancel();
    while let Some(ended) = sockets.join_next().await {
        ended
            .context("a socket's task failed")?
            .context("a socket failed")?;
    }
    while loops.join_next().await.is_some() {}
    app.close().await?;
    info!("stopped");
    Ok(())
}

async fn listen(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{setting} {address}: cannot listen there; choose another address, or port 0")
    })
}
