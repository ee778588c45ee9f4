//! The dashboard in a real browser: `tests/browser` tells the stories, this fills the fleets they are told about.
#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop where something is wrong, and starts programs"
)]

#[path = "support/board.rs"]
mod board;

use fleet_health::model::clean::clean;
use fleet_health::model::fleet::{Heartbeat, Outcome};
use fleet_health::model::level::Level;
use fleet_health::model::sample::Fact;
use fleet_health::store::Store;

use board::{Home, PASSWORD, Server, attempt, browse, browse_while, five, incident, many, sample, set, tell};

#[test]
fn five_hosts_in_every_look() {
    let home = five(false);
    let server = Server::start(&home);
    let pages = [
        "five",
        "/",
        "/groups",
        "/services",
        "/service/nginx",
        "/host/web01",
        "/host/db2",
        "/host/new1",
        "/incidents",
        "/incident/1",
        "/health",
        "/nowhere",
    ];
    browse("looks", &server.url, &pages);
}

#[test]
fn charts_zoom_together_and_the_address_says_what_is_seen() {
    let home = five(false);
    let server = Server::start(&home);
    browse("host", &server.url, &[]);
}

#[test]
fn five_hundred_hosts_are_filtered_sorted_and_walked_through() {
    let home = many(500);
    let server = Server::start(&home);
    browse("looks", &server.url, &["many", "/", "/groups", "/?map=cpu"]);
    browse("fleet", &server.url, &[]);
}

#[test]
fn no_host_and_one_that_is_red() {
    let none = Home::new("", false);
    drop(none.store());
    let server = Server::start(&none);
    browse("looks", &server.url, &["none", "/", "/groups", "/services", "/incidents", "/health"]);

    let red = Home::new("  <host name=\"alone\" user=\"u\"/>\n", false);
    let mut store = red.store();
    let sweep = store.begin_sweep(red.ago(90), 1).unwrap();
    let mut it = sample(1, 5000, red.ago(89));
    set(&mut it, "filesystem.used", "/", 1.0);
    store.record(sweep, &attempt("alone", red.ago(89), Outcome::Collected), &[it]).unwrap();
    store.end_sweep(sweep, red.ago(89), 0).unwrap();
    // The collector stopped since: what is shown is old, and said to be.
    let late = Heartbeat { role: "collector".to_owned(), at: red.ago(89), ok: true, text: String::new() };
    store.beat(&late).unwrap();
    drop(store);
    tell(&red, vec![incident(1, "alone", "filesystem.used", "/", Level::Critical, red.ago(89), "/ is full")]);
    let server = Server::start(&red);
    browse("looks", &server.url, &["red", "/", "/host/alone"]);
}

#[test]
fn people_sign_in_take_problems_and_silence() {
    let home = five(true);
    let server = Server::start(&home);
    browse("people", &server.url, &[PASSWORD]);
}

