//! The pure state machine of design/alerting.md: no clock and no I/O.

pub mod ahead;
pub mod calendar;
pub mod flap;
pub mod fold;
pub mod hush;
pub mod reconcile;
pub mod routes;
pub mod words;
