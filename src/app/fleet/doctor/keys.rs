//! Keys, passwords and what else only its owner may touch: modes and owners.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Look;
use crate::app::files;
use crate::app::keyring::{self, change};
use crate::model::level::Level;
use crate::model::secret::SecretSource;
use crate::model::spec::Transport;

pub fn look(look: &Look) {
    let before = age(look);
    let ssh = ssh(look);
    others(look);
    if before && ssh {
        look.good("keys are there, belong to us and are readable by nobody else");
    }
}

/// The keys that stats are sealed with.
fn age(look: &Look) -> bool {
    let keys = &look.spec.keys;
    let recipients = keyring::recipients(keys);
    let entries = keyring::entries(keys);
    for failure in [recipients.as_ref().err(), entries.as_ref().err()].into_iter().flatten() {
        look.fault(Level::Critical, &failure.text, "fleet keys list");
    }
    let (Ok(recipients), Ok(entries)) = (recipients, entries) else { return false };
    let ours: Vec<String> = entries.iter().filter_map(|entry| change::recipient_of(entry).ok()).collect();
    if !recipients.iter().any(|recipient| ours.contains(recipient)) {
        let text = format!(
            "none of the public keys in {} belongs to a private key in {}: nothing that is collected could be opened",
            keys.recipient_file.display(),
            keys.identity_file.display()
        );
        look.say(Level::Critical, text, "fleet keys list, then put the right file back");
        return false;
    }
    true
}

/// The keys that we log in with, and the hosts' that we know.
fn ssh(look: &Look) -> bool {
    let mut key_files: BTreeSet<&PathBuf> = BTreeSet::new();
    let mut known_hosts: BTreeSet<&PathBuf> = BTreeSet::new();
    let mut without: Vec<&str> = Vec::new();
    for host in &look.spec.hosts {
        let Transport::Ssh(ssh) = &host.transport else { continue };
        key_files.extend(&ssh.key_files);
        known_hosts.extend(&ssh.known_hosts);
        if !ssh.agent && ssh.password.is_none() && !ssh.key_files.iter().any(|file| file.exists()) {
            without.push(&host.name);
        }
    }
    let mut good = true;
    if let Some(first) = without.first() {
        let more = if without.len() > 1 { format!(" and {} more", without.len() - 1) } else { String::new() };
        let text = format!("there is no key, agent or password to log in with to {first}{more}");
        look.say(Level::Critical, text, "ssh-keygen -t ed25519 -f FILE, and name it: key-file= of <ssh>");
        good = false;
    }
    for file in key_files {
        good &= secret(look, file);
    }
    for file in known_hosts {
        good &= unchanged(look, file);
    }
    good
}

/// Configuration, state folder and files of passwords.
fn others(look: &Look) {
    unchanged(look, &look.spec.file);
    let alerts = &look.spec.alerts;
    let secrets = alerts.smtp.iter().filter_map(|smtp| smtp.password.as_ref());
    let hosts = look.spec.hosts.iter().filter_map(|host| match &host.transport {
        Transport::Ssh(ssh) => Some([ssh.password.as_ref(), ssh.passphrase.as_ref()]),
        Transport::Local => None,
    });
    let files: BTreeSet<&PathBuf> = secrets
        .chain(hosts.flatten().flatten())
        .filter_map(|source| match source {
            SecretSource::File(file) => Some(file),
            _ => None,
        })
        .collect();
    for file in files {
        if !file.exists() {
            look.say(Level::Critical, format!("{}: is not there", file.display()), "write it, mode 0600");
        }
        secret(look, file);
    }
    // Its mode is looked at by every run, too.
    secret(look, &look.spec.collector.state_dir);
}

/// What nobody else may read. A file that is not there is none of ours to complain of.
fn secret(look: &Look, file: &Path) -> bool {
    let Ok(meta) = std::fs::metadata(file) else { return true };
    let (shown, wanted) = (file.display(), if meta.is_dir() { "700" } else { "600" });
    // root may lend a file to a service by its group: 0440 root:fleet.
    let lent = meta.uid() == 0 && meta.mode() & 0o037 == 0;
    if meta.mode() & 0o077 != 0 && !lent {
        let text = format!("{shown}: mode {:04o} lets others read it", meta.mode() & 0o7777);
        look.say(Level::Critical, text, format!("chmod {wanted} '{shown}'"));
        return false;
    }
    owned(look, file, &meta)
}

/// What nobody else may change.
fn unchanged(look: &Look, file: &Path) -> bool {
    let Ok(meta) = std::fs::metadata(file) else { return true };
    if meta.mode() & 0o022 != 0 {
        let text = format!("{}: mode {:04o} lets others change it", file.display(), meta.mode() & 0o7777);
        look.say(Level::Critical, text, format!("chmod go-w '{}'", file.display()));
        return false;
    }
    owned(look, file, &meta)
}

fn owned(look: &Look, file: &Path, meta: &Metadata) -> bool {
    let good = meta.uid() == rustix::process::geteuid().as_raw() || meta.uid() == 0;
    if !good {
        look.fault(Level::Critical, &files::not_ours(&file.display().to_string(), meta.uid()), "run as that user");
    }
    good
}
