//! Runs a plugin or a script: bounded in time and output, its whole process group ended with it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};

use super::super::answer::excerpt;
use super::super::{Occasion, Trouble};
use crate::model::sample::FaultKind;

const MAX_OUTPUT: usize = 64 * 1024;
const MAX_COMPLAINT: usize = 4 * 1024;
/// Between two looks whether it has ended.
const STEP: Duration = Duration::from_millis(5);
/// How long one that was killed may take to end.
const LAST_PATIENCE: Duration = Duration::from_millis(200);

/// How it ended and what it said.
pub(super) struct Ended {
    /// `None`: by a signal.
    pub code: Option<i32>,
    pub output: String,
    /// The start of its standard error.
    pub complaint: String,
}

/// Runs a plugin of the host. One that everybody may write to is everybody's, and not run.
pub(super) fn plugin(path: &str, args: &[String], at: &Occasion) -> Result<Ended, Trouble> {
    let cannot = |text: String| Trouble::unsupported(format!("{path}: {text}"));
    if !path.starts_with('/') {
        return Err(cannot("is not an absolute path".to_owned()));
    }
    let meta = fs::metadata(path).map_err(|error| cannot(error.to_string()))?;
    if !meta.is_file() || meta.file_type().is_fifo() {
        return Err(cannot("is not a file".to_owned()));
    }
    if meta.mode() & 0o002 != 0 {
        return Err(Trouble::denied(format!("{path}: is writable by everybody; chmod o-w it")));
    }
    run(Path::new(path), args, at)
}

/// Runs a script from memory: nothing is written that others could change, and no filesystem must allow programs.
pub(super) fn script(text: &str, args: &[String], at: &Occasion) -> Result<Ended, Trouble> {
    let failed = |error: io::Error| Trouble::unsupported(format!("the script cannot be put into memory: {error}"));
    if !text.starts_with("#!/") {
        return Err(Trouble::unsupported("the script does not start with #!/ and its interpreter"));
    }
    let written = memfd_create("fleet-check", MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    let mut written = File::from(written);
    written.write_all(text.as_bytes()).map_err(failed)?;
    // What is open for writing is not run: opened anew for reading, and the first handle closed.
    let readable = File::open(format!("/proc/self/fd/{}", written.as_raw_fd())).map_err(failed)?;
    drop(written);
    // The interpreter opens it by this number, so it must outlive the start.
    fcntl_setfd(&readable, FdFlags::empty()).map_err(|error| failed(error.into()))?;
    let path = format!("/proc/self/fd/{}", readable.as_raw_fd());
    let mut tries = 0;
    loop {
        match run(Path::new(&path), args, at) {
            // Another check was being started and still held the first handle for a moment.
            Err(Trouble::Unknown(FaultKind::Unsupported, text)) if text.contains("(os error 26)") && tries < 40 => {
                tries += 1;
                std::thread::sleep(STEP);
            }
            ended => return ended,
        }
    }
}

/// Ends the whole group, whatever becomes of the run.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        // One that waits for a dead server does not die, and root's own (sudo's) we may not kill: it is left behind.
        let end = Instant::now() + LAST_PATIENCE;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(STEP);
        }
    }
}

