//! Adding and removing a host: the configuration is replaced whole, and only once the new one was read and tried.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{keys, place, test};
use crate::app::context::{Common, open_store};
use crate::app::exit::{Exit, Failure, Outcome};
use crate::config;
use crate::model::cause::Cause;
use crate::model::spec::Transport;

/// Flags of `add`.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// Where to log in
    #[arg(value_name = "USER@HOST[:PORT]")]
    pub target: String,
    /// Name in the configuration [default: the address]
    #[arg(long)]
    pub name: Option<String>,
    /// The fingerprint that the host key must have; then nothing is asked
    #[arg(long = "fingerprint", alias = "accept-fingerprint", value_name = "SHA256:...")]
    pub accept_fingerprint: Option<String>,
}

/// Flags of `remove`.
#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// Name in the configuration
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Erase what was stored of it too
    #[arg(long)]
    pub purge: bool,
}

/// A configuration beside the real one, taken away unless it takes its place.
struct Draft(PathBuf);

impl Draft {
    fn write(file: &Path, text: &str) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(Exit::Config, format!("{}: cannot be changed: {error}", file.display()))
        };
        let mode = fs::metadata(file).map_err(failed)?.permissions().mode() & 0o777;
        let draft = file.with_extension(format!("xml.new-{}", std::process::id()));
        let mut out = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft).map_err(failed)?;
        let draft = Self(draft);
        out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(failed)?;
        Ok(draft)
    }

    fn install(self, file: &Path) -> Result<(), Failure> {
        fs::rename(&self.0, file)
            .map_err(|error| Failure::new(Exit::Config, format!("{}: cannot be changed: {error}", file.display())))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn text_of(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| Failure::new(Exit::Config, format!("{}: {error}", file.display())))
}

/// Shows the host key and asks, logs in, ships the probe, prints the first readings, and only then adds the host.
pub fn add(common: &Common, args: &AddArgs) -> Outcome {
    let file = common.config_file()?;
    let wrong = || Failure::new(Exit::Usage, format!("{}: write it as USER@HOST or USER@HOST:PORT", args.target));
    let (user, rest) = args.target.split_once('@').ok_or_else(wrong)?;
    let (address, port) = match rest.rsplit_once(':') {
        // More than one colon without brackets is an IPv6 address without port.
        Some((address, port)) if address.ends_with(']') || !address.contains(':') => {
            (address, port.parse::<u16>().map_err(|_| wrong())?)
        }
        _ => (rest, 22),
    };
    let address = address.trim_matches(['[', ']']);
    let fits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-:%".contains(c));
    if !fits(user) || !fits(address) || user.starts_with('-') || address.starts_with('-') {
        return Err(wrong());
    }
    let name = args.name.clone().unwrap_or_else(|| address.replace([':', '%'], "-"));
    if !fits(&name) {
        return Err(Failure::new(Exit::Usage, format!("{name}: a name has letters, digits, `.`, `_` and `-`")));
    }
    let port_text = if port == 22 { String::new() } else { format!(" port=\"{port}\"") };
    let line = format!("<host name=\"{name}\" address=\"{address}\"{port_text} user=\"{user}\"/>");
    let text = config::edit::add_host(&text_of(&file)?, &line).map_err(|text| Failure::new(Exit::Config, text))?;
    let draft = Draft::write(&file, &text)?;
    let spec = config::load(&draft.0).map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
    let host = spec.host(&name).ok_or_else(|| Failure::new(Exit::Failed, format!("{name} did not get in")))?;
    let Transport::Ssh(ssh) = &host.transport else {
        return Err(Failure::new(Exit::Config, format!("{name} is reached without SSH")));
    };
    if ssh.fingerprint.is_none() {
        let (key, verdict) = keys::look(ssh)?;
        keys::confirm(&name, ssh, &key, &verdict, args.accept_fingerprint.as_deref())?;
    }
    match test::visit(&spec, host)? {
        Ok((sample, _)) => println!("{name}  ok  {}", test::readings(&sample)),
        Err((cause, text)) => {
            let next = match (cause, ssh.key_files.first()) {
                (Cause::Authentication, Some(key)) => {
                    format!("ssh-copy-id -i {}.pub -p {port} {user}@{address}", key.display())
                }
                _ => cause.remedy().replace("HOST", &name),
            };
            let text = format!("{}: {cause}: {text}\nnothing was added; next: {next}", place(ssh));
            return Err(Failure::new(Exit::Failed, text));
        }
    }
    draft.install(&file)?;
    println!("{name} was added to {}", file.display());
    Ok(Exit::Done)
}

/// Takes a host out of the configuration, and with `--purge` out of the store.
pub fn remove(common: &Common, args: &RemoveArgs) -> Outcome {
    let file = common.config_file()?;
    let spec = common.spec()?;
    let name = &args.name;
    let text = config::edit::remove_host(&text_of(&file)?, name).map_err(|text| Failure::new(Exit::Config, text))?;
    Draft::write(&file, &text)?.install(&file)?;
    println!("{name} was taken out of {}", file.display());
    if args.purge {
        let gone = open_store(&spec)?.forget(name)?;
        println!("{gone} samples of {name} were erased");
    }
    println!("on the machine itself the probe's directory stays; to remove it: rm -r ~/.cache/fleet-health");
    Ok(Exit::Done)
}
