//! A network link: forwards TCP connections, delays them, loses parts of them, and measures its own round trips.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Gauge},
};
use opentelemetry_sdk::Resource;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{RoleConfig, defect::Watched, telemetry};

/// Wait before a lost piece is sent again: Linux' shortest, doubled each time up to the longest.
const RESEND: Duration = Duration::from_millis(200);
const LONGEST_RESEND: Duration = Duration::from_secs(2);
/// A piece that was lost so often breaks its connection.
const MAX_LOSSES: u32 = 8;

struct Interface {
    round_trip: Gauge<f64>,
    bytes: Counter<u64>,
    dropped: Counter<u64>,
}

pub(crate) async fn run(
    config: RoleConfig,
    (source, destination): (String, String),
    forwards: Vec<(SocketAddr, SocketAddr)>,
    defect: Watched,
) -> anyhow::Result<()> {
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("network.link.name", config.name.clone()),
            KeyValue::new("network.link.source.host.name", source),
            KeyValue::new("network.link.destination.host.name", destination),
        ])
        .build();
    telemetry::start(&config, resource)?;
    let meter = global::meter("demarc-lab");
    let interface = Arc::new(Interface {
        round_trip: meter.f64_gauge("network.link.rtt").with_unit("s").build(),
        bytes: meter
            .u64_counter("system.network.io")
            .with_unit("By")
            .build(),
        dropped: meter
            .u64_counter("system.network.packet.dropped")
            .with_unit("{packet}")
            .build(),
    });
    interface.dropped.add(0, &[]);
    for (listen, target) in forwards {
        let listener = TcpListener::bind(listen).await?;
        tokio::spawn(accept(
            listener,
            target,
            Arc::clone(&interface),
            defect.clone(),
        ));
    }
    probe(interface, defect).await
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    interface: Arc<Interface>,
    defect: Watched,
) {
    while let Ok((near, _)) = listener.accept().await {
        let (interface, defect) = (Arc::clone(&interface), defect.clone());
        tokio::spawn(async move {
            let Ok(far) = TcpStream::connect(target).await else {
                interface.dropped.add(1, &[]);
                return;
            };
            let (near_in, near_out) = near.into_split();
            let (far_in, far_out) = far.into_split();
            let there = pump(near_in, far_out, &interface, defect.clone());
            let back = pump(far_in, near_out, &interface, defect);
            // Either side may close first.
            let _ = tokio::join!(there, back);
        });
    }
}

/// Carries bytes one way; each piece takes half of the link's round trip, and longer when it gets lost.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    interface: &Interface,
    defect: Watched,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        get_across(interface, &defect).await?;
        to.write_all(&buffer[..read]).await?;
        interface.bytes.add(read as u64, &[]);
    }
}

/// Waits as long as one piece takes.
async fn get_across(interface: &Interface, defect: &Watched) -> std::io::Result<()> {
    let mut resend = RESEND;
    for _ in 0..MAX_LOSSES {
        let (delay_ms, loss_share) = {
            let defect = defect.borrow();
            (defect.delay_ms, defect.loss_share)
        };
        if rand::random::<f64>() >= loss_share {
            tokio::time::sleep(Duration::from_secs_f64(delay_ms as f64 / 2e3)).await;
            return Ok(());
        }
        interface.dropped.add(1, &[]);
        tokio::time::sleep(resend).await;
        resend = LONGEST_RESEND.min(resend * 2);
    }
    Err(std::io::ErrorKind::TimedOut.into())
}

/// Sends a byte over the link and back each second, the way that all traffic goes.
async fn probe(interface: Arc<Interface>, defect: Watched) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let (mut near, near_end) = tokio::io::duplex(64);
        let (far, far_end) = tokio::io::duplex(64);
        let (near_in, near_out) = tokio::io::split(near_end);
        let (far_in, far_out) = tokio::io::split(far_end);
        let there = pump(near_in, far_out, &interface, defect.clone());
        let back = pump(far_in, near_out, &interface, defect.clone());
        let sent = Instant::now();
        let ping = async {
            near.write_all(b"p").await?;
            let (mut echo_in, mut echo_out) = tokio::io::split(far);
            let mut byte = [0; 1];
            echo_in.read_exact(&mut byte).await?;
            echo_out.write_all(&byte).await?;
            near.read_exact(&mut byte).await
        };
        tokio::select! {
            answered = ping => {
                answered?;
                interface.round_trip.record(sent.elapsed().as_secs_f64(), &[]);
            }
            _ = there => {}
            _ = back => {}
        }
    }
}
