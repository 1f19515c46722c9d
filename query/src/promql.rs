//! PromQL: one evaluator whose leaves are scans of the snapshot's samples.
//!
//! text -> `lexer` -> `parser` ([`ast`]) -> `check` -> `eval` -> [`Answer`]
//!
//! An expression is evaluated for all steps at once: a vector is a set of series with one value or none per step, so that a
//! selector is scanned once however many steps there are. One file per kind of expression.
//!
//! Source of semantics: Prometheus 3.14, "Querying: basics, operators, functions", with every experimental feature on.

pub mod ast;

mod aggregate;
mod annotation;
mod answer;
mod binary;
mod calendar;
mod check;
mod classic;
mod error;
mod eval;
mod function;
mod histogram;
mod info;
mod label;
mod length;
mod lexer;
mod math;
mod native;
mod old;
mod over_time;
mod parser;
mod pretty;
mod print;
mod rate;
mod regression;
mod samples;
mod selector;
mod settle;
mod signature;
mod sliding;
mod sort;
mod source;
mod sum;
mod value;
mod window;

pub use answer::{Answer, Point, PointValue, Value};
pub use error::ParseError;
pub use length::{format as format_duration, parse as parse_duration};
pub use native::{Bucket, Buckets, Histogram};
pub use parser::{parse, parse_selector, parse_series};
pub use pretty::pretty;
pub use signature::{Signature, Variadic};

pub(crate) use answer::{Prepared, evaluate};
pub(crate) use samples::count_samples;
pub(crate) use settle::is_settleable;
pub(crate) use value::{Asked, Steps};
