//! Real servers for the checks, each on free ports of its own, ended with its owner. None of the system's own is used.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::run::{Owned, free_port, must, path, until};

const START: Duration = Duration::from_secs(30);

/// A folder that others may enter, for servers that leave root behind.
pub fn open_folder(prefix: &str) -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix(prefix).tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn spawn(program: &str, args: &[&str]) -> Owned {
    let mut command = Command::new(program);
    command.args(args).env("PATH", path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Owned(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; install it with: make deps")))
}

/// A certificate for 30 days and its key in a folder, as cert.pem and key.pem; its fingerprint. `kind` as openssl has it.
fn certificate(folder: &Path, kind: &[&str]) -> String {
    let (key, certificate) = (folder.join("key.pem"), folder.join("cert.pem"));
    let (key, certificate) = (key.to_str().unwrap(), certificate.to_str().unwrap());
    let mut args = vec!["req", "-x509", "-nodes", "-subj", "/CN=localhost", "-days", "30"];
    args.extend(["-keyout", key, "-out", certificate]);
    args.extend(kind);
    must("openssl", &args);
    let shown = must("openssl", &["x509", "-noout", "-fingerprint", "-sha256", "-in", certificate]);
    shown.trim().rsplit('=').next().unwrap().to_owned()
}

const RSA: &[&str] = &["-newkey", "rsa:2048"];
const P256: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

fn answers(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// A Redis with a password, on TCP, on TCP with TLS (P-256) and on a unix socket.
pub struct Redis {
    pub port: u16,
    pub tls_port: u16,
    pub fingerprint: String,
    pub socket: PathBuf,
    pub password: &'static str,
    _server: Owned,
    _folder: tempfile::TempDir,
}

impl Redis {
    pub fn start(password: &'static str) -> Self {
        Self::with(password, "")
    }

    /// With more lines of configuration.
    pub fn with(password: &'static str, more: &str) -> Self {
        let folder = open_folder("redis");
        let (port, tls_port, socket) = (free_port(), free_port(), folder.path().join("redis.sock"));
        let fingerprint = certificate(folder.path(), P256);
        let place = folder.path().display();
        // The password is the server's own: it reads it from its file, as a real one does.
        let config = format!(
            "bind 127.0.0.1\nport {port}\nunixsocket {}\nunixsocketperm 700\nrequirepass {password}\nsave \"\"\ndir {}\n\
             maxmemory 64mb\nmaxclients 100\nenable-debug-command local\n\
             tls-port {tls_port}\ntls-cert-file {place}/cert.pem\ntls-key-file {place}/key.pem\n\
             tls-ca-cert-file {place}/cert.pem\ntls-auth-clients no\n{more}",
            socket.display(),
            folder.path().display()
        );
        let file = folder.path().join("redis.conf");
        fs::write(&file, config).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let server = spawn("redis-server", &[&file.display().to_string()]);
        until("redis answers", START, || answers(port) && answers(tls_port) && socket.exists());
        Self { port, tls_port, fingerprint, socket, password, _server: server, _folder: folder }
    }

    pub fn cli(&self, words: &[&str]) -> String {
        let port = self.port.to_string();
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port]).args(words).env("REDISCLI_AUTH", self.password);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }
}

/// An nginx that serves a page, an error, a slow page and a socket, and writes an access log with request times.
pub struct Nginx {
    pub port: u16,
    pub tls_port: u16,
    /// Speaks TLS 1.2 only.
    pub old_tls_port: u16,
    pub fingerprint: String,
    pub socket: PathBuf,
    pub log: PathBuf,
    server: Owned,
    folder: tempfile::TempDir,
}

impl Nginx {
    pub fn start() -> Self {
        let folder = open_folder("nginx");
        let place = folder.path().display().to_string();
        let (port, tls_port, old_tls_port) = (free_port(), free_port(), free_port());
        let fingerprint = certificate(folder.path(), RSA);
        let (key, certificate) = (format!("{place}/key.pem"), format!("{place}/cert.pem"));
        let config = format!(
            "pid {place}/pid;\nerror_log {place}/error.log;\ndaemon off;\nworker_processes 1;\nuser root;\n\
             events {{ worker_connections 64; }}\n\
             http {{\n\
             log_format timed '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent '\n\
             '\"$http_referer\" \"$http_user_agent\" $request_time';\n\
             access_log {place}/access.log timed;\n\
             client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;\n\
             uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
             server {{\n\
             listen 127.0.0.1:{port}; listen unix:{place}/web.sock;\n\
             listen 127.0.0.1:{tls_port} ssl;\n\
             ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;\n\
             location = /healthz {{ default_type text/plain; return 200 \"all is well\\n\"; }}\n\
             location = /broken {{ return 503 \"out of order\"; }}\n\
             location = /moved {{ return 301 http://127.0.0.1:{port}/healthz; }}\n\
             }}\n\
             server {{\n\
             listen 127.0.0.1:{old_tls_port} ssl; return 200 \"old\";\n\
             ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2;\n\
             }}\n}}\n"
        );
        let file = format!("{place}/nginx.conf");
        fs::write(&file, config).unwrap();
        let server = spawn("nginx", &["-c", &file, "-p", &place]);
        until("nginx answers", START, || answers(port) && answers(tls_port));
        let path = folder.path();
        Self {
            port,
            tls_port,
            old_tls_port,
            fingerprint,
            socket: path.join("web.sock"),
            log: path.join("access.log"),
            server,
            folder,
        }
    }

    pub fn url(&self, page: &str) -> String {
        format!("http://127.0.0.1:{}{page}", self.port)
    }

    /// Asks for a page, over connections of their own.
    pub fn ask(&self, page: &str, times: usize) {
        use std::io::Read;
        for _ in 0..times {
            let mut link = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
            write!(link, "GET {page} HTTP/1.0\r\n\r\n").unwrap();
            link.read_to_string(&mut String::new()).unwrap();
        }
    }

    /// As [`Nginx::ask`], by a client that needs so long to say what it wants: the server's time of the request.
    pub fn ask_slowly(&self, page: &str, pause: Duration) {
        use std::io::Read;
        let mut link = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(link, "GET {page} HTTP/1.0\r\n").unwrap();
        std::thread::sleep(pause);
        write!(link, "\r\n").unwrap();
        link.read_to_string(&mut String::new()).unwrap();
    }

    /// As logrotate does: renamed, then the server opens a new one.
    pub fn rotate(&self) {
        let old = self.folder.path().join("access.log.1");
        fs::rename(&self.log, old).unwrap();
        must("kill", &["-USR1", &self.server.id().to_string()]);
        until("a new log is there", START, || self.log.exists());
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends with it only when it is asked to.
        let _ = super::run::system("kill", &["-QUIT", &self.server.id().to_string()]);
        until("nginx has ended", START, || self.server.0.try_wait().is_ok_and(|ended| ended.is_some()));
    }
}

/// A PostgreSQL cluster of the user postgres: SCRAM over TCP, peer over its socket, one role with md5, and one that is let
/// in over TLS (RSA) only.
pub struct Postgres {
    pub port: u16,
    pub fingerprint: String,
    pub folder: tempfile::TempDir,
    server: Owned,
}

impl Postgres {
    pub fn start(password: &str) -> Self {
        Self::with(password, "")
    }

    /// With more lines of configuration.
    pub fn with(password: &str, more: &str) -> Self {
        let folder = open_folder("postgres");
        let place = folder.path().display().to_string();
        must("chown", &["postgres:", &place]);
        let bin = Self::bin();
        let initdb = bin.join("initdb").display().to_string();
        let data = format!("{place}/data");
        as_postgres(&[&initdb, "-D", &data, "--no-sync", "-A", "peer", "-E", "UTF8", "--locale=C"]);
        let fingerprint = certificate(folder.path(), RSA);
        must("chown", &["postgres:", &format!("{place}/key.pem"), &format!("{place}/cert.pem")]);
        must("chmod", &["0600", &format!("{place}/key.pem")]);
        let hba = "local all all peer map=all\nhost all old 127.0.0.1/32 md5\nhostnossl all secure all reject\n\
             host replication all 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(format!("{data}/pg_hba.conf"), hba).unwrap();
        // Not on the command line, so that a test may change it.
        let own = format!("ssl = on\nssl_cert_file = '{place}/cert.pem'\nssl_key_file = '{place}/key.pem'\n{more}");
        let written = fs::OpenOptions::new().append(true).open(format!("{data}/postgresql.conf"));
        written.unwrap().write_all(own.as_bytes()).unwrap();
        fs::write(format!("{data}/pg_ident.conf"), "all root postgres\nall postgres postgres\n").unwrap();
        let port = free_port();
        let server = bin.join("postgres").display().to_string();
        let listen = "listen_addresses=127.0.0.1";
        let (port_arg, socket_arg) = (format!("port={port}"), format!("unix_socket_directories={place}"));
        let args = [
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            &server,
            "-D",
            &data,
            "-c",
            listen,
            "-c",
            &port_arg,
            "-c",
            &socket_arg,
            "-c",
            "fsync=off",
            "-c",
            "max_connections=20",
            "-c",
            "track_io_timing=on",
        ];
        let server = spawn("setpriv", &args);
        let cluster = Self { port, fingerprint, folder, server };
        until("postgres answers", START, || cluster.psql_said("postgres", "select 1").code == Some(0));
        cluster.psql("create database orders");
        cluster.psql(&format!("create role fleet login password '{password}' in role pg_monitor"));
        cluster.psql(&format!("create role secure login password '{password}' in role pg_monitor"));
        cluster.psql("set password_encryption = 'md5'; create role old login password 'altespasswort'");
        cluster
    }

    fn bin() -> PathBuf {
        let versions = fs::read_dir("/usr/lib/postgresql").expect("install it with: make deps");
        let mut found: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path().join("bin")).collect();
        found.sort();
        found.pop().expect("install it with: make deps")
    }

    /// The folder of its unix socket.
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    fn psql_said(&self, database: &str, sql: &str) -> super::run::Said {
        let (place, port) = (self.socket().display().to_string(), self.port.to_string());
        let args = ["-X", "-q", "-h", &place, "-p", &port, "-U", "postgres", "-d", database, "-c", sql];
        super::run::system("psql", &args)
    }

    pub fn psql(&self, sql: &str) {
        self.psql_in("postgres", sql);
    }

    pub fn psql_in(&self, database: &str, sql: &str) {
        let said = self.psql_said(database, sql);
        assert_eq!(said.code, Some(0), "{said:?}");
    }

    /// The number that a query gives.
    pub fn count(&self, sql: &str) -> u64 {
        let (place, port) = (self.socket().display().to_string(), self.port.to_string());
        let args = ["-X", "-q", "-A", "-t", "-h", &place, "-p", &port, "-U", "postgres", "-d", "orders", "-c", sql];
        must("psql", &args).trim().parse().unwrap()
    }

    /// A standby that streams from this one; its replication slotless and its sockets its own.
    pub fn standby(&self) -> Standby {
        let folder = open_folder("standby");
        let place = folder.path().display().to_string();
        must("chown", &["postgres:", &place]);
        let bin = Self::bin();
        let copy = bin.join("pg_basebackup").display().to_string();
        let (data, port) = (format!("{place}/data"), self.port.to_string());
        let from =
            ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-D", &data, "-R", "--checkpoint=fast", "--no-sync"];
        as_postgres(&[&[copy.as_str()], &from[..]].concat());
        let port = free_port();
        let server = bin.join("postgres").display().to_string();
        let (port_arg, socket_arg) = (format!("port={port}"), format!("unix_socket_directories={place}"));
        let own = ["-D", &data, "-c", "listen_addresses=127.0.0.1", "-c", &port_arg, "-c", &socket_arg];
        let more = ["-c", "max_connections=20", "-c", "fsync=off"];
        let user = ["--reuid=postgres", "--regid=postgres", "--clear-groups", &server];
        let server = spawn("setpriv", &[&user[..], &own, &more].concat());
        let standby = Standby { port, folder, server };
        until("the standby answers", START, || standby.said("select 1").code == Some(0));
        standby
    }

    /// A session that sits in a transaction and holds a lock until it is dropped.
    pub fn blocker(&self, sql: &str) -> Owned {
        let (place, port) = (self.socket().display().to_string(), self.port.to_string());
        let args = ["-X", "-q", "-h", &place, "-p", &port, "-U", "postgres", "-d", "orders", "-c", sql];
        spawn("psql", &args)
    }
}

/// A standby of a [`Postgres`], with its roles and its peers.
pub struct Standby {
    pub port: u16,
    pub folder: tempfile::TempDir,
    server: Owned,
}

impl Standby {
    pub fn said(&self, sql: &str) -> super::run::Said {
        let (place, port) = (self.folder.path().display().to_string(), self.port.to_string());
        super::run::system("psql", &["-X", "-q", "-h", &place, "-p", &port, "-U", "postgres", "-c", sql])
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let _ = super::run::system("kill", &["-QUIT", &self.server.id().to_string()]);
        until("the standby has ended", START, || self.server.0.try_wait().is_ok_and(|ended| ended.is_some()));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once: sessions of a test may still be open.
        let _ = super::run::system("kill", &["-QUIT", &self.server.id().to_string()]);
        until("postgres has ended", START, || self.server.0.try_wait().is_ok_and(|ended| ended.is_some()));
    }
}

fn as_postgres(words: &[&str]) {
    let mut args = vec!["--reuid=postgres", "--regid=postgres", "--clear-groups"];
    args.extend(words);
    must("setpriv", &args);
}

/// A node_exporter; its port.
pub struct NodeExporter {
    pub port: u16,
    _server: Owned,
}

impl NodeExporter {
    pub fn start() -> Self {
        let port = free_port();
        let server = spawn("prometheus-node-exporter", &[&format!("--web.listen-address=127.0.0.1:{port}")]);
        until("node_exporter answers", START, || answers(port));
        Self { port, _server: server }
    }
}
