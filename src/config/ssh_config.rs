//! What `ssh` itself makes of its configuration: `ssh -G` knows Include, Match and every default, so nothing of that is
//! read here. It costs some milliseconds a host, so its answers are kept until one of the files that it read changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod answer;

use answer::home;
pub(super) use answer::{Answer, IdentityAgent};

/// For one answer: what `Match exec` starts may hang.
const PATIENCE: Duration = Duration::from_secs(10);

/// The words of an answer that are used.
const WORDS: &[&str] = &[
    "certificatefile",
    "connecttimeout",
    "controlpath",
    "globalknownhostsfile",
    "host",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "identityfile",
    "port",
    "proxycommand",
    "proxyjump",
    "revokedhostkeys",
    "stricthostkeychecking",
    "user",
    "userknownhostsfile",
];

/// What is asked: as on the command line of `ssh`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    /// Never begins with `-`.
    pub host: &'a str,
    pub user: Option<&'a str>,
    pub port: Option<u16>,
    /// Read instead of the user's and the system's configuration.
    pub file: Option<&'a Path>,
}

/// Answers that hold while no file changes.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    /// What answers were read for; those of another program may lack a word.
    #[serde(default)]
    words: String,
    /// Each file that was read, the folder around it, and when either last changed; `None`: it is not there.
    files: BTreeMap<PathBuf, Option<i128>>,
    /// The variables that these name, and a digest of each: ssh puts some into its answers. `None`: it is not set.
    #[serde(default)]
    variables: BTreeMap<String, Option<u64>>,
    answers: BTreeMap<String, Answer>,
}

/// Asks ssh, or its answers of earlier.
pub(super) struct SshConfig {
    /// Where answers are kept for later runs.
    file: PathBuf,
    kept: Option<Kept>,
    fresh: bool,
}

impl SshConfig {
    /// Answers are kept in this folder, where it is there.
    pub fn new(folder: &Path) -> Self {
        let user = rustix::process::geteuid().as_raw();
        Self { file: folder.join(format!("ssh-config-{user}.json")), kept: None, fresh: false }
    }

    /// What ssh would do for a host.
    ///
    /// The error is for people.
    pub fn ask(&mut self, question: Question<'_>) -> Result<Answer, String> {
        let file = &self.file;
        let kept = self.kept.get_or_insert_with(|| read(file));
        let key = format!("{question:?}");
        if let Some(answer) = kept.answers.get(&key) {
            return Ok(answer.clone());
        }
        let output = run(&question)?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let why = said.lines().rfind(|line| !line.starts_with("debug1: ")).unwrap_or("it gives no reason");
            return Err(format!("ssh -G {}: {}", question.host, why.trim()));
        }
        let answer = Answer::read(&String::from_utf8_lossy(&output.stdout));
        let read: BTreeSet<PathBuf> = said
            .lines()
            .filter_map(|line| line.strip_prefix("debug1: Reading configuration data "))
            .map(|path| PathBuf::from(path.trim()))
            .collect();
        let texts: Vec<String> = read.iter().map(|path| text_of(path)).collect();
        if !texts.iter().any(|text| asks_commands(text)) {
            for name in texts.iter().flat_map(|text| variables(text)) {
                let digest = digest(&name);
                kept.variables.insert(name, digest);
            }
            let own = home().filter(|_| question.file.is_none()).map(|home| home.join(".ssh/config"));
            for path in read.iter().chain(&own) {
                for path in [Some(path.as_path()), path.parent()].into_iter().flatten() {
                    kept.files.insert(path.to_owned(), changed(path));
                }
            }
            kept.answers.insert(key, answer.clone());
            self.fresh = true;
        }
        Ok(answer)
    }
}

impl Drop for SshConfig {
    /// Keeps the answers. Where that fails ssh is asked again, which costs time and nothing else.
    fn drop(&mut self) {
        if let (true, Some(kept)) = (self.fresh, &self.kept)
            && let Ok(text) = serde_json::to_vec(kept)
        {
            let next = self.file.with_extension(format!("{}.new", std::process::id()));
            let _ = write(&next, &text).and_then(|()| fs::rename(&next, &self.file));
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, bytes)
}

/// What was kept, if all of it still holds.
fn read(file: &Path) -> Kept {
    let kept = fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok()).unwrap_or_default();
    let words = WORDS.join(" ");
    let holds = kept.words == words
        && kept.files.iter().all(|(path, at)| changed(path) == *at)
        && kept.variables.iter().all(|(name, at)| digest(name) == *at);
    if holds { kept } else { Kept { words, ..Kept::default() } }
}

