//! Host keys: shown to a person, and written down only when the person says so.

use std::time::{Duration, Instant};

use super::each::each;
use super::{FleetSpec, HostSpec, SshSpec, Transport, chosen, unknown};
use crate::app::clock;
use crate::app::context::Common;
use crate::app::dialer::{self, Run};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::fleet::{ask, show};
use crate::model::cause::Cause;
use crate::model::clean::clean;
use crate::ssh::hostkey::HostKey;
use crate::ssh::known_hosts::{self, Verdict};
use crate::ssh::{self, Secrets, SshError};
use crate::view::{Cell, Column, Page, Place, column};

/// For the look at one host's key.
const LOOK: Duration = Duration::from_secs(10);

/// Flags of `accept`.
#[derive(Debug, clap::Args)]
pub struct AcceptArgs {
    /// Name of the host in the configuration
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The fingerprint that the key must have; then nothing is asked
    #[arg(long, visible_alias = "accept-fingerprint", value_name = "SHA256:...")]
    pub fingerprint: Option<String>,
}

/// What is known of a host's key, and what it shows now; next steps call it by its name in the configuration.
pub fn look(name: &str, ssh: &SshSpec, run: &Run) -> Result<(HostKey, Verdict), Failure> {
    let until = Instant::now() + LOOK;
    // The host's own are not needed; those of the bastions before it are.
    let secrets = match ssh.jumps.is_empty() {
        true => Ok(Secrets::default()),
        false => dialer::secrets_of(ssh, &run.secrets, until),
    };
    let shown = secrets
        .map_err(|text| SshError::new(Cause::LocalSetup, text))
        .and_then(|secrets| ssh::scan(ssh, &secrets, &run.bastions, until))
        .map_err(|error| {
            let next = error.cause.remedy().replace("HOST", name);
            Failure::new(Exit::Failed, format!("{}: {}; {next}", error.cause, clean(&error.text)))
        })?;
    let known = known_hosts::read(&ssh.known_hosts).map_err(|text| Failure::new(Exit::Failed, text))?;
    let (host, port) = ssh.known_name();
    let now = u64::try_from(clock::now().timestamp()).unwrap_or(0);
    let verdict = known.judge(host, port, &shown, now);
    Ok((shown.key, verdict))
}

const COLUMNS: &[Column] = &[
    column("host", "HOST", Place::Left),
    column("state", "STATE", Place::Left),
    column("type", "TYPE", Place::Left),
    column("fingerprint", "FINGERPRINT", Place::Left),
    column("text", "TEXT", Place::Below),
];

/// Prints each host's key, many hosts asked at once; exit 3 where one is not known, has changed, is revoked, or cannot be seen.
pub fn scan(common: &Common, spec: &FleetSpec, glob: &str, format: show::Format) -> Outcome {
    let mut exit = Exit::Done;
    let mut rows = Vec::new();
    let over_ssh = |host: &HostSpec| match &host.transport {
        Transport::Ssh(ssh) => Some((host.name.clone(), ssh.clone())),
        Transport::Local => None,
    };
    let hosts: Vec<(String, SshSpec)> = chosen(spec, glob)?.into_iter().filter_map(over_ssh).collect();
    let done = |(name, ssh): &(String, SshSpec), seen: Result<(HostKey, Verdict), Failure>| {
        let accept = || Cell::Text(format!("to accept it: fleet hosts accept {name}"));
        let (state, key, text) = match seen {
            Ok((key, verdict)) => {
                let pinned = ssh.fingerprint.as_ref().is_some_and(|pin| *pin == key.fingerprint());
                let (state, text) = match verdict {
                    Verdict::Revoked => ("revoked", Cell::Empty),
                    _ if pinned => ("pinned", Cell::Empty),
                    Verdict::Known => ("known", Cell::Empty),
                    Verdict::Unproven(why) => ("unproven", Cell::Text(format!("its certificate: {why}"))),
                    Verdict::Unknown => ("unknown", accept()),
                    Verdict::Changed(_) => ("CHANGED", accept()),
                };
                (state, Some(key), text)
            }
            Err(failure) => ("not seen", None, Cell::Text(failure.text)),
        };
        if state != "known" && state != "pinned" {
            exit = Exit::Partly;
        }
        let of = |text: Option<String>| text.map_or(Cell::Empty, Cell::Text);
        rows.push(vec![
            Cell::Text(name.clone()),
            Cell::Text(if format == show::Format::Table { state.to_owned() } else { state.to_lowercase() }),
            of(key.as_ref().map(|key| key.kind().to_owned())),
            of(key.as_ref().map(HostKey::fingerprint)),
            text,
        ]);
        Ok(())
    };
    let run = Run::default();
    each(&hosts, spec.collector.jobs, |(name, ssh)| look(name, ssh, &run), done)?;
    show::page(common, format, &Page { columns: COLUMNS, rows })?;
    Ok(exit)
}

