//! Routing and delivery of notifications.
