//! Incident reports per agency, in Chinese and English.
