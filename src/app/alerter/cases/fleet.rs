//! What is the fleet's own: bastions, the store, mailboxes that nobody else is routed to, and hosts that are erased.

use super::*;
use crate::model::fleet::Heartbeat;
use crate::model::service::ServiceSpec;

impl Field {
    /// Hosts `h000` and on, each behind these bastions or parents.
    fn behind(count: usize, parents: &[&str]) -> Self {
        let mut field = Self::many(count);
        for host in &mut field.spec.hosts {
            let others = parents.iter().filter(|parent| **parent != host.name);
            host.parents = others.map(|parent| (*parent).to_owned()).collect();
        }
        field
    }

    /// A sweep of all hosts in order, then a run; `stuck` says who was not reached, and why.
    pub(super) fn sweep(&mut self, minute: i64, stuck: &dyn Fn(&str) -> Option<Cause>) -> Vec<String> {
        for (n, name) in self.names().into_iter().enumerate() {
            let seconds = minute * 60 + n as i64;
            match stuck(&name) {
                None => self.answers(&name, seconds, &[("filesystem.used", 0.2)]),
                Some(cause) => self.fails_by(&name, seconds, cause),
            }
        }
        self.run(minute + 1)
    }
}

const JUMP: Option<Cause> = Some(Cause::Jump);

#[test]
fn a_bastion_that_lets_nobody_through_is_one_mail_and_its_end_another() {
    let mut field = Field::behind(12, &["outer", "inner"]);
    assert_eq!(field.sweep(0, &|_| None), NONE);
    assert_eq!(field.sweep(5, &|_| JUMP), NONE, "once is no evidence");
    assert_eq!(field.sweep(10, &|_| JUMP), ["[CRIT] fleet bastion-unreachable outer"]);
    let text = readable(&field.server.accepted[0].body);
    assert!(text.contains("nobody comes through to the 12 hosts behind it: no"), "{text}");
    assert_eq!(field.sweep(15, &|_| JUMP), NONE);
    assert_eq!(field.sweep(20, &|_| None), ["[OK] fleet bastion-unreachable outer"]);
    assert_eq!(field.sweep(25, &|_| None), NONE, "nothing bursts behind it");
}

#[test]
fn the_bastion_that_is_blamed_is_the_first_that_nobody_comes_through() {
    let mut field = Field::behind(6, &["outer", "inner"]);
    field.spec.hosts[0].parents = vec!["outer".into()];
    let inner = |name: &str| if name == "h000" { None } else { JUMP };
    field.sweep(0, &inner);
    assert_eq!(field.sweep(5, &inner), ["[CRIT] fleet bastion-unreachable inner"]);
    // Who is refused alone behind a bastion that takes others has a problem of his own.
    let mut field = Field::behind(4, &["outer"]);
    let one = |name: &str| if name == "h002" { JUMP } else { None };
    field.sweep(0, &one);
    assert_eq!(field.sweep(5, &one), ["[CRIT] h002 unreachable"]);
}

#[test]
fn a_watched_bastion_that_dies_in_the_middle_of_a_sweep_is_one_mail() {
    let mut field = Field::behind(30, &["h000"]);
    field.sweep(0, &|_| None);
    // It is visited first and answers, then it dies.
    let dies = |name: &str| if name == "h000" { None } else { JUMP };
    let dead = |name: &str| if name == "h000" { Some(Cause::ConnectTimeout) } else { JUMP };
    let mut told = field.sweep(5, &dies);
    for minute in [10, 15, 20, 25] {
        told.extend(field.sweep(minute, &dead));
    }
    assert_eq!(told, ["[CRIT] fleet bastion-unreachable h000"]);
    // Dead from the start it is unreachable itself.
    let mut field = Field::behind(30, &["h000"]);
    let told: Vec<String> = [0, 5, 10, 15].into_iter().flat_map(|minute| field.sweep(minute, &dead)).collect();
    assert_eq!(told, ["[CRIT] h000 unreachable"]);
}

#[test]
fn o5_a_damaged_store_is_told_and_so_is_that_somebody_saw_to_it() {
    let mut field = Field::new(&["web01"]);
    let beat = |field: &mut Field, ok, text: &str| {
        field.store.beat(&Heartbeat { role: "store".into(), at: at(0), ok, text: text.into() }).unwrap();
    };
    assert_eq!(field.run(1), NONE);
    beat(&mut field, false, "fleet.db was damaged; it is kept as fleet.db.corrupt-1");
    assert_eq!(field.run(2), ["[CRIT] fleet store-damaged"]);
    assert!(readable(&field.server.accepted[0].body).contains("it is kept as fleet.db.corrupt-1"));
    assert_eq!(field.run(3), NONE);
    beat(&mut field, true, "");
    assert_eq!(field.run(4), ["[OK] fleet store-damaged"]);
}

fn route(hosts: &str, to: &str) -> RouteSpec {
    RouteSpec { hosts: vec![hosts.into()], to: vec![to.into()], ..RouteSpec::default() }
}

