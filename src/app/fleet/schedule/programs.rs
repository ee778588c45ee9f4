//! Starts `crontab` and `systemctl`, and does not wait for them for ever.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::model::clean::clean;

/// Neither of them takes longer than a moment.
const PATIENCE: Duration = Duration::from_secs(20);
/// No crontab is longer.
const MOST: u64 = 1 << 20;

/// What a program printed; its last complaint where it failed.
///
/// # Errors
/// For people.
#[allow(clippy::disallowed_methods, reason = "cron and systemd are changed by their own programs only")]
pub fn heard(program: &str, args: &[&str], input: &str) -> Result<String, String> {
    let shown = format!("{program} {}", args.join(" "));
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let text = input.to_owned();
    // Each pipe by itself, so that none of them can hold the others.
    std::thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(text.as_bytes())));
    let listen = |pipe: Option<Box<dyn Read + Send>>| {
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = pipe.map_or(Ok(0), |pipe| pipe.take(MOST).read_to_end(&mut bytes));
            // Nobody may be waiting any more.
            let _ = tell.send(read.map(|_| String::from_utf8_lossy(&bytes).into_owned()));
        });
        told
    };
    let out = listen(stdout.map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let complaint = listen(stderr.map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let Ok(said) = out.recv_timeout(PATIENCE) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("{shown}: did not end within {} s", PATIENCE.as_secs()));
    };
    let status = child.wait().map_err(|error| format!("{shown}: {error}"))?;
    let complaint = complaint.recv_timeout(PATIENCE).ok().and_then(Result::ok).unwrap_or_default();
    if !status.success() {
        let last = complaint.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
        return Err(format!("{shown}: {}", clean(last)));
    }
    said.map_err(|error| format!("{shown}: {error}"))
}
