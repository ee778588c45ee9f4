//! The person's command.

fn main() -> std::process::ExitCode {
    fleet_health::app::fleet::main()
}
