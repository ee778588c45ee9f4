//! `fleet paths`: the files that are used, and why.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{schedule, show};
use crate::app::collector::plan;
use crate::app::context::Common;
use crate::app::exit::{Exit, Failure, Outcome};
use crate::config;
use crate::model::spec::{ChannelSpec, Transport};
use crate::view::{Cell, Column, Page, Place, column};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    format: show::FormatArgs,
}

const COLUMNS: &[Column] = &[
    column("what", "WHAT", Place::Left),
    column("path", "PATH", Place::Left),
    column("exists", "THERE", Place::Left),
    column("why", "WHY", Place::Below),
];

pub fn run(common: &Common, args: Args) -> Outcome {
    let file = common.config_file()?;
    let loaded = config::read(&file).map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
    let spec = &loaded.spec;
    let of = |attribute: &str| format!("{attribute}, else beside the configuration");
    let mut rows = Vec::new();
    let mut row = |what: &str, path: &Path, why: String| {
        let shown = Cell::Text(path.display().to_string());
        rows.push(vec![Cell::Text(what.to_owned()), shown, Cell::Flag(path.exists()), Cell::Text(why)]);
    };
    row("configuration", &absolute(&file), reason(common, &file));
    for other in loaded.files.iter().skip(1) {
        row("included", &absolute(other), "<include file=>".to_owned());
    }
    if spec.store.backend == "sqlite" {
        row("store", Path::new(&spec.store.location), of("<store url=>"));
    }
    row("recipients", &spec.keys.recipient_file, of("<keys recipient-file=>"));
    row("identities", &spec.keys.identity_file, of("<keys identity-file=>"));
    row("state", &spec.collector.state_dir, of("<collector state-dir=>"));
    let why = if spec.collector.probe_dir.is_some() { "<collector probe-dir=>" } else { "beside this program" };
    let probes = plan::probe_folder(&spec.collector).ok();
    for folder in probes.map_or_else(|| plan::probe_places(&spec.collector), |folder| vec![folder]) {
        row("probes", &folder, why.to_owned());
    }
    let ssh = || {
        spec.hosts.iter().filter_map(|host| match &host.transport {
            Transport::Ssh(ssh) => Some(ssh),
            Transport::Local => None,
        })
    };
    for file in ssh().flat_map(|ssh| &ssh.key_files).collect::<BTreeSet<_>>() {
        row("ssh key", file, "key-file= of <ssh>, a group or a host".to_owned());
    }
    for file in ssh().flat_map(|ssh| &ssh.known_hosts).collect::<BTreeSet<_>>() {
        row("host keys", file, of("known-hosts= of <ssh>"));
    }
    for to in &spec.alerts.destinations {
        if let ChannelSpec::Directory(path) = &to.channel {
            row("mail", path, format!("<to name=\"{}\" directory=>", to.name));
        }
    }
    if let Ok(us) = std::env::current_exe() {
        for name in ["fleet", "fleet-collector", "fleet-alerter"] {
            row("program", &us.with_file_name(name), "beside this program".to_owned());
        }
    }
    for found in schedule::installed(&absolute(&file)) {
        let cell = |text: &str| Cell::Text(text.to_owned());
        rows.push(vec![cell("schedule"), Cell::Text(found), Cell::Flag(true), cell("starts the collector")]);
    }
    show::page(common, args.format.format(), &Page { columns: COLUMNS, rows })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn reason(common: &Common, file: &Path) -> String {
    if common.config.is_some() {
        "--config".to_owned()
    } else if std::env::var_os("FLEET_CONFIG").is_some() {
        "$FLEET_CONFIG".to_owned()
    } else {
        format!("the first of the usual places that exists: {}", file.display())
    }
}
