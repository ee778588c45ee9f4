//! Postfix on loopback with a configuration, queue and mailboxes of its own: user fleet, password right; mail for ops and
//! dba of example.net, and for nobody else there.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests start programs and fail loudly"
)]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The largest mail that it takes, in bytes.
pub const LARGEST: usize = 200_000;

pub struct Postfix {
    folder: tempfile::TempDir,
    child: Child,
    pub starttls: u16,
    pub implicit: u16,
    /// As the two before it, with a certificate that ran out yesterday.
    pub expired: [u16; 2],
}

fn shell(script: &str, folder: &Path) -> String {
    let done = Command::new("sh").args(["-ec", script]).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{said}");
    said
}

fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Postfix {
    /// Starts it. It wants root, as it starts its parts as users of its own.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        // Its parts run as the user postfix.
        fs::set_permissions(place, fs::Permissions::from_mode(0o755)).unwrap();
        super::smtpd::certificates(place, "localhost", "-1");
        shell("mv cert.pem expired.pem; mv key.pem expired.key; mv ca.pem old-ca.pem", place);
        super::smtpd::certificates(place, "localhost", "2");
        let [starttls, implicit, old_starttls, old_implicit] = [(); 4].map(|()| port());
        let here = place.display();
        let text = format!(
            "compatibility_level = 3.6
queue_directory = {here}/queue
data_directory = {here}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = /dev/stdout
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = localhost
mydestination =
alias_maps =
alias_database =
virtual_mailbox_domains = example.net
virtual_mailbox_base = {here}/box
virtual_mailbox_maps = inline:{{ {{ ops@example.net = ops/ }} {{ dba@example.net = dba/ }} }}
virtual_minimum_uid = 1
smtpd_sasl_auth_enable = yes
smtpd_tls_auth_only = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_tls_cert_file = {here}/cert.pem
smtpd_tls_key_file = {here}/key.pem
message_size_limit = {LARGEST}
"
        );
        let old = format!("-o smtpd_tls_cert_file={here}/expired.pem -o smtpd_tls_key_file={here}/expired.key");
        let parts = format!(
            "127.0.0.1:{starttls} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
127.0.0.1:{implicit} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:{old_starttls} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt {old}
127.0.0.1:{old_implicit} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes {old}
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"
        );
        let sasl = format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {here}/conf/sasl/sasldb2\nmech_list: PLAIN LOGIN\n"
        );
        for name in ["conf/sasl", "queue", "data", "box"] {
            fs::create_dir_all(place.join(name)).unwrap();
        }
        fs::write(place.join("conf/main.cf"), text).unwrap();
        fs::write(place.join("conf/master.cf"), parts).unwrap();
        fs::write(place.join("conf/sasl/smtpd.conf"), sasl).unwrap();
        shell(
            "PATH=$PATH:/usr/sbin
             echo \"virtual_uid_maps = static:$(id -u postfix)\" >>conf/main.cf
             echo \"virtual_gid_maps = static:$(id -g postfix)\" >>conf/main.cf
             echo right | saslpasswd2 -p -c -f conf/sasl/sasldb2 -u localhost fleet
             chgrp postfix conf/sasl/sasldb2; chown postfix data box",
            place,
        );
        let log = fs::File::create(place.join("log")).unwrap();
        let child = Command::new("/usr/sbin/postfix")
            .arg("-c")
            .arg(place.join("conf"))
            .arg("start-fg")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("/usr/sbin/postfix: {error}; install it with: make deps"));
        let server = Self { folder, child, starttls, implicit, expired: [old_starttls, old_implicit] };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", implicit)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "postfix does not listen: {}", server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    pub fn authorities(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Those of the certificate that ran out.
    pub fn old_authorities(&self) -> PathBuf {
        self.folder.path().join("old-ca.pem")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until so many mails lie in a mailbox; what they say.
    pub fn mails(&self, mailbox: &str, count: usize) -> Vec<String> {
        let (folder, begun) = (self.folder.path().join("box").join(mailbox).join("new"), Instant::now());
        loop {
            let files = fs::read_dir(&folder).into_iter().flatten().flatten();
            let mails: Vec<String> = files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
            if mails.len() >= count {
                return mails;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{} of {count} mails: {}", mails.len(), self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let mut stop = Command::new("/usr/sbin/postfix");
        let _ = stop.arg("-c").arg(self.folder.path().join("conf")).arg("stop").stderr(Stdio::null()).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
