//! Tells whoever is on duty: routes, receivers, deliveries with retries.
//!
//! [`Notice`] -> routes -> one `message` per receiver, cut to its audience -> webhook -> [`Delivery`]
//!
//! Invariants: a receiver gets nothing beyond its tenant's boundary; every delivery, failed or not, is on record.
//!
//! Reading order: [`NotifyConfig`], `message`, [`Notifier`].

mod config;
mod error;
mod message;
mod notifier;

pub use config::{NotifyConfig, ReceiverConfig, RouteConfig};
pub use error::NotifyError;
pub use notifier::{Delivery, Notice, Notifier, Occasion};
