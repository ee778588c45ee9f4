//! What takes long is asked by another process after the sample was handed over: the collector waits for nobody.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::fail::Fail;
use super::guard::{self, Alarm};
use super::spool;
use crate::app::clock;
use crate::app::exit::{Exit, Failure, Outcome};
use crate::measure::{self, Answers, MAX_ANSWERS_FILE, MAX_SMART_FILE, MAX_UPDATES_FILE, Root, Smart, Updates};

/// The argument that makes the probe the other process.
pub const REFRESH: &str = "--refresh";
/// The package manager's last answer, in the spool.
pub const UPDATES: &str = "updates";
/// The disks' last answers, in the spool.
pub const SMART: &str = "smart";
/// The last answers to all else, in the spool.
pub const ANSWERS: &str = "answers";
/// Locked while somebody asks.
const TURN: &str = "refresh.lock";
/// In seconds: two questions of a minute to the package manager, one and three quarters to the disks, two to all else, and
/// some.
const DEADLINE: u64 = 360;

/// Starts the other process; where that fails, the next visit tries again.
pub fn start(dir: &Path) {
    #[allow(clippy::disallowed_methods, reason = "the probe's own second half")]
    let mut command = Command::new("/proc/self/exe");
    command.arg(REFRESH).arg("--spool").arg(dir).env_clear();
    // Nothing of ours stays in use: no channel, no terminal, no group that a signal reaches.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let _ = guard::spawn(&mut command);
}

/// Asks and keeps the answers.
pub fn refresh(root: &Root, dir: &Path) -> Outcome {
    Alarm::start().set(DEADLINE);
    let failed = |fail: Fail| Failure::new(Exit::Failed, format!("{}; {}", fail.text, fail.cause.remedy()));
    let dir = spool::safe_dir(dir, true).map_err(failed)?;
    // One that is not done, or cannot be ended, is not joined by more with each visit.
    let Some(_turn) = spool::turn(&dir, TURN).map_err(|error| failed(Fail::io(&dir.join(TURN), &error)))? else {
        return Ok(Exit::Done);
    };
    let now = clock::now().timestamp();
    // Each answer is kept as it comes: what hangs later takes none of them along. The disks first: they answer at once.
    measure::ask_disks(root, last_smart(&dir).as_ref(), now, &mut |smart| spool::keep(&dir, SMART, &smart.bytes()));
    measure::ask_questions(root, last_answers(&dir).as_ref(), now, &mut |answers| {
        spool::keep(&dir, ANSWERS, &answers.bytes());
    });
    if measure::updates_wait(root, last_updates(&dir).as_ref(), now)
        && let Some(updates) = measure::ask_for_updates(root, now)
    {
        spool::keep(&dir, UPDATES, &updates.bytes());
    }
    Ok(Exit::Done)
}

/// What the disks said last.
pub fn last_smart(dir: &Path) -> Option<Smart> {
    Smart::parse(&spool::kept(dir, SMART, MAX_SMART_FILE)?)
}

/// What the package manager said last.
pub fn last_updates(dir: &Path) -> Option<Updates> {
    Updates::parse(&spool::kept(dir, UPDATES, MAX_UPDATES_FILE)?)
}

/// What was answered last to all else.
pub fn last_answers(dir: &Path) -> Option<Answers> {
    Answers::parse(&spool::kept(dir, ANSWERS, MAX_ANSWERS_FILE)?)
}
