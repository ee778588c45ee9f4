//! `fleet serve` on a port of its own, over a store that the test fills, and a client that sends what it is told to.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fleet_health::model::alert::{Evaluation, Event, Incident, Subject};
use fleet_health::model::fleet::{Attempt, Heartbeat, Outcome};
use fleet_health::model::job::Traffic;
use fleet_health::model::level::Level;
use fleet_health::model::sample::{By, Fact, Process, Reading, Sample, SampleKey};
use fleet_health::store::Store;
use fleet_health::store::sqlite::Sqlite;
use fleet_health::web::door::password;

use super::run::{Said, must, program, until};

/// The password of the user `ops`.
pub const PASSWORD: &str = "correct horse";
/// A token that reads, and one that acts.
pub const READS: &str = "0123456789abcdef0123456789abcdef";
pub const ACTS: &str = "fedcba9876543210fedcba9876543210";

/// A folder with a configuration and a store.
pub struct Home(pub tempfile::TempDir);

impl Home {
    /// `inside` are the elements of the configuration: hosts and `<web>`.
    pub fn new(inside: &str) -> Self {
        Self::below(&std::env::temp_dir().display().to_string(), inside)
    }

    /// As [`Home::new`], below a folder.
    pub fn below(folder: &str, inside: &str) -> Self {
        let home = Self(tempfile::tempdir_in(folder).unwrap());
        home.configure(inside);
        home.write("ops.hash", &password::hash(PASSWORD).unwrap());
        home.write("reads.token", READS);
        home.write("acts.token", ACTS);
        home
    }

    /// A `<web>` with the user and both tokens, and more attributes.
    pub fn web(attributes: &str) -> String {
        format!(
            "<web {attributes}><user name=\"ops\" password-hash-file=\"ops.hash\"/>\
             <token name=\"prometheus\" token-file=\"reads.token\"/>\
             <token name=\"bot\" token-file=\"acts.token\" acts=\"true\"/></web>"
        )
    }

    pub fn configure(&self, inside: &str) {
        let text = format!("<fleet-health version=\"1\"><store url=\"sqlite:fleet.db\"/>{inside}</fleet-health>");
        self.write("config.xml", &text);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        self.path(name)
    }

    pub fn store(&self) -> Sqlite {
        Sqlite::open(&self.path("fleet.db")).unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program("fleet"));
        command.arg("--config").arg(self.path("config.xml")).args(args).stdin(Stdio::null());
        command.current_dir(self.0.path()).env("HOME", self.0.path());
        command
    }

    pub fn fleet(&self, args: &[&str]) -> Said {
        Said::of(self.command(args).output().unwrap())
    }

    /// Starts the server on any free port.
    pub fn serve(&self) -> Server {
        self.serve_with(&["--listen", "127.0.0.1:0"])
    }

    pub fn serve_with(&self, args: &[&str]) -> Server {
        let all: Vec<&str> = ["-v", "serve"].iter().chain(args).copied().collect();
        let log = fs::File::create(self.path("serve.log")).unwrap();
        let mut child = self.command(&all).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().nth(1).unwrap_or_else(|| {
            panic!("it did not start: {}", fs::read_to_string(self.path("serve.log")).unwrap_or_default())
        });
        let port = url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        Server { child, port, url: url.trim_end_matches('/').to_owned() }
    }
}

/// A running server, which ends with its owner.
pub struct Server {
    pub child: Child,
    pub port: u16,
    /// Without a slash at its end.
    pub url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Server {
    /// Sends bytes as they are and reads until the other side closes; `None` where it closed without a word.
    pub fn raw(&self, bytes: &[u8]) -> Option<Reply> {
        let mut line = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        line.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // It may have seen enough before all is sent.
        let _ = line.write_all(bytes);
        let mut all = Vec::new();
        let _ = line.read_to_end(&mut all);
        let text = String::from_utf8_lossy(&all).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned()));
        Some(Reply { status, headers: headers.collect(), body: body.to_owned() })
    }

    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            text.push_str(&format!("host: 127.0.0.1:{}\r\n", self.port));
        }
        if method == "POST" && !headers.iter().any(|(name, _)| *name == "content-type") {
            text.push_str("content-type: application/x-www-form-urlencoded\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        self.raw(text.as_bytes()).unwrap_or_else(|| panic!("{method} {path}: no answer"))
    }

    /// A GET with the token that reads.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[("authorization", &format!("Bearer {READS}"))], "")
    }

    /// Signs `ops` in; the cookie.
    #[track_caller]
    pub fn sign_in(&self) -> String {
        let reply = self.send("POST", "/sign-in", &[], "user=ops&password=correct+horse");
        assert_eq!(reply.status, 303, "{}", reply.body);
        reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }

    /// Ends it as systemd does; its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        must("kill", &["-TERM", &self.child.id().to_string()]);
        let mut code = None;
        until("the server ends", Duration::from_secs(30), || {
            code = self.child.try_wait().unwrap().map(|status| status.code());
            code.is_some()
        });
        code.flatten()
    }
}

pub fn ago(minutes: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::minutes(minutes)
}

pub fn visit(host: &str, at: DateTime<Utc>) -> Attempt {
    let (took, traffic) = (Duration::from_millis(800), Traffic::default());
    Attempt { host: host.to_owned(), at, took, outcome: Outcome::Collected, traffic }
}

