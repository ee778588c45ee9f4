//! Real SSH servers on loopback, each with its own configuration, keys and user; killed on drop. sshd of OpenSSH unless said.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    OpenSsh,
    /// `Options::lines` are words of its command line.
    Dropbear,
    /// Started for each connection, as Debian's units do.
    TinySsh,
}

/// What an instance is to be like; `Options::default()` is an ordinary one.
#[derive(Clone, Debug)]
pub struct Options {
    /// Loopback address to listen on, e.g. `127.0.0.7`.
    pub address: String,
    /// Text of the banner sent before login.
    pub banner: Option<String>,
    pub program: Program,
    /// Lines of sshd_config, e.g. `ForceCommand sleep 1000`; they win over ours.
    pub lines: Vec<String>,
    /// Do not authorise the key.
    pub reject: bool,
    /// Give the user this password and allow it.
    pub password: Option<String>,
    /// Content of the user's .bashrc.
    pub bashrc: Option<String>,
    /// Login shell.
    pub shell: String,
    /// Mount the home directory: options of a tmpfs, e.g. `size=64k` or `noexec`.
    pub home: Option<String>,
    /// Type of the host key: `ed25519`, `rsa`, `ecdsa`.
    pub key_type: String,
    /// The network namespace that it runs in, on port 2222.
    pub namespace: Option<String>,
    /// The words that start it, e.g. `unshare --mount`; by default none.
    pub before: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: "127.0.0.1".into(),
            banner: None,
            program: Program::OpenSsh,
            lines: Vec::new(),
            reject: false,
            password: None,
            bashrc: None,
            shell: "/bin/sh".into(),
            home: None,
            key_type: "ed25519".into(),
            namespace: None,
            before: Vec::new(),
        }
    }
}

/// A running sshd with a throw-away user.
pub struct Sshd {
    pub address: String,
    pub port: u16,
    pub user: String,
    pub home: PathBuf,
    /// The private key that logs in.
    pub key: PathBuf,
    /// A known_hosts file with this host's key.
    pub known_hosts: PathBuf,
    pub log: PathBuf,
    pub folder: PathBuf,
    child: Child,
    mounts: Vec<PathBuf>,
    /// The words that start it.
    words: Vec<String>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Runs a program to its end; fails the test with its output if it fails.
pub fn sh(script: &str) -> String {
    let done = Command::new("/bin/sh").args(["-c", script]).output().expect("sh");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{script}: {text}{}", String::from_utf8_lossy(&done.stderr));
    text
}

/// A free port on an address.
pub fn free_port(address: &str) -> u16 {
    TcpListener::bind((address, 0)).expect("bind").local_addr().expect("addr").port()
}

impl Sshd {
    /// Starts one; needs root and openssh-server.
    pub fn start(options: &Options) -> Self {
        assert!(Path::new("/usr/sbin/sshd").exists(), "openssh-server is needed: apt-get install openssh-server");
        fs::create_dir_all("/run/sshd").expect("/run/sshd");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let user = format!("fleett{}x{number}", std::process::id() % 1_000_000);
        // Not under /tmp: its parents would be writable by others only through the sticky bit, which is another case.
        let folder = PathBuf::from(format!("/var/lib/fleet-test-{}-{number}", std::process::id()));
        let home = folder.join("home");
        fs::create_dir_all(&home).expect("folder");
        let shown = folder.display();
        sh(&format!("useradd -M -d {shown}/home -s {} {user}", options.shell));
        let mut mounts = Vec::new();
        if let Some(mount) = &options.home {
            sh(&format!("mount -t tmpfs -o mode=755,{mount} tmpfs {shown}/home"));
            mounts.push(home.clone());
        }
        if let Some(text) = &options.bashrc {
            fs::write(home.join(".bashrc"), text).expect("bashrc");
        }
        sh(&format!("chown {user}: {shown}/home && chmod 755 {shown} {shown}/home"));
        sh(&format!(
            "ssh-keygen -q -t {} -N '' -f {shown}/hostkey && ssh-keygen -q -t ed25519 -N '' -f {shown}/id",
            options.key_type
        ));
        let authorized = if options.reject { String::new() } else { sh(&format!("cat {shown}/id.pub")) };
        fs::write(folder.join("authorized"), authorized).expect("authorized");
        // `*` in shadow allows keys; `!` as useradd writes it does not.
        match &options.password {
            Some(password) => sh(&format!("echo '{user}:{password}' | chpasswd")),
            None => sh(&format!("usermod -p '*' {user}")),
        };
        let port = if options.namespace.is_some() { 2222 } else { free_port(&options.address) };
        let log = folder.join("log");
        let mut config = options.lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        config.push_str(&format!(
            "ListenAddress {}:{port}\nHostKey {shown}/hostkey\nAuthorizedKeysFile {shown}/authorized\nPidFile none\n\
             UsePAM no\nStrictModes no\nMaxStartups 200\nPermitRootLogin yes\nLogLevel VERBOSE\nPrintMotd no\n\
             PasswordAuthentication {}\nKbdInteractiveAuthentication no\n",
            if options.address.contains(':') { format!("[{}]", options.address) } else { options.address.clone() },
            if options.password.is_some() { "yes" } else { "no" },
        ));
        if let Some(banner) = &options.banner {
            fs::write(folder.join("banner"), banner).expect("banner");
            config.push_str(&format!("Banner {shown}/banner\n"));
        }
        fs::write(folder.join("sshd_config"), config).expect("sshd_config");
        let mut words = match &options.namespace {
            Some(name) => ["ip", "netns", "exec", name].map(str::to_owned).to_vec(),
            None => options.before.clone(),
        };
        words.extend(match options.program {
            Program::OpenSsh => open_ssh(&folder, &log),
            Program::Dropbear => dropbear(&folder, &format!("{}:{port}", options.address), &options.lines),
            Program::TinySsh => tiny_ssh(&folder, &format!("{}:{port}", options.address)),
        });
        if options.program != Program::OpenSsh {
            sh(&format!(
                "mkdir -m 0700 {shown}/home/.ssh && cp {shown}/authorized {shown}/home/.ssh/authorized_keys && \
                 chmod 600 {shown}/home/.ssh/authorized_keys && chown -R {user}: {shown}/home/.ssh"
            ));
        }
        let child = daemon(&log, &words);
        let known_hosts = folder.join("known_hosts");
        let key = folder.join("id");
        let address = options.address.clone();
        let sshd = Self { address, port, user, home, key, known_hosts, log, folder, child, mounts, words };
        sshd.know();
        sshd.wait(0);
        sshd
    }