/// Shows old and new fingerprint, asks, and writes.
pub fn accept(spec: &FleetSpec, args: &AcceptArgs) -> Outcome {
    let name = &args.name;
    let host = spec.host(name).ok_or_else(|| unknown(spec, name))?;
    let Transport::Ssh(ssh) = &host.transport else {
        return Err(Failure::new(Exit::Usage, format!("{name} is reached without SSH and has no host key")));
    };
    if let Some(pin) = &ssh.fingerprint {
        let text = format!("{name} is pinned to {pin} in the configuration; change it there");
        return Err(Failure::new(Exit::Config, text));
    }
    let (key, verdict) = look(name, ssh, &Run::default())?;
    confirm(name, ssh, &key, &verdict, args.fingerprint.as_deref(), ask::somebody())?;
    Ok(Exit::Done)
}

/// Writes the key down, once the given fingerprint or the person, where one is asked, agrees.
pub fn confirm(
    name: &str,
    ssh: &SshSpec,
    key: &HostKey,
    verdict: &Verdict,
    wanted: Option<&str>,
    asks: bool,
) -> Result<(), Failure> {
    let failed = |text: String| Failure::new(Exit::Failed, text);
    let shown = format!("{} {}", key.kind(), key.fingerprint());
    if let Some(weakness) = key.weakness() {
        return Err(failed(format!("{name} shows {weakness}; give the host an ed25519 key")));
    }
    let mut text = String::new();
    match verdict {
        Verdict::Known => return exit::print(&format!("{name}: {shown} is known already\n")).map(drop),
        Verdict::Revoked => return Err(failed(format!("{name} shows {shown}, which is marked @revoked"))),
        Verdict::Unproven(why) => return Err(failed(format!("{name} shows a certificate that proves nothing: {why}"))),
        Verdict::Unknown => text.push_str(&format!("{name} shows the key {shown}\n")),
        Verdict::Changed(old) => {
            for key in old {
                text.push_str(&format!("{name} was known with {} {}\n", key.kind(), key.fingerprint()));
            }
            text.push_str(&format!("{name} shows now      {shown}\n"));
        }
    }
    exit::print(&text)?;
    match wanted {
        Some(wanted) if wanted == key.fingerprint() => {}
        Some(wanted) => return Err(failed(format!("{name} shows {}, not {wanted}", key.fingerprint()))),
        None if !asks => {
            let text =
                format!("nobody was asked; compare it, then give it: --accept-fingerprint {}", key.fingerprint());
            return Err(Failure::new(Exit::Usage, text));
        }
        None => {
            exit::print(&format!(
                "On the host itself: ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub\n",
                short(key.kind())
            ))?;
            if !ask::yes("Is it the same?", false)? {
                return Err(failed("nothing was changed".to_owned()));
            }
        }
    }
    let Some(file) = ssh.known_hosts.first() else {
        return Err(Failure::new(Exit::Config, "no known-hosts file is configured; set known-hosts= of <ssh>"));
    };
    let (host, port) = ssh.known_name();
    known_hosts::change(file, host, port, key, true).map_err(failed)?;
    exit::print(&format!("{name}: accepted, written to {}\n", file.display())).map(drop)
}

fn short(kind: &str) -> &str {
    match kind {
        "ssh-ed25519" => "ed25519",
        "ssh-rsa" => "rsa",
        _ => "ecdsa",
    }
}
