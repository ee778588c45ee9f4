//! How programs of the machine are started: whoever starts them for others says how.

use std::io;
use std::process::{Child, Command};

/// Starts a program.
pub type Starter = fn(&mut Command) -> io::Result<Child>;
