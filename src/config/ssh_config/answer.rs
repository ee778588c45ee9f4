//! What an answer of `ssh -G` says: agents and files, with what stands for something else put in.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::WORDS;

/// Which agent ssh asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum IdentityAgent {
    /// That of `SSH_AUTH_SOCK`.
    Usual,
    /// What listens there.
    At(PathBuf),
    /// None at all.
    None,
}

/// What ssh says of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Answer {
    lines: Vec<(String, String)>,
}

impl Answer {
    pub(super) fn read(text: &str) -> Self {
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
                None => IdentityAgent::At(self.expand(value).0),
            },
        }
    }

    /// The only keys that ssh asks its agent for, each as the second word of its public half; none: all that it holds. `None`
    /// where ssh asks no agent. With `IdentitiesOnly` they are those that are named and of which nothing else can be used
    /// here, as with tokens and password managers.
    pub fn agent_keys(&self) -> Option<Vec<String>> {
        if self.agent() == IdentityAgent::None || !self.yes("identitiesonly") {
            return (self.agent() != IdentityAgent::None).then(Vec::new);
        }
        let half = |path: PathBuf| {
            let text = fs::read_to_string(public(&path)).ok()?;
            text.split_ascii_whitespace().nth(1).map(str::to_owned)
        };
        let keys = self.named("identityfile").filter(|path| !path.exists() || is_locked(path)).filter_map(half);
        Some(keys.collect::<Vec<_>>()).filter(|keys| !keys.is_empty())
    }

    /// Files that are named one a line.
    fn named<'a>(&'a self, word: &'a str) -> impl Iterator<Item = PathBuf> {
        self.all(word).filter(|value| *value != "none").map(|value| self.expand(value).0)
    }

    /// Those of the private keys that are there.
    pub fn key_files(&self) -> Vec<PathBuf> {
        self.named("identityfile").filter(|path| path.exists()).collect()
    }

    /// Those of the certificates that are there; ssh looks for `NAME.pub` too.
    pub fn certificate_files(&self) -> Vec<PathBuf> {
        let found =
            |path: PathBuf| if path.exists() { Some(path) } else { Some(public(&path)).filter(|it| it.exists()) };
        self.named("certificatefile").filter_map(found).collect()
    }

    /// What is wrong with files that are named one a line, and by the user: ssh's own defaults need not be there. The private
    /// half of a key may be in an agent, if one is asked.
    pub fn missing(&self, word: &str, agent: bool) -> Vec<String> {
        let named: Vec<&str> = self.all(word).filter(|value| *value != "none").collect();
        if DEFAULTS.iter().all(|name| named.contains(name)) {
            return Vec::new();
        }
        let wrong = named.into_iter().filter_map(|value| match self.expand(value) {
            (_, false) => Some(format!("{value} has a part that stands for nothing here")),
            (path, true) if path.exists() => None,
            (path, true) if public(&path).exists() => (word == "identityfile" && !agent).then(|| {
                format!("{} is not there, only its public half, and the agent is not asked for it", path.display())
            }),
            (path, true) => Some(format!("{} is not there", path.display())),
        });
        wrong.collect()
    }

    /// Files that are named in one line.
    pub fn list(&self, word: &str) -> Vec<PathBuf> {
        let names = self.one(word).unwrap_or_default();
        names.split(' ').filter(|name| !name.is_empty() && *name != "none").map(|name| self.expand(name).0).collect()
    }

    /// `~`, variables and the tokens of ssh_config(5) that name files, of which ssh leaves some as they were typed; and
    /// whether all of them are known.
    fn expand(&self, value: &str) -> (PathBuf, bool) {
        let (mut out, mut whole) = (String::new(), true);
        let mut rest = value;
        if let Some(after) = value.strip_prefix('~') {
            let (user, path) = after.split_at(after.find('/').unwrap_or(after.len()));
            let home = if user.is_empty() { home() } else { account(0, user).map(|account| account.home) };
            match home {
                Some(home) => {
                    out.push_str(&home.to_string_lossy());
                    rest = path;
                }
                None => whole = false,
            }
        }
        while let Some(at) = rest.find(['%', '$']) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let (name, says) = if let Some((name, _)) = rest.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
                (name.len() + 3, std::env::var(name).ok())
            } else if let Some(after) = rest.strip_prefix('%') {
                let token = after.chars().next();
                (1 + token.map_or(0, char::len_utf8), token.and_then(|token| self.token(token)))
            } else {
                // A dollar that is one.
                (1, Some("$".to_owned()))
            };
            whole &= says.is_some();
            out.push_str(says.as_deref().unwrap_or(&rest[..name]));
            rest = &rest[name..];
        }
        out.push_str(rest);
        (PathBuf::from(out), whole)
    }

    /// What a token stands for.
    fn token(&self, token: char) -> Option<String> {
        let id = rustix::process::getuid().as_raw().to_string();
        let machine = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        match token {
            '%' => Some("%".to_owned()),
            // What goes into it differs by ssh's version: it was asked for as a path that ssh expands itself.
            'C' => self.one("controlpath").map(str::to_owned),
            'd' => home().map(|home| home.to_string_lossy().into_owned()),
            'h' => self.one("hostname").map(str::to_owned),
            'i' => Some(id),
            'j' => Some(self.last_jump().to_owned()),
            'k' => self.one("hostkeyalias").or_else(|| self.one("host")).map(str::to_owned),
            'L' => machine().split('.').next().map(str::to_owned),
            'l' => Some(machine()),
            'n' => self.one("host").map(str::to_owned),
            'p' => self.one("port").map(str::to_owned),
            'r' => self.one("user").map(str::to_owned),
            'u' => account(2, &id).map(|account| account.name),
            _ => None,
        }
    }

    /// The name of the machine that is logged in to just before the host's own login.
    fn last_jump(&self) -> &str {
        let last = self.one("proxyjump").and_then(|line| line.rsplit(',').next()).unwrap_or_default();
        let last = last.rsplit_once('@').map_or(last, |(_, place)| place);
        match last.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(rest),
            None => last.split_once(':').filter(|(_, port)| !port.contains(':')).map_or(last, |(name, _)| name),
        }
    }
}

