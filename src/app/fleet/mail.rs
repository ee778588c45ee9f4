//! `fleet mail`.

use crate::app::alerter::{letter, lines, world::mailbox};
use crate::app::clock;
use crate::app::context::{Common, open_store};
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::model::alert::Pause;
use crate::notify::{self, Parcel, Setup};

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
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let Command::Test(args) = args.command;
    test(common, args)
}

pub fn test(common: &Common, TestArgs { to }: TestArgs) -> Outcome {
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
    let (mut failed, mut works) = (Vec::new(), Vec::new());
    let now = clock::now();
    for destination in chosen() {
        let Some((channel, recipients)) = notify::of(&destination.channel) else { continue };
        let password = lines::password(&spec.alerts, &destination.channel);
        let password = password.map_err(|text| Failure::new(Exit::Failed, text))?;
        let (smtp, password) = (spec.alerts.smtp.as_ref(), password.as_ref());
        let setup = Setup { smtp, channel: &destination.channel, password, timeout: lines::STAGE };
        let written = letter::test(&spec, destination, now);
        exit::print(&format!("{} ({}):\n", destination.name, channel.name()))?;
        // A dialogue that nobody reads any more goes on: the mail is what counts.
        let mut say = |line: &str| drop(exit::print(&format!("  {line}\n")));
        let mut refuse = |recipient: &str, refusal: &notify::Refusal| {
            drop(exit::print(&format!("  FAILED at {}: {}\n", refusal.stage, refusal.text)));
            failed.push(format!("{recipient}: failed at {}: {}", refusal.stage, refusal.text));
        };
        let mut session = match channel.open(&setup, &mut say) {
            Ok(session) => session,
            Err(refusal) => {
                refuse(&destination.name, &refusal);
                continue;
            }
        };
        for recipient in &recipients {
            let parcel = Parcel { recipient, message_id: &written.message_id, bytes: &written.bytes };
            match session.send(&parcel, &mut say) {
                Ok(()) => works.push((destination, recipient.clone())),
                Err(refusal) => refuse(recipient, &refusal),
            }
        }
        session.close(&mut say);
    }
    // Who mended a setting need not wait for the next try.
    let mut store = open_store(&spec)?;
    for pause in store.pauses()? {
        let mended = works.iter().any(|(to, recipient)| {
            pause.what == lines::way(&spec, &to.channel, recipient) || pause.what == mailbox(&to.name, recipient)
        });
        if mended {
            store.pause(&Pause { failures: 0, ..pause })?;
        }
    }
    if failed.is_empty() { Ok(Exit::Done) } else { Err(Failure::new(Exit::Failed, failed.join("\n"))) }
}
