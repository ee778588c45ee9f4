//! `fleet init`: from nothing to a first row of the table. Nothing that is there is overwritten.

use std::fs::{DirBuilder, File};
use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{keys, status};
use crate::app::clock;
use crate::app::context::Common;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::keyring::{self, change};
use crate::config;
use crate::model::spec::{KeySpec, StoreSpec};
use crate::store;

mod programs;
mod text;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where configuration, keys and database go [default: the current folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Ask nothing; take the default for what no flag gives
    #[arg(short, long)]
    yes: bool,
    /// Who gets mail; several with spaces between [default: nobody, mails become files in DIR/mail]
    #[arg(long, value_name = "ADDRESS")]
    mail: Option<String>,
    /// The mail server [default: localhost:25]
    #[arg(long, value_name = "HOST:PORT")]
    smtp: Option<String>,
    /// How the line to it is protected [default: by the port: 465 implicit, 25 and loopback none, else starttls]
    #[arg(long, value_enum, value_name = "HOW")]
    smtp_tls: Option<text::TlsWord>,
    /// Login name at the mail server
    #[arg(long, value_name = "NAME", requires = "smtp_password_file")]
    smtp_user: Option<String>,
    /// File of mode 0600 with the login password
    #[arg(long, value_name = "FILE", requires = "smtp_user")]
    smtp_password_file: Option<PathBuf>,
    /// Sender of the mails [default: fleet-health@ the mail server]
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Do not watch the monitoring machine itself
    #[arg(long)]
    no_self: bool,
}

pub fn run(common: &Common, mut args: Args) -> Outcome {
    if !args.yes {
        if !std::io::stdin().is_terminal() {
            let text = "no terminal to ask on; give --yes, and what differs from the defaults: --dir DIR \
                        --mail ADDRESS --smtp HOST:PORT --from ADDRESS";
            return Err(Failure::new(Exit::Usage, text));
        }
        questions(&mut args)?;
    }
    let usage = |text: String| Failure::new(Exit::Usage, text);
    let dir = std::path::absolute(args.dir.as_deref().unwrap_or(Path::new("."))).map_err(failed(Path::new(".")))?;
    let mail = text::Mail::new(
        args.mail.as_deref(),
        args.smtp.as_deref(),
        args.smtp_tls,
        args.smtp_user.as_deref().zip(args.smtp_password_file.as_deref()),
        args.from.as_deref(),
    )
    .map_err(usage)?;
    let written = text::config(mail.as_ref(), !args.no_self).map_err(usage)?;

    let file = dir.join("config.xml");
    if file.symlink_metadata().is_ok() {
        let text =
            format!("{}: is there already and is not overwritten; change it, or choose another --dir", file.display());
        return Err(Failure::new(Exit::Config, text));
    }
    for folder in [dir.clone(), dir.join("keys"), dir.join("state")] {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed(&folder))?;
    }
    let said = make_keys(&dir)?;
    let sqlite = StoreSpec {
        backend: "sqlite".to_owned(),
        location: dir.join("fleet.db").display().to_string(),
        keep: std::time::Duration::from_secs(14 * 86_400),
        keep_hourly: std::time::Duration::from_secs(400 * 86_400),
    };
    drop(store::open(&sqlite)?);
    write_config(&file, &written)?;
    exit::print(&format!("wrote {}\n{said}", file.display()))?;

    let mut common = common.clone();
    common.config = Some(file.clone());
    if !args.no_self {
        match programs::collect(&file) {
            Ok(()) => {
                exit::print("\nThe first readings of this machine:\n")?;
                status::all(&common)?;
            }
            Err(why) => exit::print(&format!("\nNothing collected yet: {why}\n")).map(drop)?,
        }
    }
    exit::print(&next(&file, mail.is_some()))
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    let shown = path.display().to_string();
    move |error| Failure::new(Exit::Failed, format!("{shown}: {error}"))
}

/// The three questions, each with its default; what a flag gave is not asked.
fn questions(args: &mut Args) -> Result<(), Failure> {
    if args.dir.is_none() {
        args.dir = Some(PathBuf::from(ask("Where shall configuration, keys and database go?", ".")?));
    }
    if args.mail.is_none() {
        let answer = ask("Who gets mail? (addresses; empty: mails become files)", "")?;
        args.mail = (!answer.is_empty()).then_some(answer);
    }
    if args.mail.is_some() && args.smtp.is_none() {
        args.smtp = Some(ask("Which mail server? (HOST:PORT)", text::DEFAULT_SMTP)?);
    }
    Ok(())
}

fn ask(question: &str, default: &str) -> Result<String, Failure> {
    let broken = |error: std::io::Error| Failure::new(Exit::Failed, format!("terminal: {error}"));
    let mut terminal = std::io::stderr();
    write!(terminal, "{question} [{default}] ").and_then(|()| terminal.flush()).map_err(broken)?;
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer).map_err(broken)? == 0 {
        return Err(Failure::new(Exit::Usage, "no answer; nothing was written"));
    }
    let answer = answer.trim();
    Ok(if answer.is_empty() { default.to_owned() } else { answer.to_owned() })
}

/// Makes the age and SSH keys that are not there yet, and says what was made.
fn make_keys(dir: &Path) -> Result<String, Failure> {
    let spec = KeySpec { recipient_file: dir.join("keys/fleet.pub"), identity_file: dir.join("keys/fleet.key") };
    let mut said = String::new();
    if spec.identity_file.exists() && spec.recipient_file.exists() {
        keyring::identities(&spec)?;
        said.push_str("kept the age key that was there\n");
    } else {
        change::generate(&spec, clock::now())?;
        said.push_str(&keys::backup(&spec));
    }
    let ssh = dir.join("keys/id_ed25519");
    if ssh.exists() {
        said.push_str("kept the SSH key that was there\n");
    } else if let Err(why) = programs::ssh_key(&ssh) {
        said.push_str(&format!("no SSH key was made: {why}\n"));
    } else {
        said.push_str(&format!("for each machine to watch: ssh-copy-id -i '{}.pub' USER@HOST\n", ssh.display()));
    }
    Ok(said)
}

/// Writes the configuration and reads it back, so that no mistake of ours stays on disk.
fn write_config(file: &Path, written: &str) -> Result<(), Failure> {
    let mut handle = File::options().write(true).create_new(true).mode(0o600).open(file).map_err(failed(file))?;
    let done = handle.write_all(written.as_bytes()).and_then(|()| handle.sync_all()).map_err(failed(file));
    let done = done
        .and_then(|()| config::load(file).map(drop).map_err(|report| Failure::new(Exit::Config, report.to_string())));
    done.inspect_err(|_| drop(std::fs::remove_file(file)))
}

fn next(file: &Path, mails: bool) -> String {
    let config = format!("--config '{}'", file.display());
    let mut text = format!("\nNext:\n  fleet hosts add USER@HOST {config}\n");
    if mails {
        text.push_str(&format!("  fleet mail test {config}\n"));
    }
    text.push_str(&format!("  fleet-collector {config}; fleet-alerter {config}   # then into cron\n"));
    text.push_str(&format!("  fleet status {config}\n"));
    text
}