fn run(path: &Path, args: &[String], at: &Occasion) -> Result<Ended, Trouble> {
    let failed = |error: io::Error| Trouble::unsupported(format!("cannot be run: {error}"));
    let (mut out, far_out) = io::pipe().map_err(failed)?;
    let (mut errors, far_errors) = io::pipe().map_err(failed)?;
    for end in [&out, &errors] {
        fcntl_setfl(end, OFlags::NONBLOCK).map_err(|error| failed(error.into()))?;
    }
    #[allow(clippy::disallowed_methods, reason = "the home of plugins and scripts that the configuration orders")]
    let mut command = Command::new(path);
    command.args(args).current_dir("/").process_group(0).stdin(Stdio::null());
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin").env("LC_ALL", "C.UTF-8");
    command.envs(std::env::var_os("HOME").map(|home| ("HOME", home)));
    command.stdout(far_out).stderr(far_errors);
    let mut child = Group((at.starter)(&mut command).map_err(failed)?);
    // Our copies of the far ends, or the end of the output would never be seen.
    drop(command);
    let (mut output, mut complaint) = (Vec::new(), Vec::new());
    let mut ended = None;
    let mut buffer = [0; 4096];
    while ended.is_none() || output.len() < MAX_OUTPUT {
        if Instant::now() >= at.until {
            return Err(Trouble::Unknown(FaultKind::Hung, "did not end within the timeout; it was killed".to_owned()));
        }
        while let Ok(count @ 1..) = errors.read(&mut buffer) {
            complaint.extend_from_slice(&buffer[..count.min(MAX_COMPLAINT.saturating_sub(complaint.len()))]);
        }
        match out.read(&mut buffer) {
            // What is beyond the bound is read and dropped, so that the plugin can end.
            Ok(count @ 1..) => {
                output.extend_from_slice(&buffer[..count.min(MAX_OUTPUT.saturating_sub(output.len()))]);
                continue;
            }
            // A helper that was left behind may hold the output open: after the end there is one more look, no more.
            _ if ended.is_some() => break,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(failed(error)),
        }
        ended = child.0.try_wait().map_err(failed)?;
        if ended.is_none() {
            std::thread::sleep(STEP);
        }
    }
    let output = String::from_utf8_lossy(&output).into_owned();
    Ok(Ended { code: ended.and_then(|status| status.code()), output, complaint: excerpt(&complaint) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within<T>(millis: u64, run: impl FnOnce(&Occasion) -> T) -> T {
        let order = crate::model::check::Order::default();
        let until = Instant::now() + Duration::from_millis(millis);
        run(&Occasion { order: &order, until, now: 0, note: "", root: Path::new("/"), starter: Command::spawn })
    }

    fn sh(body: &str, millis: u64) -> Result<Ended, Trouble> {
        within(millis, |at| script(&format!("#!/bin/sh\n{body}\n"), &["a b".into()], at))
    }

    #[test]
    fn scripts_run_from_memory_with_their_arguments() {
        let ended = sh("echo \"$# $1\"; echo oops >&2; exit 2", 5000).unwrap();
        assert_eq!((ended.code, ended.output.as_str(), ended.complaint.as_str()), (Some(2), "1 a b\n", "oops"));
        assert!(sh("env", 5000).unwrap().output.lines().count() < 8);
        assert!(within(100, |at| script("echo no interpreter", &[], at)).is_err());
        assert!(within(100, |at| script("#!/no/such/shell\n", &[], at)).is_err());
    }

    #[test]
    fn what_hangs_floods_or_leaves_a_helper_is_ended() {
        let begin = Instant::now();
        assert!(matches!(sh("sleep 60", 300), Err(Trouble::Unknown(FaultKind::Hung, _))));
        assert!(matches!(sh("yes", 300), Err(Trouble::Unknown(FaultKind::Hung, _))));
        assert!(matches!(sh("yes >&2", 300), Err(Trouble::Unknown(FaultKind::Hung, _))));
        let ended = sh("sleep 60 & echo done", 10_000).unwrap();
        assert_eq!(ended.output, "done\n");
        let long = sh("head -c 1000000 /dev/zero | tr '\\0' x", 20_000).unwrap();
        assert_eq!(long.output.len(), MAX_OUTPUT);
        assert_eq!(sh("kill -9 $$", 5000).unwrap().code, None);
        assert!(begin.elapsed() < Duration::from_secs(40));
    }

    #[test]
    fn a_plugin_is_a_file_of_its_own_by_absolute_path() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("check");
        fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
        let run = |mode: u32| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            within(5000, |at| plugin(&path.display().to_string(), &[], at)).map(|ended| ended.code)
        };
        assert_eq!(run(0o755), Ok(Some(0)));
        assert!(matches!(run(0o757), Err(Trouble::Unknown(FaultKind::Denied, _))));
        assert!(run(0o644).is_err());
        for bad in ["true", "/", "/none", "../bin/true"] {
            assert!(within(100, |at| plugin(bad, &[], at)).is_err(), "{bad}");
        }
    }
}
