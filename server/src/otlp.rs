//! The OTLP sockets.

pub(crate) mod grpc;
pub(crate) mod http;
