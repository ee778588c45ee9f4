//! `fleet mail`.

use serde_json::{Value, json};

use crate::app::alerter::{letter, lines, world::mailbox};
use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::model::alert::Pause;
use crate::model::spec::FleetSpec;
use crate::notify::{self, Parcel, Setup};
use crate::view::json;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Send a test mail and show the dialogue, without its secrets
    Test(TestArgs),
}

/// Flags of the test.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// The destination [default: all]
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// The dialogues as JSON
    #[arg(long)]
    json: bool,
}

/// What came of one recipient, or of a destination that could not be opened.
struct Tried {
    destination: String,
    recipient: Option<String>,
    refusal: Option<notify::Refusal>,
}

impl Tried {
    fn failure(&self) -> Option<String> {
        let refusal = self.refusal.as_ref()?;
        let who = self.recipient.as_ref().unwrap_or(&self.destination);
        Some(format!("{who}: failed at {}: {}", refusal.stage, refusal.text))
    }
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let Command::Test(args) = args.command;
    test(common, args)
}

pub fn test(common: &Common, TestArgs { to, json }: TestArgs) -> Outcome {
    let spec = common.spec()?;
    let chosen = || spec.alerts.destinations.iter().filter(|known| to.as_ref().is_none_or(|name| *name == known.name));
    if chosen().next().is_none() {
        let known: Vec<&str> = spec.alerts.destinations.iter().map(|to| to.name.as_str()).collect();
        let text = match &to {
            Some(name) => format!("no destination \"{name}\"; config.xml has: {}", known.join(", ")),
            None => "no <to> in <alerts>: add <to name=\"ops\" mail=\"you@example.net\"/> to config.xml".to_owned(),
        };
        return Err(Failure::new(Exit::Usage, text));
    }
    let (mut tried, mut dialogue) = (Vec::new(), Vec::new());
    let now = clock::now();
    for destination in chosen() {
        let Some((channel, recipients)) = notify::of(&destination.channel) else { continue };
        let password = lines::password(&spec.alerts, &destination.channel);
        let password = password.map_err(|text| Failure::new(Exit::Failed, text))?;
        let (smtp, password) = (spec.alerts.smtp.as_ref(), password.as_ref());
        let setup = Setup { smtp, channel: &destination.channel, password, timeout: lines::STAGE };
        let written = letter::test(&spec, destination, now);
        let name = &destination.name;
        // A dialogue that nobody reads any more goes on: the mail is what counts.
        let mut say = |line: &str| match json {
            true => dialogue.push(json!({"destination": name, "line": line})),
            false => drop(exit::print(&format!("  {line}\n"))),
        };
        if !json {
            exit::print(&format!("{name} ({}):\n", channel.name()))?;
        }
        let mut note = |recipient: Option<&String>, refusal: Option<notify::Refusal>| {
            if let Some(refusal) = refusal.as_ref().filter(|_| !json) {
                drop(exit::print(&format!("  FAILED at {}: {}\n", refusal.stage, refusal.text)));
            }
            tried.push(Tried { destination: name.clone(), recipient: recipient.cloned(), refusal });
        };
        let mut session = match channel.open(&setup, &mut say) {
            Ok(session) => session,
            Err(refusal) => {
                note(None, Some(refusal));
                continue;
            }
        };
        for recipient in &recipients {
            let parcel = Parcel { recipient, message_id: &written.message_id, bytes: &written.bytes };
            note(Some(recipient), session.send(&parcel, &mut say).err());
        }
        session.close(&mut say);
    }
    resume(&spec, &tried)?;
    if json {
        let rows = tried.iter().map(|it| {
            json!({
                "destination": it.destination, "recipient": it.recipient, "ok": it.refusal.is_none(),
                "stage": it.refusal.as_ref().map(|refusal| refusal.stage),
                "text": it.refusal.as_ref().map(|refusal| &refusal.text),
            })
        });
        let rows: Vec<Value> = rows.collect();
        exit::print(&json::text(&json!({"version": 1, "rows": rows, "dialogue": dialogue})))?;
    }
    let failed: Vec<String> = tried.iter().filter_map(Tried::failure).collect();
    if failed.is_empty() {
        return Ok(Exit::Done);
    }
    let next = format!("mend <smtp> or <to> in {}, then again: fleet mail test", spec.file.display());
    Err(Failure::new(Exit::Failed, format!("{}\n{next}", failed.join("\n"))))
}

/// Who mended a setting need not wait for the next try.
fn resume(spec: &FleetSpec, tried: &[Tried]) -> Result<(), Failure> {
    let mut store = open_store(spec)?;
    for pause in store.pauses()? {
        let mended = tried.iter().filter(|it| it.refusal.is_none()).any(|it| {
            let to = spec.alerts.destinations.iter().find(|to| to.name == it.destination);
            let recipient = it.recipient.as_deref().unwrap_or_default();
            let way = to.map(|to| lines::way(spec, to, recipient));
            way.as_ref() == Some(&pause.what) || pause.what == mailbox(&it.destination, recipient)
        });
        if mended {
            store.pause(&Pause { failures: 0, ..pause })?;
        }
    }
    Ok(())
}
