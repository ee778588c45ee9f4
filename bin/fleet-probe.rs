//! Measures the machine it runs on; the collector ships and drives it.

fn main() -> std::process::ExitCode {
    fleet_health::app::probe::main()
}
