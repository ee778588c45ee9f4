//! The pure state machine of design/alerting.md: no clock and no I/O.

pub mod fold;
pub mod reconcile;
pub mod routes;
pub mod words;
