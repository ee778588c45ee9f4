//! fleet-health watches a fleet over plain SSH, with nothing installed on the machines.
//!
//! The rings, in reading order; `ARCHITECTURE.md` tells the reasons and `tests/tidy.rs` keeps them:
//! `bin` calls [`app`]; only `app` names more than one service; services name only [`model`];
//! `model` names nothing.

// Both panic where the pipe is closed: app::exit prints.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod model;

// Lean: these build without the `server` feature and make up the probe.
pub mod check;
pub mod measure;
pub mod wire;

#[cfg(feature = "server")]
pub mod alert;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod notify;
#[cfg(feature = "server")]
pub mod rule;
#[cfg(feature = "server")]
pub mod ssh;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod view;
#[cfg(feature = "server")]
pub mod web;

pub mod app;
