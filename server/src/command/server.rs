//! `demarc server`

use tokio::signal::unix::{SignalKind, signal};

use crate::{cli::ServerArgs, config::Config, serve::serve};

pub(crate) async fn run(args: ServerArgs) -> anyhow::Result<()> {
    let config = Config::load(args)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    serve(config, stop).await
}
