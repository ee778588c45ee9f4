//! What the machine does not give: few file descriptors make a sweep slower, never incomplete.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test helper may fail the test")]

mod support;

use support::fleet::{Fleet, Kind, shown};
use support::run::{program, system};

#[test]
fn o17_few_descriptors_shrink_the_pool_and_every_host_is_collected() {
    let fleet = Fleet::start(&[Kind::Good; 12]);
    fleet.configure(|_| String::new(), "");
    fleet.run("fleet", &["keys", "generate"]).ends_with(0);
    let (config, collector) = (shown(&fleet.config()), shown(&program("fleet-collector")));
    for limit in ["--nofile=44:44", "--nofile=26:26", "--nofile=16:4096"] {
        let said = system("prlimit", &[limit, &collector, "--config", &config, "--json", "-v"]).ends_with(0);
        let json = said.json();
        let hosts = json["hosts"].as_array().unwrap();
        assert_eq!(hosts.len(), 12);
        assert!(hosts.iter().all(|host| host["outcome"] == "collected"), "{limit}: {json}");
        // Where the limit may be raised, it is.
        assert_eq!(said.err.contains("ulimit -n"), !limit.ends_with("4096"), "{limit}: {}", said.err);
    }
}
