//! Encryption of connections.
//!
//! With a certificate every socket speaks TLS to those who begin with a handshake, or ask for it in PostgreSQL's protocol, and
//! stays plain for the others.

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};

/// The first byte of a handshake. Source: RFC 8446, "Record Protocol".
const HANDSHAKE: u8 = 22;

/// Where the certificate is; both or none.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TlsConfig {
    /// A PEM file with the certificate, then those that vouch for it.
    pub(crate) certificate_file: Option<PathBuf>,
    /// A PEM file with its key.
    pub(crate) key_file: Option<PathBuf>,
}

/// Answers handshakes, if there is a certificate.
#[derive(Clone, Default)]
pub(crate) struct Tls(Option<TlsAcceptor>);

impl TlsConfig {
    /// Reads the files, for clients that speak one of `protocols` within.
    pub(crate) fn open(&self, protocols: &[&str]) -> anyhow::Result<Tls> {
        let (certificate, key) = match (&self.certificate_file, &self.key_file) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => return Ok(Tls(None)),
            _ => bail!("tls.certificate_file, tls.key_file: must be set both or none"),
        };
        let file = |name: &str, path: &PathBuf| format!("tls.{name} {}", path.display());
        let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
        let chain: Vec<_> = chain.with_context(|| file("certificate_file", certificate))?;
        let secret = PrivateKeyDer::from_pem_file(key);
        let secret = secret.with_context(|| file("key_file", key))?;
        let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .with_context(|| file("certificate_file", certificate))?;
        config.alpn_protocols = protocols.iter().map(|one| one.as_bytes().into()).collect();
        Ok(Tls(Some(TlsAcceptor::from(Arc::new(config)))))
    }
}

impl Tls {
    /// Whether there is a certificate.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The connection as its first byte asks for it; `None` when nothing comes of the handshake within `patience`.
    pub(crate) async fn greeted(&self, stream: TcpStream, patience: Duration) -> Option<Stream> {
        if !self.is_on() {
            return Some(Stream::Plain(stream));
        }
        let mut first = [0];
        let peeked = timeout(patience, stream.peek(&mut first)).await;
        match peeked.ok()?.ok()? {
            1 if first[0] == HANDSHAKE => self.encrypted(stream, patience).await,
            _ => Some(Stream::Plain(stream)),
        }
    }

    /// The connection, encrypted.
    pub(crate) async fn encrypted(&self, stream: TcpStream, patience: Duration) -> Option<Stream> {
        let handshake = self.0.as_ref()?.accept(stream);
        let stream = timeout(patience, handshake).await.ok()?.ok()?;
        Some(Stream::Tls(Box::new(stream)))
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
