//! One sweep over the fleet, run by cron.

fn main() -> std::process::ExitCode {
    fleet_health::app::collector::main()
}