#[test]
fn what_hosts_say_of_themselves_stays_text() {
    let home = Home::new(
        "  <group name=\"g\"><service name=\"s\"><process program=\"p\"/></service><host name=\"h1\" user=\"u\"/></group>\n",
        false,
    );
    let evil = clean(
        "<script>window.hostile=true</script>\u{202e}\u{1b}[31m\"'><img src=x onerror=\"window.hostile=true\">{{7*7}}",
    );
    let mut store = home.store();
    let sweep = store.begin_sweep(home.ago(40), 1).unwrap();
    for step in 0..3 {
        let at = home.ago(30 - 10 * step);
        let mut it = sample(1, 5000 - 30 + 10 * step, at);
        set(&mut it, "filesystem.used", &evil, 0.99);
        set(&mut it, "filesystem.size", &evil, 1e9);
        set(&mut it, "temperature", &evil, 50.0);
        set(&mut it, "check.ok", &format!("s/{evil}"), 0.0);
        it.hostname = evil.clone();
        it.facts.push(Fact { name: "host.name".to_owned(), item: String::new(), text: evil.clone() });
        it.facts.retain(|fact| fact.name != "host.kernel");
        it.facts.push(Fact { name: "host.kernel".to_owned(), item: String::new(), text: evil.clone() });
        for process in &mut it.top {
            process.comm.clone_from(&evil);
            process.user.clone_from(&evil);
            process.unit.clone_from(&evil);
            process.command.clone_from(&evil);
        }
        for fault in &mut it.faults {
            fault.text.clone_from(&evil);
        }
        store.record(sweep, &attempt("h1", at, Outcome::Collected), &[it]).unwrap();
    }
    store.end_sweep(sweep, home.ago(10), 0).unwrap();
    let beat = Heartbeat { role: "collector".to_owned(), at: home.ago(2), ok: false, text: evil.clone() };
    store.beat(&beat).unwrap();
    drop(store);
    tell(&home, vec![incident(1, "h1", "filesystem.used", &evil, Level::Critical, home.ago(10), &evil)]);
    let server = Server::start(&home);
    browse(
        "hostile",
        &server.url,
        &["/", "/group/g", "/services", "/service/s", "/host/h1", "/incidents", "/incident/1", "/health"],
    );
}

#[test]
fn an_open_page_follows_what_happens_and_says_when_the_server_is_away() {
    let home = five(false);
    let server = Server::start(&home);
    browse("stale", &server.url, &[&server.id().to_string()]);
}

#[test]
fn an_open_page_shows_a_problem_by_itself_and_keeps_what_is_typed() {
    let home = five(false);
    // All is well at first.
    let mut well = home.store().open_incidents().unwrap();
    for it in &mut well {
        *it = board::closed(it.clone(), home.ago(1));
    }
    tell(&home, well);
    let server = Server::start(&home);
    browse_while("live", &server.url, || {
        tell(&home, vec![incident(9, "db1", "memory.used", "", Level::Critical, home.ago(1), "memory is 95% used")]);
    });
}

#[test]
fn a_page_that_met_no_store_shows_itself_when_it_is_back() {
    let home = five(false);
    let server = Server::start(&home);
    // Nothing was asked yet, so no handle holds the file.
    let (here, away) = (home.folder.path().join("fleet.db"), home.folder.path().join("away.db"));
    std::fs::rename(&here, &away).unwrap();
    browse_while("waits", &server.url, || std::fs::rename(&away, &here).unwrap());
}

#[test]
fn ended_problems_are_turned_over() {
    let home = five(false);
    let one = |n: i64| {
        let it = incident(n, "web01", "memory.used", "", Level::Warning, home.ago(9000 - n), "memory is 95% used");
        board::closed(it, home.ago(8999 - n))
    };
    tell(&home, (100..350).map(one).collect());
    let server = Server::start(&home);
    browse("older", &server.url, &[]);
}

#[test]
fn an_open_page_without_hosts_fills_itself() {
    let home = Home::new("", false);
    drop(home.store());
    home.beats();
    let server = Server::start(&home);
    browse_while("first", &server.url, || home.hosts("", "  <host name=\"one\" user=\"u\"/>\n"));
}

#[test]
fn an_open_page_gets_its_first_charts_and_one_whose_host_is_gone_says_so() {
    let (fresh, removed) = ("  <host name=\"fresh\" user=\"u\"/>\n", "  <host name=\"removed\" user=\"u\"/>\n");
    let home = Home::new(&format!("{fresh}{removed}"), false);
    drop(home.store());
    home.beats();
    let server = Server::start(&home);
    browse_while("grown", &server.url, || {
        let mut store = home.store();
        let sweep = store.begin_sweep(home.ago(2), 1).unwrap();
        for minutes in [2, 1] {
            let at = home.ago(minutes);
            let it = sample(1, 5000 - minutes, at);
            store.record(sweep, &attempt("fresh", at, Outcome::Collected), &[it]).unwrap();
        }
        store.end_sweep(sweep, home.ago(1), 0).unwrap();
        home.hosts(removed, "");
    });
}
