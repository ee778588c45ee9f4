//! A real terminal for programs that ask: tmux, driven as a person does.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// One window of 80 columns; its program ends with it.
pub struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Starts a shell command in a folder; once it ends, its exit code is shown as `ENDED 0`.
    pub fn start(folder: &Path, home: &Path, command: &str) -> Self {
        Self::sized(folder, home, command, (80, 60))
    }

    /// As [`Terminal::start`], with so many columns and rows.
    pub fn sized(folder: &Path, home: &Path, command: &str, (columns, rows): (u16, u16)) -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // A socket's path has room for a hundred letters only.
        let socket = PathBuf::from(format!("/tmp/fleet-tmux-{}-{number}", std::process::id()));
        let terminal = Self { socket };
        // Ctrl-C is for the program, not for the shell around it.
        let script = format!("trap : INT; cd '{}'; {command}; echo ENDED $?; exec sleep 600", folder.display());
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut tmux = terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows]);
        tmux.arg(script).env("HOME", home).env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh");
        tmux.env_remove("TMUX").env_remove("FLEET_CONFIG").env_remove("XDG_CACHE_HOME").env_remove("SSH_AUTH_SOCK");
        let done = tmux.output().expect("tmux is needed; install it with: make deps");
        assert!(done.status.success(), "tmux: {}", String::from_utf8_lossy(&done.stderr));
        terminal
    }

    fn tmux(&self, args: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(args);
        command
    }

    /// What is on the screen, wrapped lines joined.
    pub fn screen(&self) -> String {
        let done = self.tmux(&["capture-pane", "-p", "-J"]).output().expect("tmux");
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// Waits until the screen ends with a text: the question that is open.
    #[track_caller]
    pub fn asks(&self, question: &str) {
        self.until(question, |screen| screen.ends_with(question));
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.until(text, |screen| screen.contains(text));
    }

    /// Waits until the screen is as somebody wants it.
    #[track_caller]
    pub fn until(&self, what: &str, found: impl Fn(&str) -> bool) {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if found(&screen) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "waited for {what:?} in vain:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Types a line, and Enter.
    pub fn types(&self, line: &str) {
        if !line.is_empty() {
            assert!(self.tmux(&["send-keys", "-l", line]).status().expect("tmux").success());
        }
        self.presses("Enter");
    }

    /// Gives the window another size, as somebody who pulls at its corner does.
    pub fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        assert!(self.tmux(&["resize-window", "-x", &columns, "-y", &rows]).status().expect("tmux").success());
    }

    /// The window goes away, as when a line breaks.
    pub fn hangs_up(&self) {
        let _ = self.tmux(&["kill-server"]).output();
    }

    /// Asks tmux, in its own words for formats: `#{cursor_flag}`.
    pub fn told(&self, format: &str) -> String {
        let done = self.tmux(&["display-message", "-p", format]).output().expect("tmux");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// The screen with its colours, as sequences of a terminal.
    pub fn colored(&self) -> String {
        let done = self.tmux(&["capture-pane", "-p", "-e"]).output().expect("tmux");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Presses a key: `C-c`, `C-d`.
    pub fn presses(&self, key: &str) {
        assert!(self.tmux(&["send-keys", key]).status().expect("tmux").success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]).output();
        let _ = std::fs::remove_file(&self.socket);
    }
}