    /// The host is gone, as after a power cut; what it stored stays.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The host is back, on the same port with the same key.
    pub fn go_on(&mut self) {
        let before = self.starts();
        self.child = daemon(&self.log, &self.words);
        self.wait(before);
    }

    /// How often it began to listen.
    fn starts(&self) -> usize {
        // OpenSSH's words, systemd's and Dropbear's.
        ["Server listening on", "Listening on", "Not backgrounding"]
            .map(|words| self.log_text().matches(words).count())
            .iter()
            .sum()
    }

    fn wait(&self, before: usize) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.starts() <= before {
            assert!(Instant::now() < until, "sshd does not listen: {}", self.log_text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Writes known_hosts with the host's present key.
    pub fn know(&self) {
        let key = fs::read_to_string(self.folder.join("hostkey.pub")).expect("host key");
        fs::write(&self.known_hosts, format!("[{}]:{} {key}", self.address, self.port)).expect("known_hosts");
    }

    /// Writes known_hosts with another key than the host's: the host looks changed.
    pub fn know_another(&self) {
        let shown = self.folder.display();
        sh(&format!("rm -f {shown}/other*; ssh-keygen -q -t ed25519 -N '' -f {shown}/other"));
        let key = fs::read_to_string(self.folder.join("other.pub")).expect("other key");
        fs::write(&self.known_hosts, format!("[{}]:{} {key}", self.address, self.port)).expect("known_hosts");
    }

    /// Leaves the probe only the home directory: the fallbacks of the user become somebody else's.
    pub fn only_home(&mut self) {
        let id = sh(&format!("id -u {}", self.user)).trim().to_owned();
        for place in ["/var/tmp", "/dev/shm"] {
            let path = PathBuf::from(format!("{place}/fleet-health-{id}"));
            sh(&format!("rm -rf {0}; mkdir -m 0700 {0}", path.display()));
            self.mounts.push(path);
        }
    }

    pub fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

fn daemon(log: &Path, words: &[String]) -> Child {
    let errors = fs::OpenOptions::new().create(true).append(true).open(log).expect("log");
    let mut server = Command::new(&words[0]);
    server.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
    server.spawn().unwrap_or_else(|error| panic!("{}: {error}: run scripts/deps", words[0]))
}

fn open_ssh(folder: &Path, log: &Path) -> Vec<String> {
    let shown = folder.display();
    ["/usr/sbin/sshd", "-D", "-E", &log.display().to_string(), "-f", &format!("{shown}/sshd_config")]
        .map(str::to_owned)
        .to_vec()
}

fn dropbear(folder: &Path, place: &str, more: &[String]) -> Vec<String> {
    let shown = folder.display();
    sh(&format!("dropbearconvert openssh dropbear {shown}/hostkey {shown}/hostkey.dropbear 2>&1"));
    let (key, pid) = (format!("{shown}/hostkey.dropbear"), format!("{shown}/pid"));
    let words = ["dropbear", "-F", "-E", "-r", &key, "-P", &pid, "-p", place].map(str::to_owned);
    words.into_iter().chain(more.iter().cloned()).collect()
}

fn tiny_ssh(folder: &Path, place: &str) -> Vec<String> {
    let shown = folder.display();
    sh(&format!("tinysshd-makekey -q {shown}/tiny && tinysshd-printkey {shown}/tiny >{shown}/hostkey.pub"));
    let keys = format!("{shown}/tiny");
    ["systemd-socket-activate", "--accept", "--inetd", "-l", place, "/usr/sbin/tinysshd", "-v", &keys]
        .map(str::to_owned)
        .to_vec()
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let quietly = |script: String| {
            let _ = Command::new("/bin/sh").args(["-c", &script]).output();
        };
        let id = sh(&format!("id -u {} || true", self.user)).trim().to_owned();
        // Sessions of the user outlive their sshd; they end by the user's id, which nobody else has.
        quietly(format!(
            "pkill -KILL -u {id}; sleep 0.05; userdel {}; rm -rf /var/tmp/fleet-health-{id} /dev/shm/fleet-health-{id}",
            self.user
        ));
        for mount in &self.mounts {
            quietly(format!("umount -l {0} 2>/dev/null", mount.display()));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A folder `probes/<arch>-linux/fleet-probe` with a probe.
pub fn probes(folder: &Path, probe: &Path) -> PathBuf {
    let place = folder.join(format!("probes/{}-linux", std::env::consts::ARCH));
    fs::create_dir_all(&place).expect("probes");
    fs::copy(probe, place.join("fleet-probe")).expect("probe");
    fs::set_permissions(place.join("fleet-probe"), fs::Permissions::from_mode(0o755)).expect("mode");
    folder.join("probes")
}
