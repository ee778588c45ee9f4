//! Ring 0: the nouns that every service shares. Only std and chrono; no serde, no I/O, no clock.

pub mod alert;
pub mod amount;
pub mod catalogue;
pub mod cause;
pub mod check;
pub mod clean;
pub mod derive;
pub mod derived;
pub mod figure;
pub mod filter;
pub mod fleet;
pub mod forecast;
pub mod job;
pub mod level;
pub mod metric;
pub mod own_rule;
pub mod pattern;
pub mod rule;
pub mod sample;
pub mod secret;
pub mod series;
pub mod service;
pub mod silence;
pub mod snapshot;
pub mod spec;
pub mod suggest;