/// Some of the keys that ssh tries where none is named.
const DEFAULTS: &[&str] = &["~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519"];

/// The user's home as ssh has it: by the user's id, whatever `HOME` says.
pub(super) fn home() -> Option<PathBuf> {
    let mine = account(2, &rustix::process::getuid().as_raw().to_string());
    mine.map(|account| account.home).or_else(|| std::env::var_os("HOME").map(PathBuf::from))
}

/// Whether a private key needs a passphrase.
fn is_locked(path: &Path) -> bool {
    // How the body of a file of OpenSSH begins where its cipher is "none" (PROTOCOL.key).
    let open = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";
    fs::read_to_string(path)
        .is_ok_and(|text| text.contains("ENCRYPTED") || text.contains("OPENSSH PRIVATE KEY") && !text.contains(open))
}

/// Beside a key.
fn public(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

struct Account {
    name: String,
    home: PathBuf,
}

/// The first line of /etc/passwd that has such a word in such a place: 0 is the name, 2 the id.
fn account(place: usize, word: &str) -> Option<Account> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mine = lines.find(|words| words.get(place) == Some(&word) && words.len() > 5)?;
    Some(Account { name: (*mine.first()?).to_owned(), home: PathBuf::from(mine.get(5)?) })
}

#[cfg(test)]
mod tests {
    use super::super::{Question, SshConfig};
    use super::*;

