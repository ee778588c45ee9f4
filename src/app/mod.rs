//! Ring 2: puts the services together. Clock, lock, threads, retry and exit codes live here, once.

pub mod clock;
pub mod exit;
pub mod probe;

#[cfg(feature = "server")]
pub mod alerter;
#[cfg(feature = "server")]
pub mod collector;
#[cfg(feature = "server")]
pub mod context;
#[cfg(feature = "server")]
mod descriptors;
#[cfg(feature = "server")]
pub mod dialer;
#[cfg(feature = "server")]
pub mod files;
#[cfg(feature = "server")]
pub mod fleet;
#[cfg(feature = "server")]
mod harden;
#[cfg(feature = "server")]
pub mod keyring;
#[cfg(feature = "server")]
pub mod lock;
#[cfg(feature = "server")]
pub mod logging;
#[cfg(feature = "server")]
mod orders;
#[cfg(feature = "server")]
pub mod past;
#[cfg(feature = "server")]
pub mod secrets;
#[cfg(feature = "server")]
pub mod serve;
#[cfg(feature = "server")]
pub mod snapshot;
#[cfg(feature = "server")]
pub mod state;
#[cfg(feature = "server")]
pub mod then;