/// A sample as a small machine gives it; `item` is the name of its mount, disk and interface.
pub fn sample(sequence: u64, taken: DateTime<Utc>, hostname: &str, item: &str) -> Sample {
    let up = 86_400.0 + 300.0 * sequence as f64;
    let one = |metric: &str, item: &str, value: f64| Reading { metric: metric.into(), item: item.into(), value };
    let readings = vec![
        one("cpu.used", "", 0.25),
        one("cpu.count", "", 2.0),
        one("cpu.seconds", "user", up * 0.2),
        one("cpu.seconds", "system", up * 0.1),
        one("cpu.seconds", "iowait", up * 0.01),
        one("cpu.seconds", "idle", up * 1.69),
        one("load.1m", "", 0.5),
        one("load.5m", "", 0.4),
        one("load.15m", "", 0.3),
        one("memory.total", "", 8e9),
        one("memory.available", "", 6e9),
        one("memory.free", "", 1e9),
        one("memory.cached", "", 4e9),
        one("memory.buffers", "", 5e8),
        one("memory.reclaimable", "", 2e8),
        one("memory.used", "", 0.25),
        one("swap.total", "", 1e9),
        one("swap.used", "", 0.1),
        one("filesystem.size", item, 1e11),
        one("filesystem.free", item, 4.5e10),
        one("filesystem.available", item, 4e10),
        one("filesystem.used", item, 0.6),
        one("filesystem.inodes", item, 1e6),
        one("filesystem.inodes.available", item, 9e5),
        one("disk.read.bytes", item, up * 1000.0),
        one("disk.written.bytes", item, up * 2000.0),
        one("disk.io.seconds", item, up * 0.05),
        one("network.receive.bytes", item, up * 5000.0),
        one("network.transmit.bytes", item, up * 3000.0),
        one("pressure.some.seconds", "cpu", up * 0.01),
        one("pressure.some.seconds", "memory", up * 0.001),
        one("pressure.some.seconds", "io", up * 0.02),
        one("uptime", "", up),
        one("check.ok", "shop/http", 1.0),
    ];
    let fact = |name: &str, item: &str, text: &str| Fact { name: name.into(), item: item.into(), text: text.into() };
    let process = |by, comm: &str, value| Process {
        by,
        pid: 7,
        user: "root".into(),
        comm: comm.into(),
        unit: String::new(),
        command: String::new(),
        value,
    };
    Sample {
        key: SampleKey { boot: "b".to_owned(), sequence },
        taken,
        hostname: hostname.to_owned(),
        probe: "0.1.0".to_owned(),
        readings,
        faults: Vec::new(),
        facts: vec![
            fact("host.kernel", "", "6.1.0"),
            fact("host.architecture", "", "x86_64"),
            fact("filesystem.type", item, "ext4"),
            fact("filesystem.device", item, "/dev/vda1"),
        ],
        top: vec![process(By::Cpu, item, 0.5), process(By::Memory, item, 1e8)],
    }
}

/// An open problem with its first event.
pub fn problem(id: i64, host: &str, item: &str, level: Level) -> Evaluation<'static> {
    let at = ago(20);
    let subject = Subject { host: host.into(), rule: "filesystem.used".into(), item: item.into() };
    let text = format!("{item} is 97 % full");
    let event = Event { incident: id, at, level, value: 0.97, text: text.clone() };
    let incident = Incident {
        id,
        subject,
        level,
        worst: level,
        opened: at,
        changed: at,
        closed: None,
        ending: None,
        value: 0.97,
        text,
    };
    Evaluation { cursor: 0, incidents: vec![incident], events: vec![event], ..Evaluation::default() }
}

/// A sweep over these hosts now, with `back` samples of the last minutes each, and both programs' heartbeats.
pub fn fill(store: &mut dyn Store, hosts: &[&str], back: u64, hostname: &str, item: &str) {
    let sweep = store.begin_sweep(ago(1), u32::try_from(hosts.len()).unwrap()).unwrap();
    for host in hosts {
        for sequence in 0..back {
            let at = Utc::now() - TimeDelta::seconds(15 * i64::try_from(back - 1 - sequence).unwrap());
            store.record(sweep, &visit(host, at), &[sample(sequence, at, hostname, item)]).unwrap();
        }
    }
    store.end_sweep(sweep, ago(0), 0).unwrap();
    for role in ["collector", "alerter"] {
        store.beat(&Heartbeat { role: role.into(), at: ago(0), ok: true, text: String::new() }).unwrap();
    }
}

/// `<host>` elements of these names.
pub fn hosts(names: &[&str]) -> String {
    names.iter().map(|name| format!("<host name=\"{name}\" address=\"127.0.0.1\" user=\"nobody\"/>")).collect()
}

/// A key and a certificate that only this test trusts: key, certificate.
pub fn certificate(folder: &Path, serial: u32) -> (PathBuf, PathBuf) {
    let (key, cert) = (folder.join("web.key"), folder.join("web.pem"));
    must(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=fleet",
            "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:fleet.example.net",
            "-set_serial",
            &serial.to_string(),
            "-keyout",
            &key.display().to_string(),
            "-out",
            &cert.display().to_string(),
        ],
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    (key, cert)
}
