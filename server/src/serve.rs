//! The sockets, from listening to the last answer.

use std::{future::Future, net::SocketAddr, sync::Arc};

use anyhow::Context;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    app::App,
    background,
    command::print,
    config::Config,
    connection::{self, Terms},
    flight, otlp, postgres, routes,
    telemetry::{self, Metrics},
};

/// Runs the server until `stop`.
pub(crate) async fn serve(
    mut config: Config,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let listeners = Listeners::open(&config).await?;
    if config.external_url.is_empty() {
        config.external_url = format!("http://{}", listeners.http.local_addr()?);
    }
    let telemetry = telemetry::start(&config.telemetry, listeners.otlp_grpc.local_addr()?)?;
    let files = connection::raise_file_limit();
    let sockets = &mut config.sockets;
    sockets.max_connections = sockets.max_connections.min(files / 4).max(1);
    info!(limit_bytes = config.memory.limit_bytes, "memory");
    let (app, observations) = App::open(&config).await?;
    let token = CancellationToken::new();
    let mut loops = background::start(&app, observations, &token);
    print(&listeners.addresses()?)?;
    let terms = |protocols: &[&str]| -> anyhow::Result<Terms> {
        Ok(Terms {
            patience: app.config.sockets.clone(),
            tls: app.config.tls.open(protocols)?,
            stop: token.clone(),
        })
    };
    let mut sockets = listeners.serve(&app, telemetry.metrics(), terms)?;
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

/// The sockets, before anybody is answered on them.
struct Listeners {
    http: TcpListener,
    otlp_grpc: TcpListener,
    otlp_http: TcpListener,
    flight: TcpListener,
    postgres: TcpListener,
}

impl Listeners {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            http: listen("http", config.http).await?,
            otlp_grpc: listen("otlp_grpc", config.otlp_grpc).await?,
            otlp_http: listen("otlp_http", config.otlp_http).await?,
            flight: listen("flight", config.flight).await?,
            postgres: listen("postgres", config.postgres).await?,
        })
    }

    /// In one piece: whoever reads the first lines only may close the pipe then.
    fn addresses(&self) -> anyhow::Result<String> {
        let mut addresses = String::new();
        for (name, listener) in [
            ("http", &self.http),
            ("otlp-grpc", &self.otlp_grpc),
            ("otlp-http", &self.otlp_http),
            ("flight", &self.flight),
            ("postgres", &self.postgres),
        ] {
            addresses += &format!("{name} listening on {}\n", listener.local_addr()?);
        }
        Ok(addresses)
    }

    /// Answers on all of them until `stop`.
    fn serve(
        self,
        app: &Arc<App>,
        metrics: Metrics,
        terms: impl Fn(&[&str]) -> anyhow::Result<Terms>,
    ) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
        let mut sockets = JoinSet::new();
        let app = || Arc::clone(app);
        let http = terms(&["h2", "http/1.1"])?;
        for (listener, router) in [
            (self.http, routes::router(app(), metrics)),
            (self.otlp_grpc, otlp::router(app())),
            (self.otlp_http, otlp::router(app())),
            (self.flight, flight::router(app())),
        ] {
            sockets.spawn(connection::serve(listener, router, http.clone()));
        }
        let terms = terms(&["postgresql"])?;
        sockets.spawn(postgres::serve(self.postgres, app(), terms));
        Ok(sockets)
    }
}

async fn listen(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{setting} {address}: cannot listen there; choose another address, or port 0")
    })
}
