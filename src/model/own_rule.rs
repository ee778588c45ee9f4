//! The names of rules that are no metric's: what is judged of hosts, of the fleet and of fleet-health itself.

/// The rule for hosts that cannot be collected.
pub const UNREACHABLE: &str = "unreachable";
/// The rule for hosts of which no sample arrives.
pub const SILENT: &str = "host.silent";
/// The rule for hosts that answer with old samples only.
pub const PROBE_STALE: &str = "probe-stale";
/// The rule for hosts whose clock is wrong.
pub const CLOCK_SKEW: &str = "clock-skew";
/// The rule of the fleet for many hosts that fail at once.
pub const MASS: &str = "mass-unreachable";
/// The rule of the fleet for a collector that does not run.
pub const STALLED: &str = "collector-stalled";
/// The rule of the fleet for a bastion that lets nobody through to the hosts behind it.
pub const BASTION: &str = "bastion-unreachable";
/// The rule of the fleet for a store that was damaged and set aside.
pub const DAMAGED: &str = "store-damaged";
/// The rule of the fleet for mailboxes that refuse.
pub const UNDELIVERABLE: &str = "mail-undeliverable";
/// The rule of the fleet for services with too few healthy servers.
pub const SERVICE_HEALTHY: &str = "service.healthy";
/// Rules that no configuration names thresholds for.
pub const BUILT_IN: &[&str] =
    &[UNREACHABLE, PROBE_STALE, CLOCK_SKEW, MASS, STALLED, BASTION, DAMAGED, UNDELIVERABLE, SERVICE_HEALTHY];
