//! Answers PromQL, SQL and trace lookups over one tenant's snapshot.