/// When it last changed, in nanoseconds; `None`: it is not there.
fn changed(path: &Path) -> Option<i128> {
    let meta = fs::metadata(path).ok()?;
    Some(i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()))
}

fn text_of(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// What a command says may change with anything.
fn asks_commands(text: &str) -> bool {
    let text = text.to_lowercase();
    text.lines().any(|line| line.trim_start().starts_with("match") && line.contains("exec"))
}

/// The names in `${NAME}`.
fn variables(text: &str) -> impl Iterator<Item = String> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name.to_owned())
}

/// Not the value, which may be a secret.
fn digest(variable: &str) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    std::env::var_os(variable)?.hash(&mut hasher);
    Some(hasher.finish())
}

#[allow(clippy::disallowed_methods, reason = "one of the places that start programs")]
fn run(question: &Question<'_>) -> Result<Output, String> {
    let mut ssh = Command::new("ssh");
    // -v names the files that are read. Of all paths with tokens only some are expanded, and this is one of them.
    ssh.args(["-G", "-v", "-o", "ControlPath=%C"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(file) = question.file {
        ssh.arg("-F").arg(file);
    }
    if let Some(user) = question.user {
        ssh.args(["-l", user]);
    }
    if let Some(port) = question.port {
        ssh.args(["-p", &port.to_string()]);
    }
    let child = ssh.args(["--", question.host]).spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            "the program ssh is not there; install it: apt-get install openssh-client".to_owned()
        }
        _ => format!("ssh cannot be started: {error}"),
    })?;
    let id = child.id();
    let (say, heard) = mpsc::channel();
    // Reads on its own, for a read cannot be given a deadline; it ends with the command.
    std::thread::spawn(move || say.send(child.wait_with_output()));
    match heard.recv_timeout(PATIENCE) {
        Ok(done) => done.map_err(|error| format!("ssh -G {}: {error}", question.host)),
        Err(_) => {
            if let Some(group) = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let seconds = PATIENCE.as_secs();
            Err(format!("ssh -G {} did not answer within {seconds} s: a command of Match exec?", question.host))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_until_a_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (main, more) = (folder.path().join("config"), folder.path().join("more"));
        fs::create_dir(&more).unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        fs::write(&main, format!("Include {}/*.conf\nHost web\n  Port 2201\n", more.display())).unwrap();
        fs::write(more.join("a.conf"), "Host db\n  Port 5\n").unwrap();
        let ask = |host: &str| {
            let mut ssh = SshConfig::new(&state);
            let answer = ssh.ask(Question { host, user: None, port: None, file: Some(&main) }).unwrap();
            (answer.one("port").unwrap().to_owned(), ssh.fresh)
        };
        assert_eq!(ask("web"), ("2201".to_owned(), true));
        assert_eq!(ask("web"), ("2201".to_owned(), false));
        // A file more in a folder that is included.
        fs::write(more.join("b.conf"), "Host web\n  Port 2202\n").unwrap();
        assert_eq!(ask("web"), ("2202".to_owned(), true));
        assert_eq!(ask("web"), ("2202".to_owned(), false));
        // What a variable decides, until it changes; ssh puts no other kind of path into its answer.
        fs::write(&main, "Host web\n  IdentityAgent /${PATH}/a\n").unwrap();
        assert_eq!((ask("web").1, ask("web").1), (true, false));
        let file = SshConfig::new(&state).file.clone();
        let mut kept = read(&file);
        assert_eq!(kept.variables.keys().collect::<Vec<_>>(), ["PATH"]);
        kept.variables.insert("PATH".to_owned(), Some(7));
        fs::write(&file, serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!((ask("web").1, ask("web").1), (true, false));
        // What a command decides is asked each time.
        fs::write(&main, "Match host web exec \"true\"\n  Port 2203\n").unwrap();
        assert_eq!(ask("web"), ("2203".to_owned(), false));
        fs::write(&main, "Nonsense here\n").unwrap();
        let question = Question { host: "web", user: None, port: None, file: Some(&main) };
        let why = SshConfig::new(&state).ask(question).unwrap_err();
        assert!(why.contains("ssh -G web") && why.contains("config"), "{why}");
    }
}
