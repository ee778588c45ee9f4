//! A fleet on loopback: an account for each host, real sshd on addresses 127.0.1.x, a real SMTP server, our programs.
//!
//! Accounts and not only addresses, because two hosts of one account would share one spool. It needs root.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::mailbox::Mailbox;
use super::run::{Owned, Said, free_port, must, path, program, system, until};

static FLEETS: AtomicU32 = AtomicU32::new(0);

/// What is wrong with a host, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Good,
    /// A banner before login, and a start-up file of the shell that prints.
    Noisy,
    /// Nobody listens.
    Refusing,
    /// The connection is taken, and then nothing.
    HangsAtConnect,
    /// The login works, the command never answers.
    HangsAfterLogin,
    /// Shows another host key than the one known.
    ChangedKey,
    /// Does not take our key.
    RejectsKey,
    /// Home is mounted noexec, but another directory serves.
    NoExecHome,
    /// Home is mounted noexec, and no other directory serves.
    NoExec,
    /// Home is full, and no other directory serves.
    DiskFull,
    /// Home is mounted read-only, but another directory serves.
    ReadOnlyHome,
    /// Home is mounted read-only, and no other directory serves.
    ReadOnly,
    /// Answers the command with endless output.
    Floods,
    /// Answers the command with a frame of the right nonce that promises a giant file.
    Lies,
    /// Begins as an SSH server, then a byte now and then for ever.
    Drips,
}

/// One host of the fleet.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: String,
    pub kind: Kind,
    pub address: String,
    pub user: String,
    pub home: PathBuf,
    pub uid: String,
}

/// The whole bench; everything is gone when it is dropped.
pub struct Fleet {
    pub dir: PathBuf,
    pub port: u16,
    pub hosts: Vec<Host>,
    mounts: Vec<PathBuf>,
    // Kept for their Drop.
    running: Vec<Owned>,
    mailbox: Mailbox,
    _black_holes: Vec<TcpListener>,
}

impl Fleet {
    /// Starts hosts of these kinds, and a mail server.
    pub fn start(kinds: &[Kind]) -> Self {
        assert_eq!(must("id", &["-u"]).trim(), "0", "this test makes users and mounts: run it as root");
        let number = FLEETS.fetch_add(1, Ordering::Relaxed);
        let tag = format!("ft{}x{number}", std::process::id());
        // Not below /tmp: the probe refuses a directory whose parents others may write to.
        let dir = PathBuf::from(format!("/var/lib/fleet-health-test-{tag}"));
        for folder in ["authorized", "home", "keys", "probes"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        fs::set_permissions(dir.join("keys"), fs::Permissions::from_mode(0o700)).unwrap();
        for key in ["keys/id_ed25519", "host_key", "other_host_key"] {
            must("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", &shown(&dir.join(key))]);
        }
        let mut fleet = Self {
            port: free_port(),
            hosts: Vec::new(),
            mounts: Vec::new(),
            running: Vec::new(),
            mailbox: Mailbox::start(&dir.join("mail")),
            _black_holes: Vec::new(),
            dir,
        };
        for (index, &kind) in kinds.iter().enumerate() {
            fleet.add(kind, &format!("{tag}h{index}"), index + 1);
        }
        fleet.install_probe();
        fleet.start_sshd(
            "main",
            &[
                Kind::Good,
                Kind::Noisy,
                Kind::HangsAfterLogin,
                Kind::RejectsKey,
                Kind::NoExecHome,
                Kind::NoExec,
                Kind::DiskFull,
                Kind::ReadOnlyHome,
                Kind::ReadOnly,
                Kind::Floods,
                Kind::Lies,
            ],
        );
        fleet.start_sshd("other", &[Kind::ChangedKey]);
        fleet.start_black_holes();
        fleet.start_drips();
        fleet.write_known_hosts();
        fleet
    }

    fn add(&mut self, kind: Kind, user: &str, number: usize) {
        let home = self.dir.join("home").join(user);
        let shell = if kind == Kind::Noisy { "/bin/bash" } else { "/bin/sh" };
        // A password that matches nothing, but is not locked: sshd without PAM turns locked accounts away.
        must("useradd", &["-M", "-p", "*", "-s", shell, "-d", &shown(&home), user]);
        fs::create_dir(&home).unwrap();
        let options = match kind {
            Kind::NoExec | Kind::NoExecHome => Some("size=64m,mode=0700,noexec"),
            Kind::DiskFull => Some("size=256k,mode=0700"),
            Kind::ReadOnly | Kind::ReadOnlyHome => Some("size=64m,mode=0700"),
            _ => None,
        };
        if let Some(options) = options {
            must("mount", &["-t", "tmpfs", "-o", options, "tmpfs", &shown(&home)]);
            self.mounts.push(home.clone());
        }
        if kind == Kind::DiskFull {
            // Ends with ENOSPC, as it should.
            system("sh", &["-c", &format!("head -c 1m /dev/zero > {}/ballast", shown(&home))]);
        }
        if kind == Kind::Noisy {
            fs::write(home.join(".bashrc"), "echo 'Welcome!'; seq 1 200; echo noise on stderr >&2\n").unwrap();
        }
        must("chown", &["-R", &format!("{user}:"), &shown(&home)]);
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        if matches!(kind, Kind::ReadOnly | Kind::ReadOnlyHome) {
            must("mount", &["-o", "remount,ro", &shown(&home)]);
        }
        let uid = must("id", &["-u", user]).trim().to_owned();
        if matches!(kind, Kind::NoExec | Kind::DiskFull | Kind::ReadOnly) {
            // Where the probe would go next belongs to somebody else.
            for place in elsewhere(&uid) {
                fs::write(place, "").unwrap();
            }
        }
        if kind != Kind::RejectsKey {
            fs::copy(self.dir.join("keys/id_ed25519.pub"), self.dir.join("authorized").join(user)).unwrap();
        }
        self.hosts.push(Host {
            name: format!("h{number:02}"),
            kind,
            address: format!("127.0.1.{number}"),
            user: user.to_owned(),
            home,
            uid,
        });
    }

