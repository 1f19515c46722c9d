//! Bytes to rows: OTLP decoding, validation, naming, RED metrics and call edges from spans.
