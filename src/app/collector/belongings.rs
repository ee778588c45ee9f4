//! What is the dialer's and what is not: variables, files. It runs as our user and must have nothing but what SSH needs.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::app::dialer::fence::Fence;
use crate::model::secret::SecretSource;
use crate::model::spec::{ChannelSpec, FleetSpec, HostSpec, SshSpec, Transport, UnknownHosts};

/// What the dialer needs of our environment: who and where we are, the agent, the resolver, the log.
const NEEDED: &[&str] = &[
    "HOME",
    "LANG",
    "LOCALDOMAIN",
    "LOGNAME",
    "NO_COLOR",
    "PATH",
    "RES_OPTIONS",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SHELL",
    "SSH_AUTH_SOCK",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_RUNTIME_DIR",
];

/// Where systemd puts the credentials of a unit.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// What of our environment the dialer is given. Where a command is asked for a secret of SSH, that command may need
/// anything but what the configuration names as somebody else's secret; else there is a short list.
pub fn environment(
    spec: &FleetSpec,
    hosts: &[&HostSpec],
    ours: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let mut its = Vec::new();
    for host in hosts {
        if let Transport::Ssh(ssh) = &host.transport {
            sources(ssh, &mut its);
        }
    }
    let asks = its.iter().any(|source| matches!(source, SecretSource::Command(_)));
    let (its, others) = (variables(its), variables(other_sources(spec)));
    let given = |name: &OsStr| {
        if its.contains(name) {
            return true;
        }
        let needed = NEEDED.iter().any(|needed| name == *needed) || name.as_encoded_bytes().starts_with(b"LC_");
        (needed || asks) && name != CREDENTIALS && !others.contains(name)
    };
    ours.into_iter().filter(|(name, _)| given(name)).collect()
}

fn sources<'a>(ssh: &'a SshSpec, found: &mut Vec<&'a SecretSource>) {
    found.extend(ssh.password.iter().chain(&ssh.passphrase));
    ssh.jumps.iter().for_each(|hop| sources(&hop.ssh, found));
}

/// The secrets of mail, webhooks and checks.
fn other_sources(spec: &FleetSpec) -> Vec<&SecretSource> {
    let mut found: Vec<&SecretSource> = spec.alerts.smtp.iter().filter_map(|smtp| smtp.password.as_ref()).collect();
    for destination in &spec.alerts.destinations {
        if let ChannelSpec::Webhook(hook) = &destination.channel {
            found.extend(&hook.token);
        }
    }
    found.extend(spec.web.users.iter().map(|user| &user.hash).chain(spec.web.tokens.iter().map(|token| &token.token)));
    let services = spec.hosts.iter().flat_map(|host| &host.services);
    found.extend(services.flat_map(|service| &service.checks).flat_map(|check| check.secrets.values()));
    found
}

/// The variables that sources of secrets are in.
fn variables<'a>(sources: impl IntoIterator<Item = &'a SecretSource>) -> BTreeSet<&'a OsStr> {
    let name = |source: &'a SecretSource| match source {
        SecretSource::Environment(name) => Some(OsStr::new(name)),
        SecretSource::Credential(_) => Some(OsStr::new(CREDENTIALS)),
        _ => None,
    };
    sources.into_iter().filter_map(name).collect()
}

/// What the dialer must not read, what it must, and the folders where it writes keys of new hosts down. Commands that are
/// asked for secrets write where they like.
pub fn fence(spec: &FleetSpec, hosts: &[&HostSpec], probes: &Path) -> Fence {
    let mut its = Vec::new();
    let mut open = BTreeSet::from([probes.to_path_buf()]);
    let mut write = BTreeSet::new();
    for host in hosts {
        if let Transport::Ssh(ssh) = &host.transport {
            sources(ssh, &mut its);
            for ssh in ssh.jumps.iter().map(|hop| &hop.ssh).chain([ssh]) {
                files(ssh, &mut open, &mut write);
            }
        }
    }
    let mut closed = BTreeSet::from([spec.keys.identity_file.clone(), spec.collector.state_dir.clone()]);
    closed.extend(spec.files.iter().cloned());
    closed.extend(spec.web.tls.as_ref().map(|tls| tls.key.clone()));
    if spec.store.backend == "sqlite" {
        closed.insert(PathBuf::from(&spec.store.location));
    }
    closed.extend(other_sources(spec).into_iter().filter_map(kept));
    open.extend(its.iter().copied().filter_map(kept));
    let asks = its.iter().any(|source| matches!(source, SecretSource::Command(_)));
    Fence {
        closed: closed.into_iter().collect(),
        open: open.into_iter().collect(),
        write: (!asks).then(|| write.into_iter().collect()),
    }
}

/// The file that holds a secret.
fn kept(source: &SecretSource) -> Option<PathBuf> {
    match source {
        SecretSource::File(file) => Some(file.clone()),
        SecretSource::Credential(name) => env::var_os(CREDENTIALS).map(|folder| Path::new(&folder).join(name)),
        _ => None,
    }
}

fn files(ssh: &SshSpec, open: &mut BTreeSet<PathBuf>, write: &mut BTreeSet<PathBuf>) {
    open.extend(ssh.known_hosts.iter().chain(&ssh.certificate_files).cloned());
    for key in &ssh.key_files {
        let mut certificate = key.as_os_str().to_owned();
        certificate.push("-cert.pub");
        open.extend([key.clone(), PathBuf::from(certificate)]);
    }
    let known = ssh.known_hosts.first().filter(|_| ssh.unknown_hosts == UnknownHosts::AcceptNew);
    write.extend(
        known.and_then(|file| file.canonicalize().unwrap_or_else(|_| file.clone()).parent().map(Path::to_path_buf)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn given(more: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.xml");
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<fleet-health version=\"1\">\
             <alerts><smtp host=\"mail.test\" from=\"a@b.test\" user=\"a\" password-env=\"MAIL_PW\"/>\
             <to name=\"ops\" mail=\"a@b.test\"/></alerts>{more}</fleet-health>"
        );
        std::fs::write(&file, text).unwrap();
        let spec = config::load(&file).unwrap();
        let hosts: Vec<&HostSpec> = spec.hosts.iter().collect();
        let ours = ["PATH", "LC_ALL", "SSH_AUTH_SOCK", "MAIL_PW", "SSH_PW", "VAULT", CREDENTIALS];
        let ours = ours.map(|name| (OsString::from(name), OsString::from("x")));
        environment(&spec, &hosts, ours).into_iter().map(|(name, _)| name.into_string().unwrap()).collect()
    }

    #[test]
    fn the_dialer_is_given_its_own_secrets_and_no_others() {
        let host = |secret: &str| format!("<host name=\"a\" address=\"192.0.2.1\" user=\"u\" {secret}/>");
        let always = ["PATH", "LC_ALL", "SSH_AUTH_SOCK"];
        assert_eq!(given(&host("")), always);
        assert_eq!(given(&host("password-env=\"SSH_PW\"")), [&always[..], &["SSH_PW"]].concat());
        assert_eq!(given(&host("password-env=\"MAIL_PW\"")), [&always[..], &["MAIL_PW"]].concat(), "one for both");
        assert_eq!(given(&host("password-command=\"vault read\"")), [&always[..], &["SSH_PW", "VAULT"]].concat());
        assert_eq!(given(&host("password-credential=\"pw\"")), [&always[..], &[CREDENTIALS]].concat());
    }
}
