//! `fleet hosts add`: the configuration is replaced whole, and only once the new one was read and tried.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::target::{Target, fits};
use super::{keys, test};
use crate::app::context::Common;
use crate::app::dialer::Run;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::files;
use crate::app::fleet::ask;
use crate::config::{self, Loaded};
use crate::model::cause::Cause;
use crate::model::sample::Sample;
use crate::model::spec::{FleetSpec, HostSpec, Transport};
use crate::view::hosts::reached;

/// Flags of `add`.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// Where to log in
    #[arg(value_name = "USER@HOST[:PORT]")]
    pub target: String,
    /// Name in the configuration [default: the address]
    #[arg(long)]
    pub name: Option<String>,
    /// Put it into this group of the configuration
    #[arg(long)]
    pub group: Option<String>,
    /// The fingerprint that the host key must have; then nothing is asked
    #[arg(long = "fingerprint", visible_alias = "accept-fingerprint", value_name = "SHA256:...")]
    pub fingerprint: Option<String>,
    /// Never ask, also where somebody could answer
    #[arg(skip)]
    pub silent: bool,
}

fn config_failure(text: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Config, text.to_string())
}

/// The file itself where the configuration is a link to it: the link stays.
pub fn real(file: &Path) -> Result<PathBuf, Failure> {
    fs::canonicalize(file).map_err(|error| config_failure(format!("{}: {error}", file.display())))
}

/// Changes the configuration, with nobody else in between: two at once would lose what one of them wrote.
pub fn rewrite(file: &Path, edit: impl Fn(&str) -> Result<String, String>) -> Result<Loaded, Failure> {
    let _lock = files::lock(file).map_err(|error| config_failure(format!("{}: {error}", file.display())))?;
    let (text, loaded) = change(file, edit)?;
    let mode = fs::metadata(file).map(|meta| meta.permissions().mode() & 0o777);
    mode.and_then(|mode| files::replace(file, text.as_bytes(), mode))
        .map_err(|error| config_failure(format!("{}: cannot be changed: {error}", file.display())))?;
    Ok(loaded)
}

/// Reads the configuration, changes its text, and looks whether the result is one.
fn change(file: &Path, edit: impl Fn(&str) -> Result<String, String>) -> Result<(String, Loaded), Failure> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|error| config_failure(format!("{shown}: {error}")))?;
    let text = edit(&text).map_err(|why| config_failure(format!("{shown}: {why}")))?;
    let loaded = config::try_text(file, &text).map_err(config_failure)?;
    Ok((text, loaded))
}

/// Shows the host key and asks, logs in, ships the probe, prints the first readings, and only then adds the host.
pub fn add(common: &Common, args: &AddArgs) -> Outcome {
    let file = real(&common.config_file()?)?;
    let usage = |text: String| Failure::new(Exit::Usage, text);
    let target = Target::parse(&args.target).map_err(usage)?;
    let name = args.name.clone().unwrap_or_else(|| target.address.replace([':', '%'], "-"));
    if !fits(&name) {
        return Err(usage(format!("{name}: a name has letters, digits, `.`, `_` and `-`")));
    }
    let edit = |text: &str| config::edit::add_host(text, &target.element(&name), args.group.as_deref());
    let (_, loaded) = change(&file, edit)?;
    let host = loaded.spec.host(&name).ok_or_else(|| config_failure(format!("{name} did not get in")))?;
    let Transport::Ssh(ssh) = &host.transport else {
        return Err(config_failure(format!("{name} is reached without SSH")));
    };
    let asks = ask::somebody() && !args.silent;
    if ssh.fingerprint.is_none() {
        let (key, verdict) = keys::look(&name, ssh, &Run::default())?;
        keys::confirm(&name, ssh, &key, &verdict, args.fingerprint.as_deref(), asks)?;
    }
    let allowed = test::may(&loaded.spec, host)?;
    if allowed {
        let copy_key = target.copy_key(ssh.key_files.first().map(PathBuf::as_path));
        let sample = first_sample(&loaded.spec, host, &copy_key, asks)?;
        exit::print(&format!("{name}  ok  {}\n", test::readings(&sample)))?;
    }
    // Read once more: whoever changed the file while we asked and logged in must not lose that.
    rewrite(&file, edit)?;
    exit::print(&format!("{name} was added to {}\n", file.display()))?;
    if !allowed {
        let grant = format!("fleet consent grant {name} --by WHO --purpose WHAT");
        exit::print(&format!("It is visited once its owner agreed and that is recorded: {grant}\n"))?;
    }
    Ok(Exit::Done)
}

/// Visits the host; where it does not take our key and somebody is there, says what to type and tries again.
fn first_sample(spec: &FleetSpec, host: &HostSpec, copy_key: &str, asks: bool) -> Result<Sample, Failure> {
    let visits = test::Visits::new(spec)?;
    loop {
        let (cause, text) = match visits.visit(host)? {
            Ok((sample, _)) => return Ok(sample),
            Err(failed) => failed,
        };
        let next = if cause == Cause::Authentication {
            copy_key.to_owned()
        } else {
            cause.remedy().replace("HOST", &host.name)
        };
        let place = reached(&host.transport);
        if cause == Cause::Authentication && asks {
            exit::complain(&format!("{place}: {cause}: {text}\ntype in another terminal: {next}"));
            if ask::yes("Done, shall I try again?", true)? {
                continue;
            }
        }
        let text = format!("{place}: {cause}: {text}\nnothing was added; next: {next}");
        return Err(Failure::new(Exit::Failed, text));
    }
}
