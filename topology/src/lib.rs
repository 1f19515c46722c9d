//! Entities, layers, owners and the time-versioned graph that ties them.
