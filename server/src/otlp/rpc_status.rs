//! `google.rpc.Status`: the body of a failed OTLP/HTTP request, and the details of a failed OTLP/gRPC one.
//!
//! Source: OTLP specification, "Failures"; googleapis `google/rpc/status.proto` and `error_details.proto`.

use std::time::Duration;

use demarc_ingest::Encoding;
use prost::Message;
use serde_json::json;

/// A failure as its sender is told.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The code of gRPC.
    pub(crate) code: tonic::Code,
    /// The status of HTTP.
    pub(crate) http: http::StatusCode,
    /// Why, in words.
    pub(crate) message: String,
    /// When the same request may be sent again; `None` when it should not be.
    pub(crate) retry_after: Option<Duration>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

impl Failure {
    /// A request that is wrong and stays so.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self {
            code: tonic::Code::InvalidArgument,
            http: http::StatusCode::BAD_REQUEST,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The message in protobuf.
    pub(crate) fn protobuf(&self) -> Vec<u8> {
        let mut details = Vec::new();
        if let Some(delay) = self.retry_after {
            let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
            let retry_delay = Some(Delay { seconds, nanos: 0 });
            details.push(Any {
                type_url: RETRY_INFO.to_owned(),
                value: RetryInfo { retry_delay }.encode_to_vec(),
            });
        }
        if self.code == tonic::Code::InvalidArgument {
            let violation = FieldViolation {
                field: String::new(),
                description: self.message.clone(),
            };
            let value = BadRequest {
                field_violations: vec![violation],
            }
            .encode_to_vec();
            details.push(Any {
                type_url: BAD_REQUEST.to_owned(),
                value,
            });
        }
        Status {
            code: self.code as i32,
            message: self.message.clone(),
            details,
        }
        .encode_to_vec()
    }

    /// The message in the encoding of the request that failed.
    pub(crate) fn body(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Protobuf => self.protobuf(),
            Encoding::Json => {
                let mut body = json!({"code": self.code as i32, "message": self.message});
                if let Some(delay) = self.retry_after {
                    let delay = format!("{}s", delay.as_secs());
                    body["details"] = json!([{"@type": RETRY_INFO, "retryDelay": delay}]);
                }
                body.to_string().into_bytes()
            }
        }
    }
}
