//! One connection's bytes: whole messages in, whole answers out, neither slower than the sockets' patience.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    error::Fault,
    message::{Message, Outgoing, Startup, message_len, startup_len},
};
use crate::{
    connection::SocketsConfig,
    tls::{Stream, Tls},
};

/// How much is read at once.
const READ_BYTES: usize = 8 << 10;

/// Why a connection ends without a word.
#[derive(Debug)]
pub(super) struct Gone;

/// The bytes of a connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    /// What was read and not understood yet.
    unread: Vec<u8>,
    patience: SocketsConfig,
}

impl Wire {
    pub(super) fn new(stream: Stream, patience: SocketsConfig) -> Self {
        Self {
            stream,
            unread: Vec::new(),
            patience,
        }
    }

    /// The connection, encrypted from now on.
    pub(super) async fn encrypted(self, tls: &Tls) -> Result<Self, Gone> {
        match self.stream {
            // What came before the handshake must not be taken for what comes within.
            Stream::Plain(stream) if self.unread.is_empty() => {
                let stream = tls.encrypted(stream, self.patience.head()).await;
                Ok(Self::new(stream.ok_or(Gone)?, self.patience))
            }
            _ => Err(Gone),
        }
    }

    /// The first message, or the one after a refused encryption.
    pub(super) async fn startup(&mut self) -> Result<Result<Startup, Fault>, Gone> {
        let patience = self.patience.head();
        let bytes = timeout(patience, self.whole(startup_len)).await;
        let bytes = bytes.map_err(|_| Gone)??;
        Ok(bytes.and_then(|bytes| Startup::read(&bytes)))
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Result<Result<Message, Fault>, Gone> {
        let patience = self.patience.idle();
        let bytes = timeout(patience, self.whole(message_len)).await;
        let bytes = bytes.map_err(|_| Gone)??;
        Ok(bytes.and_then(|bytes| Message::read(&bytes)))
    }

    /// Sends everything; whoever does not read it for long is gone.
    pub(super) async fn send(&mut self, out: &mut Outgoing) -> Result<(), Gone> {
        let sent = async {
            self.stream.write_all(&out.0).await?;
            self.stream.flush().await
        };
        let sent = timeout(self.patience.body(), sent).await;
        out.0.clear();
        sent.map_err(|_| Gone)?.map_err(|_| Gone)
    }

    /// Returns once the client has gone away; never while it has said something that was not answered yet.
    pub(super) async fn gone(&mut self) {
        if self.unread.is_empty() && self.read().await.is_err() {
            return;
        }
        std::future::pending().await
    }

    async fn whole(
        &mut self,
        len: impl Fn(&[u8]) -> Result<Option<usize>, Fault>,
    ) -> Result<Result<Vec<u8>, Fault>, Gone> {
        loop {
            match len(&self.unread) {
                Ok(Some(len)) if self.unread.len() >= len => {
                    let rest = self.unread.split_off(len);
                    return Ok(Ok(std::mem::replace(&mut self.unread, rest)));
                }
                Ok(_) => self.read().await?,
                Err(fault) => return Ok(Err(fault)),
            }
        }
    }

    async fn read(&mut self) -> Result<(), Gone> {
        self.unread.reserve(READ_BYTES);
        let mut part = (&mut self.stream).take(READ_BYTES as u64);
        match part.read_buf(&mut self.unread).await {
            Ok(0) | Err(_) => Err(Gone),
            Ok(_) => Ok(()),
        }
    }
}
