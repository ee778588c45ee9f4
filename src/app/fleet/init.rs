//! `fleet init`: from nothing to a first row of the table. Nothing that is there is overwritten.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::{ask, hosts, keys, views};
use crate::app::clock;
use crate::app::context::Common;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::app::files;
use crate::app::keyring::{self, change};
use crate::config;
use crate::model::spec::{KeySpec, StoreSpec};
use crate::store;
use crate::view;

mod made;
mod programs;
mod text;

use made::Made;

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
    /// The first machine to watch
    #[arg(long, value_name = "USER@HOST[:PORT]")]
    host: Option<String>,
    /// The fingerprint that its host key must have; then nothing is asked
    #[arg(long, value_name = "SHA256:...", requires = "host")]
    accept_fingerprint: Option<String>,
    /// Do not watch the monitoring machine itself
    #[arg(long)]
    no_self: bool,
}

pub fn run(common: &Common, mut args: Args) -> Outcome {
    if !args.yes {
        if !ask::somebody() {
            let text = "no terminal to ask on; give --yes, and what differs from the defaults: --dir DIR \
                        --mail ADDRESS --smtp HOST:PORT --from ADDRESS --host USER@HOST --accept-fingerprint SHA256:...";
            return Err(Failure::new(Exit::Usage, text));
        }
        questions(&mut args)?;
    }
    let usage = |text: String| Failure::new(Exit::Usage, text);
    let dir = std::path::absolute(args.dir.as_deref().unwrap_or(Path::new("."))).map_err(failed(Path::new(".")))?;
    let mail = args.mail().map_err(usage)?;
    let written = text::config(mail.as_ref(), !args.no_self, programs::schema().as_deref()).map_err(usage)?;
    if let Some(host) = &args.host {
        hosts::Target::parse(host).map_err(usage)?;
    }
    free(&dir).map_err(|text| Failure::new(Exit::Config, text))?;

    let file = dir.join("config.xml");
    let said = make(&dir, &file, &written)?;
    exit::print(&format!("wrote {}\n{said}", file.display()))?;
    let mut common = common.clone();
    common.config = Some(file.clone());
    let added = first_host(&common, &args)?;
    if !args.no_self || added == Some(true) {
        match programs::collect(&file) {
            Ok(()) => {
                exit::print("\nThe first readings:\n")?;
                views::show(&common, &view::status::VIEW, &views::Asked::default())?;
            }
            Err(why) => exit::print(&format!("\nNothing collected yet: {why}\n")).map(drop)?,
        }
    }
    exit::print(&next(&file, mail.is_some(), added))?;
    Ok(if added == Some(false) { Exit::Partly } else { Exit::Done })
}

impl Args {
    fn mail(&self) -> Result<Option<text::Mail>, String> {
        let login = self.smtp_user.as_deref().zip(self.smtp_password_file.as_deref());
        text::Mail::new(self.mail.as_deref(), self.smtp.as_deref(), self.smtp_tls, login, self.from.as_deref())
    }
}

/// Whether a configuration can be written there.
fn free(dir: &Path) -> Result<(), String> {
    let file = dir.join("config.xml");
    if file.symlink_metadata().is_ok() {
        return Err(format!(
            "{}: is there already and is not overwritten; change it, or choose another --dir",
            file.display()
        ));
    }
    if dir.symlink_metadata().is_ok() && !dir.is_dir() {
        return Err(format!("{}: is not a folder", dir.display()));
    }
    Ok(())
}

/// Makes folders, keys, database and, last, the configuration. All of them or, where anything fails or Ctrl-C is
/// pressed, none. Says what was made.
fn make(dir: &Path, file: &Path, written: &str) -> Result<String, Failure> {
    let mut made = Made::watch()?;
    for folder in [dir.to_path_buf(), dir.join("keys"), dir.join("state")] {
        made.folders(&folder);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed(&folder))?;
    }
    let said = make_keys(dir, &mut made)?;
    let database = dir.join("fleet.db");
    for ending in ["", "-wal", "-shm", ".ballast"] {
        made.file(PathBuf::from(format!("{}{ending}", database.display())));
    }
    let sqlite = StoreSpec {
        backend: "sqlite".to_owned(),
        location: database.display().to_string(),
        keep: std::time::Duration::from_secs(14 * 86_400),
        keep_hourly: std::time::Duration::from_secs(400 * 86_400),
    };
    drop(store::open(&sqlite)?);
    made.file(file.to_path_buf());
    files::create(file, written.as_bytes(), 0o600).map_err(failed(file))?;
    // Read back, so that no mistake of ours stays on disk.
    config::load(file).map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
    made.keep()?;
    Ok(said)
}

