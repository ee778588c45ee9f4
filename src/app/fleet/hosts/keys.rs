//! Host keys: shown to a person, and written down only when the person says so.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::{FleetSpec, SshSpec, Transport, chosen};
use crate::app::exit::{Exit, Failure, Outcome};
use crate::model::clean::clean;
use crate::ssh::hostkey::HostKey;
use crate::ssh::known_hosts::{self, Verdict};
use crate::ssh::{self};

/// For the look at one host's key.
const LOOK: Duration = Duration::from_secs(10);

/// Flags of `accept`.
#[derive(Debug, clap::Args)]
pub struct AcceptArgs {
    /// Name of the host in the configuration
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The fingerprint that the key must have; then nothing is asked
    #[arg(long, value_name = "SHA256:...")]
    pub fingerprint: Option<String>,
}

/// What is known of a host's key, and what it shows now.
pub fn look(ssh: &SshSpec) -> Result<(HostKey, Verdict), Failure> {
    let key = ssh::scan(ssh, Instant::now() + LOOK)
        .map_err(|error| Failure::new(Exit::Failed, format!("{}: {}", error.cause, clean(&error.text))))?;
    let known = known_hosts::read(&ssh.known_hosts).map_err(|text| Failure::new(Exit::Failed, text))?;
    let verdict = known.check(&ssh.address, ssh.port, &key);
    Ok((key, verdict))
}

/// Prints each host's key; exit 3 where one is not known.
pub fn scan(spec: &FleetSpec, glob: &str) -> Outcome {
    let mut exit = Exit::Done;
    for host in chosen(spec, glob)? {
        let Transport::Ssh(ssh) = &host.transport else { continue };
        let said = match look(ssh) {
            Ok((key, verdict)) => {
                let pinned = ssh.fingerprint.as_ref().is_some_and(|pin| *pin == key.fingerprint());
                let state = match verdict {
                    Verdict::Revoked => "REVOKED".to_owned(),
                    _ if pinned => "pinned".to_owned(),
                    Verdict::Known => "known".to_owned(),
                    Verdict::Unknown => format!("unknown; to accept it: fleet hosts accept {}", host.name),
                    Verdict::Changed(_) => format!("CHANGED; to accept it: fleet hosts accept {}", host.name),
                };
                if state != "known" && state != "pinned" {
                    exit = Exit::Partly;
                }
                format!("{} {}  {state}", key.kind(), key.fingerprint())
            }
            Err(failure) => {
                exit = Exit::Partly;
                failure.text
            }
        };
        println!("{}  {said}", host.name);
    }
    Ok(exit)
}

/// Shows old and new fingerprint, asks, and writes.
pub fn accept(spec: &FleetSpec, args: &AcceptArgs) -> Outcome {
    let name = &args.name;
    let host = spec
        .host(name)
        .ok_or_else(|| Failure::new(Exit::Usage, format!("no host is named {name}; see: fleet hosts list")))?;
    let Transport::Ssh(ssh) = &host.transport else {
        return Err(Failure::new(Exit::Usage, format!("{name} is reached without SSH and has no host key")));
    };
    if let Some(pin) = &ssh.fingerprint {
        let text = format!("{name} is pinned to {pin} in the configuration; change it there");
        return Err(Failure::new(Exit::Config, text));
    }
    let (key, verdict) = look(ssh)?;
    confirm(name, ssh, &key, &verdict, args.fingerprint.as_deref())?;
    Ok(Exit::Done)
}

/// Writes the key down, once the person or the given fingerprint agrees.
pub fn confirm(
    name: &str,
    ssh: &SshSpec,
    key: &HostKey,
    verdict: &Verdict,
    wanted: Option<&str>,
) -> Result<(), Failure> {
    let failed = |text: String| Failure::new(Exit::Failed, text);
    let shown = format!("{} {}", key.kind(), key.fingerprint());
    if let Some(weakness) = key.weakness() {
        return Err(failed(format!("{name} shows {weakness}; give the host an ed25519 key")));
    }
    match verdict {
        Verdict::Known => {
            println!("{name}: {shown} is known already");
            return Ok(());
        }
        Verdict::Revoked => return Err(failed(format!("{name} shows {shown}, which is marked @revoked"))),
        Verdict::Unknown => println!("{name} shows the key {shown}"),
        Verdict::Changed(old) => {
            for key in old {
                println!("{name} was known with {} {}", key.kind(), key.fingerprint());
            }
            println!("{name} shows now      {shown}");
        }
    }
    match wanted {
        Some(wanted) if wanted == key.fingerprint() => {}
        Some(wanted) => return Err(failed(format!("{name} shows {}, not {wanted}", key.fingerprint()))),
        None if !io::stdin().is_terminal() => {
            let text = format!("nobody to ask; compare, then give it: --fingerprint {}", key.fingerprint());
            return Err(Failure::new(Exit::Usage, text));
        }
        None => {
            println!("On the host itself: ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub", short(key.kind()));
            print!("Is it the same? [y/N] ");
            let _ = io::stdout().flush();
            let mut line = String::new();
            io::stdin().read_line(&mut line).map_err(|error| failed(error.to_string()))?;
            if !matches!(line.trim(), "y" | "Y" | "yes") {
                return Err(failed("nothing was changed".to_owned()));
            }
        }
    }
    let Some(file) = ssh.known_hosts.first() else {
        return Err(Failure::new(Exit::Config, "no known-hosts file is configured; set known-hosts= of <ssh>"));
    };
    known_hosts::change(file, &ssh.address, ssh.port, key, true).map_err(failed)?;
    println!("{name}: accepted, written to {}", file.display());
    Ok(())
}

fn short(kind: &str) -> &str {
    match kind {
        "ssh-ed25519" => "ed25519",
        "ssh-rsa" => "rsa",
        _ => "ecdsa",
    }
}
