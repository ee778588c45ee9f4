//! Logs go to standard error, as lines for people or as JSON; cron mails them, the journal keeps them.

use super::context::{Common, LogFormat};

/// Starts the logger; `-q` errors only, default warnings, `-v` info, `-vv` debug. RUST_LOG overrides.
pub fn start(common: &Common) {
    use std::io::Write;
    let level = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "fleet_health=info,warn",
        (false, _) => "fleet_health=debug,info",
    };
    let mut builder = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level));
    if common.log_format == LogFormat::Json {
        builder.format(|out, record| {
            let line = serde_json::json!({
                "time": super::clock::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
                "level": record.level().as_str().to_lowercase(),
                "target": record.target(),
                "message": record.args().to_string(),
            });
            writeln!(out, "{line}")
        });
    } else {
        builder.format_target(false);
    }
    // A second start in one process (tests) keeps the first logger.
    let _ = builder.try_init();
}
