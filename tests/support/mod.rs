//! What tests of whole programs start from: a real sshd, a real mail server, our own programs.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "helpers of tests: each test uses some, and a failure is the test's"
)]

pub mod filled;
pub mod fleet;
pub mod given;
pub mod golden;
pub mod local;
pub mod mailbox;
pub mod probed;
pub mod run;
pub mod servers;
pub mod smtpd;
pub mod sshd;
pub mod terminal;
pub mod web;
