//! One run of the alerter, run by cron.

fn main() -> std::process::ExitCode {
    fleet_health::app::alerter::main()
}
