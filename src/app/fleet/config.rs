//! `fleet config`: what results for a host, each value with the line it came from; and lines for machines that other
//! programs know.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::hosts;
use crate::app::context::Common;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::config::{self, Loaded};
use crate::model::catalogue;
use crate::model::clean::clean;
use crate::model::figure::counted;
use crate::model::service::{CheckSpec, ServiceSpec};
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
    /// Print the <group> and <host> lines of machines that Ansible or ssh already know
    Convert {
        /// An inventory (INI, or what ansible-inventory --list prints), or an ssh_config; - reads standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// A longer list is none.
const LONGEST: u64 = 16 << 20;

pub fn run(common: &Common, args: Args) -> Outcome {
    let (name, json) = match args.command {
        Sub::Convert { file } => return convert(&file),
        Sub::Show { host, json } => (host, json),
    };
    let file = common.config_file()?;
    let loaded = config::read(&file).map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
    let Some(host) = loaded.spec.host(&name) else {
        return Err(hosts::unknown(&loaded.spec, &name));
    };
    let text = if json { format!("{:#}\n", as_json(&loaded, host)) } else { as_text(&loaded, host) };
    exit::print(&text)
}

/// Lines on standard output, for config.xml; what a person must know on standard error. Exit 3 where a host was left out.
fn convert(file: &Path) -> Outcome {
    let shown = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let wrong = |text: String| Failure::new(Exit::Usage, format!("{shown}: {text}"));
    let open = || -> std::io::Result<Box<dyn Read>> {
        Ok(if file == Path::new("-") { Box::new(std::io::stdin()) } else { Box::new(File::open(file)?) })
    };
    let mut text = String::new();
    let read = open().and_then(|source| source.take(LONGEST + 1).read_to_string(&mut text));
    read.map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > LONGEST {
        return Err(wrong(format!("is longer than {LONGEST} bytes")));
    }
    let made = config::convert::convert(&text).map_err(wrong)?;
    exit::print(&made.text)?;
    for note in &made.notes {
        exit::complain(&format!("fleet: {}", clean(note)));
    }
    for host in &made.left_out {
        exit::complain(&format!("fleet: left out: {}", clean(host)));
    }
    let lines = counted(made.hosts, "line");
    exit::complain(&format!(
        "fleet: {lines} of hosts; put them into config.xml, then: fleet check-config, fleet hosts scan"
    ));
    Ok(if made.left_out.is_empty() { Exit::Done } else { Exit::Partly })
}

fn place(origin: &Origin) -> String {
    match origin.line {
        0 if origin.file.as_os_str().is_empty() => "built in".to_owned(),
        // Not a file of ours: what ssh says.
        0 => origin.file.display().to_string(),
        line => format!("{}:{line}", origin.file.display()),
    }
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
    for service in &host.services {
        line(&format!("service {}", service.name), "", &place(&service.origin));
        for (name, value, from) in service_values(service) {
            line(&format!("  {name}"), &value, &from);
        }
        for check in &service.checks {
            line(&format!("  check {}", check.label()), "", &place(&check.origin));
            for (name, value, from) in check_values(check) {
                line(&format!("    {name}"), &value, &from);
            }
        }
    }
    // Those of a metric together, in the order of `fleet metrics`; among them the one that goes before stays first.
    let mut rules: Vec<&RuleSpec> = host.rules.iter().collect();
    rules.sort_by_cached_key(|rule| catalogue::all().position(|metric| metric.name == rule.metric));
    for rule in rules {
        line(&format!("rule {}", rule.name), "", "");
        for (name, value) in config::written(rule) {
            line(&format!("  {name}"), &value, &origin_of(rule, name));
        }
    }
    out
}

/// Name, value as written, and where.
type Shown = (String, String, String);

fn from(origins: &BTreeMap<String, Origin>, name: &str) -> String {
    origins.get(name).map_or_else(|| "built in".to_owned(), place)
}

fn service_values(service: &ServiceSpec) -> Vec<Shown> {
    let mut all = Vec::new();
    if !service.description.is_empty() {
        all.push(("description", service.description.clone()));
    }
    if let Some(least) = service.min_healthy {
        all.push(("min-healthy", least.to_string()));
    }
    all.into_iter().map(|(name, value)| (name.to_owned(), value, from(&service.origins, name))).collect()
}

/// The attributes of a check; of a secret only where it comes from.
fn check_values(check: &CheckSpec) -> Vec<Shown> {
    let mut all = vec![("kind".to_owned(), check.kind.clone(), place(&check.origin))];
    let mut push = |name: &str, value: String| all.push((name.to_owned(), value, from(&check.origins, name)));
    for (name, value) in &check.attributes {
        push(name, value.clone());
    }
    if let Some(script) = &check.script {
        push("script", script.display().to_string());
    }
    for (name, source) in &check.secrets {
        push(name, config::describe(source));
    }
    push("timeout", config::show_duration(check.timeout));
    if let Some(every) = check.every {
        push("every", config::show_duration(every));
    }
    all
}

fn services_json(host: &HostSpec) -> Vec<Value> {
    let object = |values: Vec<Shown>| -> serde_json::Map<String, Value> {
        let entry = |(name, value, from): Shown| (name, json!({ "value": value, "from": from }));
        values.into_iter().map(entry).collect()
    };
    let check = |check: &CheckSpec| json!({ "check": check.label(), "from": place(&check.origin), "attributes": object(check_values(check)) });
    let service = |service: &ServiceSpec| {
        json!({
            "service": service.name,
            "from": place(&service.origin),
            "attributes": object(service_values(service)),
            "checks": service.checks.iter().map(check).collect::<Vec<_>>(),
        })
    };
    host.services.iter().map(service).collect()
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
        "services": services_json(host),
        "rules": rules,
    })
}