    /// The probe that cargo built for this test: dynamic, which is fine on the machine that it was built on.
    fn install_probe(&self) {
        let folder = self.dir.join(format!("probes/{}-linux", std::env::consts::ARCH));
        fs::create_dir_all(&folder).unwrap();
        fs::copy(program("fleet-probe"), folder.join("fleet-probe")).unwrap();
    }

    /// As many sshd as it takes: one listens on at most 16 addresses.
    fn start_sshd(&mut self, name: &str, kinds: &[Kind]) {
        let hosts: Vec<Host> = self.hosts.iter().filter(|host| kinds.contains(&host.kind)).cloned().collect();
        for (number, hosts) in hosts.chunks(16).enumerate() {
            self.start_one_sshd(name, number, hosts);
        }
    }

    fn start_one_sshd(&mut self, name: &str, number: usize, hosts: &[Host]) {
        let dir = shown(&self.dir);
        let key = if name == "main" { "host_key" } else { "other_host_key" };
        fs::write(self.dir.join("banner"), "Authorized use only.\n".repeat(20)).unwrap();
        let mut config = format!(
            "Port {}\nHostKey {dir}/{key}\nAuthorizedKeysFile {dir}/authorized/%u\nPidFile none\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 1000\nPrintMotd no\n",
            self.port
        );
        for host in hosts {
            config.push_str(&format!("ListenAddress {}\n", host.address));
        }
        for host in hosts {
            match host.kind {
                Kind::Noisy => config.push_str(&format!("Match User {}\n  Banner {dir}/banner\n", host.user)),
                Kind::HangsAfterLogin => {
                    config.push_str(&format!("Match User {}\n  ForceCommand sleep 600\n", host.user));
                }
                Kind::Floods => config.push_str(&format!("Match User {}\n  ForceCommand yes\n", host.user)),
                Kind::Lies => {
                    let script = self.dir.join("liar");
                    let text = "n=$(printf %s \"$SSH_ORIGINAL_COMMAND\" | sed -n 's/.* fleet \\([0-9a-f]\\{32\\}\\) .*/\\1/p')\n\
                                echo \"FLEET1 $n\"; echo \"file 00000000-0000000001.age 99999999999 $n$n\"; sleep 1\n";
                    fs::write(&script, text).unwrap();
                    let line = format!("Match User {}\n  ForceCommand sh {}\n", host.user, shown(&script));
                    config.push_str(&line);
                }
                _ => {}
            }
        }
        let file = self.dir.join(format!("sshd.{name}{number}.conf"));
        let log = shown(&self.dir.join(format!("sshd.{name}{number}.log")));
        fs::write(&file, config).unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        // sshd runs itself again by its absolute path.
        let sshd = must("sh", &["-c", "command -v sshd"]);
        let child = Command::new(sshd.trim())
            .args(["-D", "-f", &shown(&file), "-E", &log])
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("sshd: {error}; install it with: make deps"));
        let address = (hosts[hosts.len() - 1].address.clone(), self.port);
        self.running.push(Owned(child));
        until("sshd listens", Duration::from_secs(10), || TcpStream::connect((address.0.as_str(), address.1)).is_ok());
    }

    /// The kernel takes the connection; nobody ever reads from it.
    fn start_black_holes(&mut self) {
        let hanging = self.hosts.iter().filter(|host| host.kind == Kind::HangsAtConnect);
        self._black_holes =
            hanging.map(|host| TcpListener::bind((host.address.as_str(), self.port)).unwrap()).collect();
    }

    fn start_drips(&self) {
        for host in self.hosts.iter().filter(|host| host.kind == Kind::Drips) {
            let listener = TcpListener::bind((host.address.as_str(), self.port)).unwrap();
            // The thread ends with the test's process.
            std::thread::spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
                    while stream.write_all(b"\0").is_ok() {
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }
            });
        }
    }

    fn write_known_hosts(&self) {
        let key = fs::read_to_string(self.dir.join("host_key.pub")).unwrap();
        let key: Vec<&str> = key.split_whitespace().take(2).collect();
        let lines: String =
            self.hosts.iter().map(|host| format!("[{}]:{} {}\n", host.address, self.port, key.join(" "))).collect();
        fs::write(self.dir.join("keys/known_hosts"), lines).unwrap();
    }

    /// Writes the configuration: all hosts, `inside` given by host, and `more` at the end.
    pub fn configure(&self, inside: impl Fn(&Host) -> String, more: &str) {
        let hosts: String = self
            .hosts
            .iter()
            .map(|host| {
                let Host { name, address, user, .. } = host;
                format!("  <host name=\"{name}\" address=\"{address}\" user=\"{user}\">{}</host>\n", inside(host))
            })
            .collect();
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<fleet-health version=\"1\">\n\
             <collector jobs=\"8\" timeout=\"20s\" deadline=\"4m\" interval=\"5m\" state-dir=\"state\" probe-dir=\"probes\"/>\n\
             <keys recipient-file=\"keys/fleet.pub\" identity-file=\"keys/fleet.key\"/>\n\
             <store url=\"sqlite:fleet.db\" keep=\"14d\" keep-hourly=\"400d\"/>\n\
             <ssh key-file=\"keys/id_ed25519\" known-hosts=\"keys/known_hosts\" unknown-hosts=\"refuse\" port=\"{}\"/>\n{hosts}{more}</fleet-health>\n",
            self.port
        );
        let file = self.config();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The `<alerts>` block for the mail server of this fleet.
    pub fn alerts(&self) -> String {
        self.mailbox.alerts()
    }

    pub fn config(&self) -> PathBuf {
        self.dir.join("config.xml")
    }

    pub fn database(&self) -> PathBuf {
        self.dir.join("fleet.db")
    }

    /// One of our programs with this fleet's configuration, not started yet.
    pub fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program(name));
        command.args(args).current_dir(&self.dir).stdin(Stdio::null());
        command.env("FLEET_CONFIG", self.config()).env("PATH", path()).env_remove("SSH_AUTH_SOCK");
        command
    }

    /// Runs one of our programs to its end.
    pub fn run(&self, name: &str, args: &[&str]) -> Said {
        Said::of(self.command(name, args).output().unwrap())
    }

    /// The mails that arrived, in order.
    pub fn mails(&self) -> Vec<String> {
        self.mailbox.mails()
    }

    /// A real filesystem of that size, mounted below the fleet's folder.
    pub fn disk(&mut self, size: &str) -> PathBuf {
        let (image, place) = (self.dir.join("disk.img"), self.dir.join("disk"));
        must("truncate", &["-s", size, &shown(&image)]);
        must("mkfs.ext4", &["-q", "-m", "0", &shown(&image)]);
        fs::create_dir(&place).unwrap();
        must("mount", &["-o", "loop", &shown(&image), &shown(&place)]);
        self.mounts.push(place.clone());
        place
    }

    /// Hosts keep in `given` below their home what their probes ever say: a script in the probe's place.
    pub fn record_given(&self) {
        let real = self.dir.join("real-probe");
        fs::copy(program("fleet-probe"), &real).unwrap();
        let script = format!("#!/bin/sh\n{} \"$@\" | tee -a \"$HOME/given\"\n", shown(&real));
        let probe = self.dir.join(format!("probes/{}-linux/fleet-probe", std::env::consts::ARCH));
        fs::write(probe, script).unwrap();
    }

    /// Processes of the hosts' users: probes and what sshd started for them.
    pub fn client_processes(&self) -> Vec<u32> {
        let users: Vec<&str> = self.hosts.iter().map(|host| host.user.as_str()).collect();
        let listed = system("ps", &["-o", "pid=", "-u", &users.join(",")]).out;
        listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.running.clear();
        for pid in self.client_processes() {
            system("kill", &["-9", &pid.to_string()]);
        }
        for mount in &self.mounts {
            system("umount", &["-l", &shown(mount)]);
        }
        for host in &self.hosts {
            system("userdel", &["-f", &host.user]);
            for place in elsewhere(&host.uid) {
                system("rm", &["-rf", &shown(&place)]);
            }
        }
        if std::thread::panicking() {
            eprintln!("left for you to look at: {}", self.dir.display());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Directories outside home that the probe may be put into.
fn elsewhere(uid: &str) -> [PathBuf; 2] {
    [format!("/var/tmp/fleet-health-{uid}").into(), format!("/dev/shm/fleet-health-{uid}").into()]
}

pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The value of a header of a mail, unfolded.
pub fn header(mail: &str, name: &str) -> String {
    let mut value = String::new();
    let mut inside = false;
    for line in mail.lines().take_while(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) && inside {
            value.push_str(line);
        } else {
            inside = line.to_ascii_lowercase().starts_with(&format!("{}:", name.to_ascii_lowercase()));
            if inside {
                value = line[name.len() + 1..].trim().to_owned();
            }
        }
    }
    value
}
