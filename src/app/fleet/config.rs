//! `fleet config`: what results for a host, each value with the line it came from.

use serde_json::{Value, json};

use crate::app::context::Common;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::config::{self, Loaded};
use crate::model::spec::{HostSpec, Origin, RuleSpec};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Debug, clap::Subcommand)]
enum Sub {
    /// Everything that holds for a host, and the file and line of each value
    Show {
        /// The host's name
        host: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let Sub::Show { host: name, json } = args.command;
    let file = common.config_file()?;
    let loaded = config::read(&file).map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
    let Some(host) = loaded.spec.host(&name) else {
        let text = format!("there is no host {name} in {}; list them with: fleet hosts list", file.display());
        return Err(Failure::new(Exit::Usage, text));
    };
    let text = if json { format!("{:#}\n", as_json(&loaded, host)) } else { as_text(&loaded, host) };
    exit::print(&text)
}

fn place(origin: &Origin) -> String {
    if origin.line == 0 { "built in".to_owned() } else { format!("{}:{}", origin.file.display(), origin.line) }
}

fn origin_of(rule: &RuleSpec, name: &str) -> String {
    rule.origins.get(name).map_or_else(|| "built in".to_owned(), place)
}

fn as_text(loaded: &Loaded, host: &HostSpec) -> String {
    let mut out = format!("{}   {}\n", host.name, place(&host.origin));
    let mut line = |name: &str, value: &str, from: &str| {
        out.push_str(format!("  {name:<24} {value:<32} {from}").trim_end());
        out.push('\n');
    };
    if !host.groups.is_empty() {
        line("groups", &host.groups.join(" > "), "");
    }
    for shown in loaded.origins.get(&host.name).into_iter().flatten() {
        let value = if shown.value.is_empty() { "-" } else { &shown.value };
        line(shown.name, value, &place(&shown.origin));
    }
    for rule in &host.rules {
        line(&format!("rule {}", rule.name), "", "");
        for (name, value) in config::written(rule) {
            line(&format!("  {name}"), &value, &origin_of(rule, name));
        }
    }
    out
}

fn as_json(loaded: &Loaded, host: &HostSpec) -> Value {
    let value = |text: &str, from: &str| json!({ "value": text, "from": from });
    let shown = loaded.origins.get(&host.name).into_iter().flatten();
    let connection: Vec<Value> =
        shown.map(|shown| json!({ "name": shown.name, "value": shown.value, "from": place(&shown.origin) })).collect();
    let rules: Vec<Value> = host
        .rules
        .iter()
        .map(|rule| {
            let all = config::written(rule).into_iter();
            let attributes: serde_json::Map<String, Value> =
                all.map(|(name, text)| (name.to_owned(), value(&text, &origin_of(rule, name)))).collect();
            json!({ "metric": rule.metric, "kind": rule.kind.word(), "attributes": attributes })
        })
        .collect();
    json!({
        "version": 1,
        "host": host.name,
        "from": place(&host.origin),
        "groups": host.groups,
        "values": connection,
        "rules": rules,
    })
}
