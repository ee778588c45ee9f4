//! Questions to a person at a terminal, each with its default; a wrong answer is asked again.

use std::io::{BufRead, IsTerminal, Write};

use crate::app::exit::{self, Exit, Failure};

/// Whether somebody is there to answer.
pub fn somebody() -> bool {
    std::io::stdin().is_terminal()
}

/// One answer; nothing typed is the default. The question goes to standard error, so that output can go elsewhere.
///
/// # Errors
/// No answer at all (Ctrl-D).
pub fn once(question: &str, default: &str) -> Result<String, Failure> {
    let broken = |error: std::io::Error| Failure::new(Exit::Failed, format!("terminal: {error}"));
    let mut terminal = std::io::stderr();
    let shown = if default.is_empty() { String::new() } else { format!("[{default}] ") };
    write!(terminal, "{question} {shown}").and_then(|()| terminal.flush()).map_err(broken)?;
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer).map_err(broken)? == 0 {
        exit::complain("");
        return Err(Failure::new(Exit::Usage, "no answer; nothing more was done"));
    }
    let answer = answer.trim();
    Ok(if answer.is_empty() { default.to_owned() } else { answer.to_owned() })
}

/// Asks until the answer is one that `check` takes; says each time why it is not.
///
/// # Errors
/// As [`once`].
pub fn until<T>(question: &str, default: &str, check: impl Fn(&str) -> Result<T, String>) -> Result<T, Failure> {
    loop {
        match check(&once(question, default)?) {
            Ok(value) => return Ok(value),
            Err(why) => exit::complain(&format!("  {why}")),
        }
    }
}

/// A question for yes or no.
///
/// # Errors
/// As [`once`].
pub fn yes(question: &str, default: bool) -> Result<bool, Failure> {
    until(question, if default { "Y/n" } else { "y/N" }, |answer| match answer.to_ascii_lowercase().as_str() {
        "y/n" => Ok(default),
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err("type y or n".to_owned()),
    })
}

/// An answer that the terminal does not show.
///
/// # Errors
/// As [`once`], and where the terminal cannot be told to hide it.
pub fn hidden(question: &str) -> Result<String, Failure> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let broken = |error: rustix::io::Errno| Failure::new(Exit::Failed, format!("terminal: {error}"));
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).map_err(broken)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(broken)?;
    let answer = once(question, "");
    let back = tcsetattr(&stdin, OptionalActions::Now, &before).map_err(broken);
    exit::complain("");
    back.and(answer)
}
