//! Connections: how many, how long they may dawdle, and how they end.
//!
//! A connection that asks nothing, or asks slowly, costs a bounded amount of memory for a bounded time; when there are as
//! many as there may be, the one that has been idle longest makes room for the next.

use std::{
    collections::HashMap,
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Request, Response},
};
use http_body::Frame;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::warn;

use crate::tls::Tls;

/// How patient the sockets are.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SocketsConfig {
    /// Most connections of one socket; beyond, the one that has been idle longest is closed.
    pub(crate) max_connections: usize,
    /// How long the first request, and the head of each, may take to arrive, in seconds.
    pub(crate) header_timeout_seconds: u64,
    /// How long the body of a request may take to arrive, in seconds.
    pub(crate) body_timeout_seconds: u64,
    /// How long a connection may stay without a request, in seconds.
    pub(crate) idle_timeout_seconds: u64,
}

impl Default for SocketsConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            header_timeout_seconds: 30,
            body_timeout_seconds: 60,
            idle_timeout_seconds: 600,
        }
    }
}

/// Most requests of one HTTP/2 connection that are worked on at once.
const MAX_STREAMS: u32 = 128;
/// Most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How long open requests may take to finish once the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

impl SocketsConfig {
    pub(crate) fn validate(&self) -> Result<(), String> {
        let positive = [
            ("max_connections", self.max_connections as u64),
            ("header_timeout_seconds", self.header_timeout_seconds),
            ("body_timeout_seconds", self.body_timeout_seconds),
            ("idle_timeout_seconds", self.idle_timeout_seconds),
        ];
        for (name, value) in positive {
            if value == 0 {
                return Err(format!("{name} = 0: must be at least 1"));
            }
        }
        Ok(())
    }

    pub(crate) fn head(&self) -> Duration {
        Duration::from_secs(self.header_timeout_seconds)
    }

    pub(crate) fn body(&self) -> Duration {
        Duration::from_secs(self.body_timeout_seconds)
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_seconds)
    }
}

/// What all sockets have in common.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) patience: SocketsConfig,
    pub(crate) tls: Tls,
    pub(crate) stop: CancellationToken,
}

/// Serves HTTP/1 and HTTP/2 until it is to stop, then until the last answer.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    terms: Terms,
) -> anyhow::Result<()> {
    let stop = terms.stop;
    let socket = Arc::new(Socket {
        builder: builder(&terms.patience),
        config: terms.patience,
        tls: terms.tls,
        router,
        open: Mutex::default(),
    });
    let mut tasks = JoinSet::new();
    let mut number = 0_u64;
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                number += 1;
                let Some(activity) = socket.admit(number) else {
                    // Every connection is at work: the newest has to come again.
                    continue;
                };
                let (socket, stop) = (Arc::clone(&socket), stop.clone());
                tasks.spawn(async move {
                    socket.talk(stream, &activity, stop).await;
                    socket.open.lock().remove(&number);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: an idle connection gives its own back.
                warn!(%error, "connection was not accepted");
                evict(&mut socket.open.lock());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while tasks.try_join_next().is_some() {}
    }
    let last = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_ANSWERS, last).await;
    Ok(())
}

