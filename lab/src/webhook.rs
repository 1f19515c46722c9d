//! A receiver of notifications.

use std::net::SocketAddr;

use axum::{Json, Router, extract::State, routing::post};
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc};

/// Listens on a free port; what it gets comes out of the channel.
pub(crate) async fn listen() -> anyhow::Result<(SocketAddr, mpsc::UnboundedReceiver<Value>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let take = |State(sender): State<mpsc::UnboundedSender<Value>>, Json(body): Json<Value>| async move {
        // Nobody listens any more once the demo is over.
        let _ = sender.send(body);
    };
    let router = Router::new().route("/", post(take)).with_state(sender);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((address, receiver))
}