/// Adds the first machine, if there is one: whether that worked. What was made stays in any case.
fn first_host(common: &Common, args: &Args) -> Result<Option<bool>, Failure> {
    let Some(target) = &args.host else { return Ok(None) };
    exit::print("\n")?;
    let add = hosts::AddArgs {
        target: target.clone(),
        name: None,
        group: None,
        fingerprint: args.accept_fingerprint.clone(),
        silent: args.yes,
    };
    match hosts::add(common, &add) {
        Ok(_) => Ok(Some(true)),
        Err(failure) => {
            exit::complain(&format!("fleet: {}\nthen: fleet hosts add {target}", failure.text));
            Ok(Some(false))
        }
    }
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    let shown = path.display().to_string();
    move |error| Failure::new(Exit::Failed, format!("{shown}: {error}"))
}

/// The questions, each with its default; what a flag gave is not asked. Nothing is written before the last answer.
fn questions(args: &mut Args) -> Result<(), Failure> {
    if args.dir.is_none() {
        let dir = ask::until("Where shall configuration, keys and database go?", ".", |answer| {
            let dir = match (answer.strip_prefix("~/"), std::env::var_os("HOME")) {
                (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
                _ => PathBuf::from(answer),
            };
            free(&dir).map(|()| dir)
        })?;
        args.dir = Some(dir);
    }
    let some = |answer: &str| (!answer.is_empty()).then(|| answer.to_owned());
    if args.mail.is_none() {
        args.mail = ask::until("Who gets mail? (addresses; empty: mails become files)", "", |answer| {
            text::Mail::new(some(answer).as_deref(), None, None, None, None).map(|_| some(answer))
        })?;
    }
    if let (Some(to), None) = (&args.mail, &args.smtp) {
        let smtp = ask::until("Which mail server? (HOST:PORT)", text::DEFAULT_SMTP, |answer| {
            text::Mail::new(Some(to), Some(answer), args.smtp_tls, None, None).map(|_| answer.to_owned())
        })?;
        args.smtp = Some(smtp);
    }
    if args.host.is_none() {
        args.host = ask::until("Which machine first? (USER@HOST; empty: none yet)", "", |answer| match some(answer) {
            Some(target) => hosts::Target::parse(&target).map(|_| Some(target)),
            None => Ok(None),
        })?;
    }
    Ok(())
}

/// Makes the age and SSH keys that are not there yet, and says what was made.
fn make_keys(dir: &Path, made: &mut Made) -> Result<String, Failure> {
    let spec = KeySpec { recipient_file: dir.join("keys/fleet.pub"), identity_file: dir.join("keys/fleet.key") };
    let mut said = String::new();
    if spec.identity_file.exists() && spec.recipient_file.exists() {
        keyring::identities(&spec)?;
        said.push_str("kept the age key that was there\n");
    } else {
        made.file(spec.identity_file.clone());
        made.file(spec.recipient_file.clone());
        change::generate(&spec, clock::now())?;
        said.push_str(&keys::backup(&spec));
    }
    let ssh = dir.join("keys/id_ed25519");
    if ssh.exists() {
        said.push_str("kept the SSH key that was there\n");
        return Ok(said);
    }
    made.file(ssh.clone());
    made.file(dir.join("keys/id_ed25519.pub"));
    if let Err(why) = programs::ssh_key(&ssh) {
        said.push_str(&format!("no SSH key was made: {why}\n"));
    } else {
        said.push_str(&format!(
            "On each machine to watch this key must be let in:\n  ssh-copy-id -i '{}.pub' USER@HOST\n",
            ssh.display()
        ));
    }
    Ok(said)
}

fn next(file: &Path, mails: bool, added: Option<bool>) -> String {
    // Found without a word where it lies in the current folder.
    let here = std::env::current_dir().is_ok_and(|here| file.parent() == Some(&here));
    let config = if here { String::new() } else { format!(" --config '{}'", file.display()) };
    let mut text = String::from("\nNext:\n");
    if added != Some(true) {
        text.push_str(&format!("  fleet hosts add USER@HOST{config}\n"));
    }
    if mails {
        text.push_str(&format!("  fleet mail test{config}\n"));
    }
    text.push_str(&format!("  fleet-collector{config}\n  fleet-alerter{config}\n  fleet status{config}\n"));
    text.push_str(&format!("Then let it run by itself, and see that all is right:\n  fleet schedule install{config}\n  fleet doctor{config}\n"));
    text
}
