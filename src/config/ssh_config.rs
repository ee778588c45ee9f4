//! What `ssh` itself makes of its configuration: `ssh -G` knows Include, Match and every default, so nothing of that is
//! read here. It costs some milliseconds a host, so its answers are kept until one of the files that it read changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// For one answer: what `Match exec` starts may hang.
const PATIENCE: Duration = Duration::from_secs(10);

/// The words of an answer that are used.
const WORDS: &[&str] = &[
    "certificatefile",
    "connecttimeout",
    "globalknownhostsfile",
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

/// Which agent ssh asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IdentityAgent {
    /// That of `SSH_AUTH_SOCK`.
    Usual,
    /// What listens there.
    At(PathBuf),
    /// None at all.
    None,
}

/// What ssh says of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    lines: Vec<(String, String)>,
}

impl Answer {
    fn read(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        let wanted = pairs.filter(|(word, _)| WORDS.contains(word));
        Self { lines: wanted.map(|(word, value)| (word.to_owned(), value.trim().to_owned())).collect() }
    }

    fn all<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter(move |(its, _)| its == word).map(|(_, value)| value.as_str())
    }

    /// The value, where there is one; ssh writes `none` for nothing.
    pub fn one<'a>(&'a self, word: &'a str) -> Option<&'a str> {
        self.all(word).next().filter(|value| !value.is_empty() && *value != "none")
    }

    /// Whether ssh speaks of it at all.
    pub fn has(&self, word: &str) -> bool {
        self.all(word).next().is_some()
    }

    pub fn yes(&self, word: &str) -> bool {
        matches!(self.one(word), Some("yes" | "true"))
    }

    /// The agent that ssh asks. `SSH_AUTH_SOCK` and `$NAME` stand for a variable, as ssh_config(5) has it.
    pub fn agent(&self) -> IdentityAgent {
        match (self.one("identityagent"), self.has("identityagent")) {
            (None, true) => IdentityAgent::None,
            (None, false) | (Some("SSH_AUTH_SOCK"), _) => IdentityAgent::Usual,
            (Some(value), _) => match value.strip_prefix('$') {
                Some(name) => std::env::var_os(name).map_or(IdentityAgent::None, |path| IdentityAgent::At(path.into())),
                None => IdentityAgent::At(self.expand(value)),
            },
        }
    }

    /// Files that are named one a line, those that are there.
    pub fn files(&self, word: &str) -> Vec<PathBuf> {
        let named = self.all(word).filter(|value| *value != "none");
        named.map(|value| self.expand(value)).filter(|path| path.exists()).collect()
    }

    /// Files that are named in one line.
    pub fn list(&self, word: &str) -> Vec<PathBuf> {
        let names = self.one(word).unwrap_or_default();
        names.split(' ').filter(|name| !name.is_empty() && *name != "none").map(|name| self.expand(name)).collect()
    }

    /// `~` and the tokens of ssh_config(5) that name files; ssh leaves them as they were typed.
    fn expand(&self, value: &str) -> PathBuf {
        let home = home().unwrap_or_default();
        let value = match value.strip_prefix("~/") {
            Some(rest) => format!("{}/{rest}", home.display()),
            None => value.to_owned(),
        };
        let mut out = String::new();
        let mut rest = value.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match rest.next() {
                Some('%') => out.push('%'),
                Some('d') => out.push_str(&home.to_string_lossy()),
                Some('h') => out.push_str(self.one("hostname").unwrap_or_default()),
                Some('p') => out.push_str(self.one("port").unwrap_or_default()),
                Some('r') => out.push_str(self.one("user").unwrap_or_default()),
                Some('i') => out.push_str(&rustix::process::getuid().as_raw().to_string()),
                other => {
                    out.push('%');
                    out.extend(other);
                }
            }
        }
        PathBuf::from(out)
    }
}

/// Answers that hold while no file changes.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    /// What answers were read for; those of another program may lack a word.
    #[serde(default)]
    words: String,
    /// Each file that was read, the folder around it, and when either last changed; `None`: it is not there.
    files: BTreeMap<PathBuf, Option<i128>>,
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
        // What a command says may change with anything.
        if !read.iter().any(|path| asks_commands(path)) {
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
    let holds = kept.words == words && kept.files.iter().all(|(path, at)| changed(path) == *at);
    if holds { kept } else { Kept { words, ..Kept::default() } }
}

/// When it last changed, in nanoseconds; `None`: it is not there.
fn changed(path: &Path) -> Option<i128> {
    let meta = fs::metadata(path).ok()?;
    Some(i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()))
}

fn asks_commands(path: &Path) -> bool {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).to_lowercase()).unwrap_or_default();
    text.lines().any(|line| line.trim_start().starts_with("match") && line.contains("exec"))
}

/// The user's home as ssh has it: by the user's id, whatever `HOME` says.
fn home() -> Option<PathBuf> {
    let id = rustix::process::getuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mine = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let home = mine.filter(|words| words.get(2) == Some(&id.as_str())).find_map(|words| words.get(5).copied());
    home.map(PathBuf::from).or_else(|| std::env::var_os("HOME").map(PathBuf::from))
}

#[allow(clippy::disallowed_methods, reason = "one of the places that start programs")]
fn run(question: &Question<'_>) -> Result<Output, String> {
    let mut ssh = Command::new("ssh");
    // -v names the files that are read.
    ssh.args(["-G", "-v"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
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
    fn words_of_an_answer() {
        let text = "host x\nuser deploy\nhostname 10.0.0.1\nport 2222\nproxyjump a,b\nconnecttimeout none\n\
                    identitiesonly yes\nidentityfile /no/such\nidentityfile /etc/%p/../passwd\n\
                    userknownhostsfile /k/%h %d/x\nlogverbose none\n";
        let answer = Answer::read(text);
        assert_eq!((answer.one("user"), answer.one("port")), (Some("deploy"), Some("2222")));
        assert_eq!((answer.one("connecttimeout"), answer.one("host")), (None, None));
        assert!(answer.yes("identitiesonly") && !answer.yes("user"));
        assert_eq!(answer.files("identityfile"), Vec::<PathBuf>::new());
        let home = home().unwrap();
        assert_eq!(answer.list("userknownhostsfile"), [PathBuf::from("/k/10.0.0.1"), home.join("x")]);
        let agent = |line: &str| Answer::read(&format!("user deploy\n{line}\n")).agent();
        assert_eq!((agent(""), agent("identityagent SSH_AUTH_SOCK")), (IdentityAgent::Usual, IdentityAgent::Usual));
        assert_eq!(agent("identityagent none"), IdentityAgent::None);
        assert_eq!(agent("identityagent $NO_SUCH_SOCK"), IdentityAgent::None);
        let path = PathBuf::from(std::env::var_os("PATH").unwrap());
        assert_eq!(agent("identityagent $PATH"), IdentityAgent::At(path));
        let at = agent("identityagent ~/agents/%r.sock");
        assert_eq!(at, IdentityAgent::At(home.join("agents/deploy.sock")));
    }

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
        // What a command decides is asked each time.
        fs::write(&main, "Match host web exec \"true\"\n  Port 2203\n").unwrap();
        assert_eq!(ask("web"), ("2203".to_owned(), false));
        fs::write(&main, "Nonsense here\n").unwrap();
        let question = Question { host: "web", user: None, port: None, file: Some(&main) };
        let why = SshConfig::new(&state).ask(question).unwrap_err();
        assert!(why.contains("ssh -G web") && why.contains("config"), "{why}");
    }
}
