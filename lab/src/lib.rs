//! A small real multi-agency system to observe and to break: demo, tests, fault benchmark.