fn to(name: &str, address: &str) -> DestinationSpec {
    DestinationSpec { name: name.into(), channel: ChannelSpec::Mail(vec![address.into()]) }
}

#[test]
fn what_is_the_fleets_own_and_fits_no_route_goes_to_everybody() {
    let mut field = Field::new(&["web01"]);
    field.spec.alerts.destinations = vec![to("dba", "a@example.net"), to("ops", "b@example.net")];
    field.spec.alerts.routes = vec![route("db*", "ops"), route("web*", "dba")];
    field.server.weather = Weather::Refuses(0, true);
    for n in 0..2 {
        field.disk("web01", n * 5, 0.95);
    }
    assert_eq!(field.run(6), NONE);
    let told: Vec<String> = [26, 46, 51].into_iter().flat_map(|minute| field.run(minute)).collect();
    assert_eq!(told, ["[CRIT] fleet mail-undeliverable dba a@example.net"]);
    assert_eq!(field.server.accepted[0].destination, "ops");
}

#[test]
fn that_a_mailbox_refuses_is_told_beside_its_own_route() {
    let mut field = Field::new(&["web01"]);
    field.spec.alerts.destinations = vec![to("ops", "a@example.net"), to("dba", "b@example.net")];
    // The fleet's own goes to those who do not get it.
    field.spec.alerts.routes = vec![route("db*", "dba"), route("*", "ops")];
    field.server.weather = Weather::Refuses(0, true);
    for n in 0..2 {
        field.disk("web01", n * 5, 0.95);
    }
    let told: Vec<String> = [6, 26, 46, 51].into_iter().flat_map(|minute| field.run(minute)).collect();
    assert_eq!(told, ["[CRIT] fleet mail-undeliverable ops a@example.net"]);
    assert_eq!(field.server.accepted[0].destination, "dba");
}

#[test]
fn an_erased_host_is_in_no_mail_and_the_others_are_told() {
    let mut field = Field::new(&["web01", "web02"]);
    // Perhaps the first was accepted: it would be sent again as it is.
    field.server.weather = Weather::Drops;
    for name in ["web01", "web02"] {
        for n in 0..2 {
            field.disk(name, n * 5, 0.95);
        }
    }
    field.run(6);
    assert_eq!(field.store.queued().unwrap().iter().map(|mail| mail.maybe).collect::<Vec<_>>(), [true, false]);
    field.store.forget("web01").unwrap();
    field.spec.hosts.remove(0);
    field.server.weather = Weather::Up;
    // While a sweep is under way nothing is planned, only delivered.
    let sweep = field.store.begin_sweep(at(8), 1).unwrap();
    assert_eq!(field.run_alone(8), NONE);
    field.store.end_sweep(sweep, at(9), 0).unwrap();
    assert_eq!(field.run_alone(9), ["[CRIT] web02 disk"]);
    assert!(field.store.queued().unwrap().is_empty());
    let all = field.server.accepted.iter().map(|mail| String::from_utf8_lossy(&mail.body).into_owned());
    assert!(all.into_iter().all(|text| !text.contains("web01")));
}

/// A site is cut off; the others are watched as ever.
#[test]
fn what_is_wrong_with_hosts_that_answer_is_told_while_most_of_the_fleet_fails() {
    let mut field = Field::many(12);
    let cut = |name: &str| (name >= "h006").then_some(Cause::ConnectTimeout);
    assert_eq!(field.sweep(0, &|_| None), NONE);
    assert_eq!(field.sweep(5, &cut), ["[CRIT] fleet mass-unreachable"]);
    for n in 0..2 {
        field.disk("h000", 7 + n, 0.95);
    }
    assert_eq!(field.run(9), ["[CRIT] h000 disk"]);
    assert_eq!(field.sweep(10, &cut), NONE, "those that are cut off are one problem");
}

/// A service with servers there is explained by it, and one without is not.
#[test]
fn a_service_is_kept_back_by_the_mass_only_where_a_server_of_it_fails() {
    let mut field = Field::many(12);
    field.rule("check.ok", |rule| (rule.warning, rule.critical, rule.raise, rule.of) = (None, Some(0.0), 1, 1));
    for (host, name) in [(0, "shop"), (1, "shop"), (6, "mail"), (7, "mail")] {
        let service = ServiceSpec { name: name.into(), min_healthy: Some(2), ..ServiceSpec::default() };
        field.spec.hosts[host].services.push(service);
    }
    let cut = |name: &str| (name >= "h006").then_some(Cause::ConnectTimeout);
    assert_eq!(field.sweep(0, &|_| None), NONE);
    assert_eq!(field.sweep(5, &cut), ["[CRIT] fleet mass-unreachable"], "and mail is no problem beside it");
    let mut sample = field.sample("h000", 7 * 60, &[("check.ok", 0.0)]);
    sample.readings[0].item = "shop/http".into();
    field.store.record(1, &attempt("h000", 7, None), &[sample]).unwrap();
    assert_eq!(field.run(8), ["[CRIT] fleet service.healthy shop", "[CRIT] h000 check.ok shop/http"]);
}
