//! `fleet paths`: the files that are used, and why.

use std::path::{Path, PathBuf};

use crate::app::context::Common;
use crate::app::exit::{self, Exit, Failure, Outcome};
use crate::config;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

struct Line {
    what: &'static str,
    path: PathBuf,
    why: String,
}

pub fn run(common: &Common, args: Args) -> Outcome {
    let file = common.config_file()?;
    let loaded = config::read(&file).map_err(|report| Failure::new(Exit::Config, report.to_string()))?;
    let spec = &loaded.spec;
    let main = file.display().to_string();
    let of = |attribute: &str| format!("{attribute}, or where {main} does not say, beside it");
    let mut lines = vec![Line { what: "configuration", path: absolute(&file), why: reason(common, &file) }];
    for other in loaded.files.iter().skip(1) {
        lines.push(Line { what: "included", path: absolute(other), why: "<include file=>".to_owned() });
    }
    if spec.store.backend == "sqlite" {
        let path = PathBuf::from(&spec.store.location);
        lines.push(Line { what: "store", path, why: of("<store url=>") });
    }
    let keys = &spec.keys;
    let recipients = keys.recipient_file.clone();
    lines.push(Line { what: "recipients", path: recipients, why: of("<keys recipient-file=>") });
    lines.push(Line { what: "identities", path: keys.identity_file.clone(), why: of("<keys identity-file=>") });
    lines.push(Line { what: "state", path: spec.collector.state_dir.clone(), why: of("<collector state-dir=>") });
    let (path, why) = match &spec.collector.probe_dir {
        Some(path) => (path.clone(), "<collector probe-dir=>".to_owned()),
        None => (beside_program(), "beside this program, for <collector probe-dir=> is not given".to_owned()),
    };
    lines.push(Line { what: "probes", path, why });
    let mut out = String::new();
    if args.json {
        let all: Vec<serde_json::Value> = lines
            .iter()
            .map(|line| {
                serde_json::json!({
                    "what": line.what, "path": line.path.to_string_lossy(), "why": line.why, "exists": line.path.exists(),
                })
            })
            .collect();
        out = format!("{:#}\n", serde_json::json!({ "version": 1, "paths": all }));
    } else {
        let width = lines.iter().map(|line| line.path.to_string_lossy().chars().count()).max().unwrap_or(0);
        for line in lines {
            let missing = if line.path.exists() { "" } else { " (not there yet)" };
            out.push_str(&format!("{:<14} {:<width$}  {}{missing}\n", line.what, line.path.display(), line.why));
        }
    }
    exit::print(&out)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn beside_program() -> PathBuf {
    let program = std::env::current_exe().ok();
    program.and_then(|path| Some(path.parent()?.join("probes"))).unwrap_or_else(|| PathBuf::from("probes"))
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