    #[test]
    fn words_of_an_answer() {
        let text = "host x\nuser deploy\nhostname 10.0.0.1\nport 2222\nproxyjump a,b\nconnecttimeout none\n\
                    identitiesonly yes\nidentityfile /no/such\nidentityfile /etc/%p/../passwd\n\
                    userknownhostsfile /k/%h %d/x\nlogverbose none\n";
        let answer = Answer::read(text);
        assert_eq!((answer.one("user"), answer.one("port")), (Some("deploy"), Some("2222")));
        assert_eq!((answer.one("connecttimeout"), answer.one("logverbose")), (None, None));
        assert!(answer.yes("identitiesonly") && !answer.yes("user"));
        assert_eq!(answer.key_files(), Vec::<PathBuf>::new());
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

    /// What ssh says of `web`, which is at 10.0.0.1, with these lines besides.
    fn asked(folder: &Path, lines: &str) -> Answer {
        let config = folder.join("config");
        fs::write(&config, format!("Host web\n  HostName 10.0.0.1\n{lines}\n")).unwrap();
        let question = Question { host: "web", user: None, port: None, file: Some(&config) };
        SshConfig::new(folder).ask(question).unwrap()
    }

    #[test]
    fn tokens_stand_for_what_ssh_says() {
        let folder = tempfile::tempdir().unwrap();
        // ssh expands an agent's path by itself, and leaves those of keys as they are.
        let path = "/%%_%C_%d_%h_%i_%k_%L_%l_%n_%p_%r_%u_$_${PATH}";
        for more in ["", "  HostKeyAlias alias\n  Port 2222\n  User deploy", "  ProxyJump me@[::1]:22,gate:2222"] {
            let answer = asked(folder.path(), &format!("  IdentityAgent {path}\n  IdentityFile {path}\n{more}"));
            assert_eq!(answer.one("identityfile"), Some(path));
            let theirs = PathBuf::from(answer.one("identityagent").unwrap());
            assert_eq!(answer.expand(path), (theirs, true), "{more}");
        }
        let jump = |line: &str| Answer::read(&format!("proxyjump {line}\n")).expand("%j").0;
        for (line, name) in
            [("none", ""), ("a,b", "b"), ("a,me@b:22", "b"), ("me@[2001:db8::1]:2", "2001:db8::1"), ("::1", "::1")]
        {
            assert_eq!(jump(line), PathBuf::from(name), "{line}");
        }
    }

    #[test]
    fn files_are_found_as_ssh_finds_them_and_what_is_missing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display().to_string();
        let me = account(2, &rustix::process::getuid().as_raw().to_string()).unwrap();
        let there = format!("{at}/{}_web", me.name);
        fs::write(&there, "").unwrap();
        fs::write(folder.path().join("in-agent.pub"), "").unwrap();
        let lines = [
            &format!("{at}/%u_%n"),
            &format!("{at}/in-agent"),
            "${PATH}/k",
            "~root/k",
            "~/.ssh/id_not_there",
            "/k/${NO_SUCH_VARIABLE}",
            "/k/%Z",
            "~nobody.here/k",
        ];
        let keys: String = lines.iter().map(|line| format!("  IdentityFile {line}\n")).collect();
        let answer = asked(folder.path(), &keys);
        assert_eq!(answer.key_files(), [PathBuf::from(&there)]);
        let (path, root) = (std::env::var("PATH").unwrap(), account(0, "root").unwrap().home);
        let wanted = [
            format!("{path}/k is not there"),
            format!("{}/k is not there", root.display()),
            format!("{}/.ssh/id_not_there is not there", me.home.display()),
            "/k/${NO_SUCH_VARIABLE} has a part that stands for nothing here".to_owned(),
            "/k/%Z has a part that stands for nothing here".to_owned(),
            "~nobody.here/k has a part that stands for nothing here".to_owned(),
        ];
        assert_eq!(answer.missing("identityfile", true), wanted);
        let alone = answer.missing("identityfile", false);
        assert!(alone[0].starts_with(&format!("{at}/in-agent is not there, only its public half")), "{alone:?}");
        assert_eq!(alone[1..], wanted);
        // IdentitiesOnly: of the agent those alone that nothing else can open.
        let (open, locked) = (format!("{at}/open"), format!("{at}/locked"));
        // How files of ssh-keygen begin; the second is encrypted.
        for (key, body) in [(&open, "ZXktdjEAAAAABG5vbmUAAAAE"), (&locked, "ZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0")]
        {
            fs::write(key, format!("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r{body}\n")).unwrap();
            fs::write(format!("{key}.pub"), format!("ssh-ed25519 {} me\n", key.len())).unwrap();
        }
        fs::write(folder.path().join("in-agent.pub"), "ssh-ed25519 AAAA me\n").unwrap();
        let keys = format!("{keys}  IdentityFile {open}\n  IdentityFile {locked}\n");
        let answer = asked(folder.path(), &format!("{keys}  IdentitiesOnly yes\n"));
        assert_eq!(answer.agent_keys(), Some(vec!["AAAA".to_owned(), locked.len().to_string()]));
        assert_eq!(asked(folder.path(), &keys).agent_keys(), Some(Vec::new()));
        let answer = asked(folder.path(), &format!("  IdentityFile {open}\n  IdentitiesOnly yes\n"));
        assert_eq!(answer.agent_keys(), None);
        // A certificate is its public half.
        let answer = asked(folder.path(), &format!("  CertificateFile {at}/in-agent\n  CertificateFile {at}/none"));
        assert_eq!(answer.certificate_files(), [folder.path().join("in-agent.pub")]);
        assert_eq!(answer.missing("certificatefile", false), [format!("{at}/none is not there")]);
        // ssh's own defaults need not be there, nor a certificate.
        let answer = asked(folder.path(), "");
        assert!(answer.all("identityfile").count() > 3, "{answer:?}");
        assert_eq!(
            (answer.missing("identityfile", false), answer.missing("certificatefile", false)),
            Default::default()
        );
    }
}