fn builder(config: &SocketsConfig) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.head())
        .max_buf_size(MAX_HEAD_BYTES.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

struct Socket {
    builder: auto::Builder<TokioExecutor>,
    config: SocketsConfig,
    tls: Tls,
    router: Router,
    open: Mutex<Open>,
}

/// The connections that may go on, by number.
type Open = HashMap<u64, Arc<Activity>>;

/// What a connection is doing.
struct Activity {
    requests: AtomicUsize,
    /// `None` until the first request.
    last: Mutex<Option<Instant>>,
    since: Instant,
    close: CancellationToken,
}

impl Activity {
    fn new() -> Self {
        Self {
            requests: AtomicUsize::new(0),
            last: Mutex::new(None),
            since: Instant::now(),
            close: CancellationToken::new(),
        }
    }

    fn idle_since(&self) -> Option<Instant> {
        let is_busy = self.requests.load(Ordering::Acquire) > 0;
        (!is_busy).then(|| self.last.lock().unwrap_or(self.since))
    }

    /// Returns once the connection has been idle too long.
    async fn idle(&self, config: &SocketsConfig) {
        loop {
            let patience = match *self.last.lock() {
                None => config.head(),
                Some(_) => config.idle(),
            };
            match self.idle_since() {
                Some(since) if since.elapsed() >= patience => return,
                Some(since) => tokio::time::sleep_until(since + patience).await,
                None => tokio::time::sleep(patience).await,
            }
        }
    }
}

/// Counts a request for as long as it is worked on.
struct Working(Arc<Activity>);

impl Working {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::AcqRel);
        *activity.last.lock() = Some(Instant::now());
        Self(Arc::clone(activity))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        *self.0.last.lock() = Some(Instant::now());
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Socket {
    /// Counts one more connection, where need be in the place of an idle one; `None` when all are
    /// at work.
    ///
    /// Counted here and not in the connection's own task, which may run only after many more have
    /// been accepted.
    fn admit(&self, number: u64) -> Option<Arc<Activity>> {
        let mut open = self.open.lock();
        if open.len() >= self.config.max_connections && !evict(&mut open) {
            return None;
        }
        let activity = Arc::new(Activity::new());
        open.insert(number, Arc::clone(&activity));
        Some(activity)
    }

    async fn talk(&self, stream: TcpStream, activity: &Arc<Activity>, stop: CancellationToken) {
        // Small answers must not wait for more; where it cannot be set they only come later.
        let _ = stream.set_nodelay(true);
        let Some(stream) = self.tls.greeted(stream, self.config.head()).await else {
            return;
        };
        let (router, patience) = (self.router.clone(), self.config.body());
        let working = Arc::clone(activity);
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let request = request.map(|body| Body::new(Timed::new(body, patience)));
            answer(router.clone(), request, Working::new(&working))
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let mut idle = pin!(activity.idle(&self.config));
        tokio::select! {
            // A client that breaks off is no concern of ours.
            _ = connection.as_mut() => return,
            () = idle.as_mut() => return,
            () = activity.close.cancelled() => return,
            () = stop.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// Ends the connection that has been idle longest; `false` when all are at work.
fn evict(open: &mut Open) -> bool {
    let idle = open
        .iter()
        .filter_map(|(number, activity)| Some((activity.idle_since()?, *number)));
    let longest = idle.min().and_then(|(_, number)| open.remove(&number));
    longest
        .inspect(|activity| activity.close.cancel())
        .is_some()
}

async fn answer(
    router: Router,
    request: Request<Body>,
    working: Working,
) -> Result<Response<Body>, Infallible> {
    let answer = router.oneshot(request).await?;
    let activity = Arc::clone(&working.0);
    Ok(answer.map(|body| Body::new(Answered { body, activity })))
}

/// The body of an answer. Its connection is not idle for as long as the client takes more of it.
struct Answered {
    body: Body,
    activity: Arc<Activity>,
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        *self.activity.last.lock() = Some(Instant::now());
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// A body that ends with an error when it takes too long.
struct Timed {
    body: Incoming,
    end: Pin<Box<Sleep>>,
}

impl Timed {
    fn new(body: Incoming, patience: Duration) -> Self {
        Self {
            body,
            end: Box::pin(tokio::time::sleep(patience)),
        }
    }
}

/// The body of a request did not arrive in time.
#[derive(Debug, thiserror::Error)]
#[error("the body took too long to arrive (sockets.body_timeout_seconds)")]
pub(crate) struct SlowBody;

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => match self.end.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(SlowBody.into()))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// Lets the process open as many files as the system allows: each connection is one. Returns how many that are; a quarter of
/// them for each socket leaves enough for the store.
pub(crate) fn raise_file_limit() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        warn!(%error, "limit of open files was not raised");
    }
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    usize::try_from(limit).unwrap_or(usize::MAX)
}
