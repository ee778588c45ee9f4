//! Silences and routes by group or host, and what is judged of that group or host as a whole.

use super::*;
use crate::model::service::ServiceSpec;

/// Twelve hosts, of which six are of the group `data`.
fn fleet() -> Field {
    let mut field = Field::many(12);
    for host in &mut field.spec.hosts[6..] {
        host.groups = vec!["data".into()];
    }
    field
}

fn is_data(name: &str) -> bool {
    name >= "h006"
}

impl Field {
    /// A sweep in which the hosts of `data` fail, and a run.
    fn data_fails(&mut self, minute: i64) -> Vec<String> {
        self.sweep(minute, &|name| is_data(name).then_some(Cause::ConnectTimeout))
    }

    fn hush(&mut self, scope: Scope, until: i64) {
        self.silence_over(scope, 0, until);
    }

    fn route(&mut self, group: &str, host: &str) {
        let to = |name: &str, address: &str| DestinationSpec {
            name: name.into(),
            channel: ChannelSpec::Mail(vec![address.into()]),
        };
        self.spec.alerts.destinations = vec![to("dba", "a@example.net"), to("box", "b@example.net")];
        let some = |word: &str| Some(word.to_owned()).filter(|word| !word.is_empty()).into_iter().collect();
        self.spec.alerts.routes = vec![
            RouteSpec { groups: some(group), hosts: some(host), to: vec!["dba".into()], ..RouteSpec::default() },
            RouteSpec { to: vec!["box".into()], ..RouteSpec::default() },
        ];
    }

    fn whom(&self) -> Vec<(&str, &str)> {
        self.server.accepted.iter().map(|mail| (mail.destination.as_str(), mail.subject.as_str())).collect()
    }
}

fn of_group() -> Scope {
    Scope { groups: vec!["data".into()], ..Scope::default() }
}

#[test]
fn a_silence_over_a_group_covers_that_most_of_it_fails() {
    let mut field = fleet();
    field.hush(of_group(), 12);
    assert_eq!(field.sweep(0, &|_| None), NONE);
    assert_eq!((field.data_fails(5), field.data_fails(10)), (vec![], vec![]));
    // It is over, and they still fail: of the group and of the fleet, that is half of it.
    let told = field.data_fails(15);
    assert!(told.contains(&"[CRIT] fleet mass-unreachable".to_owned()), "{told:?}");
}

#[test]
fn a_silence_over_hosts_that_fail_at_once_is_no_end_of_it() {
    let mut field = fleet();
    assert_eq!(field.sweep(0, &|_| None), NONE);
    assert_eq!(field.data_fails(5), ["[CRIT] fleet mass-unreachable"]);
    field.hush(of_group(), 60);
    assert_eq!((field.data_fails(10), field.data_fails(15)), (vec![], vec![]), "they fail as before");
    assert_eq!(field.sweep(20, &|_| None), ["[OK] fleet mass-unreachable"]);
}

#[test]
fn a_route_by_group_gets_that_most_of_it_fails() {
    // Half of the fleet would be a mass of its own.
    let mut field = Field::many(16);
    for host in &mut field.spec.hosts[..6] {
        host.groups = vec!["data".into()];
    }
    field.route("data", "");
    field.sweep(0, &|_| None);
    field.sweep(5, &|name| (name < "h006").then_some(Cause::ConnectTimeout));
    assert_eq!(field.whom(), [("dba", "[CRIT] fleet mass-unreachable data")]);
}

#[test]
fn what_is_judged_of_a_service_is_of_its_servers() {
    let serve = |field: &mut Field| {
        for host in &mut field.spec.hosts[6..8] {
            let shop = ServiceSpec { name: "shop".into(), min_healthy: Some(2), ..ServiceSpec::default() };
            host.services.push(shop);
        }
    };
    let one = |name: &str| (name == "h006").then_some(Cause::ConnectTimeout);
    let mut field = fleet();
    serve(&mut field);
    field.route("data", "");
    for minute in [0, 5] {
        field.sweep(minute, &one);
    }
    let told = field.whom();
    assert!(told.contains(&("dba", "[CRIT] fleet service.healthy shop")), "{told:?}");
    assert!(told.iter().all(|(to, _)| *to == "dba"), "{told:?}");
    // Silenced where all servers are, and not where one is.
    let mut field = fleet();
    serve(&mut field);
    field.hush(of_group(), 60);
    assert_eq!((field.sweep(0, &one), field.sweep(5, &one)), (vec![], vec![]));
    let mut field = fleet();
    serve(&mut field);
    field.hush(Scope { hosts: vec!["h006".into()], ..Scope::default() }, 60);
    let told: Vec<String> = [0, 5].into_iter().flat_map(|minute| field.sweep(minute, &one)).collect();
    assert_eq!(told, ["[CRIT] fleet service.healthy shop"]);
}

#[test]
fn a_bastion_is_silenced_and_routed_as_the_host_that_it_is() {
    let behind = || {
        let mut field = fleet();
        for host in &mut field.spec.hosts[..4] {
            host.parents = vec!["outer".into()];
        }
        field
    };
    let stuck = |name: &str| (name < "h004").then_some(Cause::Jump);
    let mut field = behind();
    field.hush(Scope { hosts: vec!["outer".into()], ..Scope::default() }, 60);
    for minute in [0, 5] {
        assert_eq!(field.sweep(minute, &stuck), NONE);
    }
    let mut field = behind();
    field.route("", "outer");
    for minute in [0, 5] {
        field.sweep(minute, &stuck);
    }
    assert_eq!(field.whom(), [("dba", "[CRIT] fleet bastion-unreachable outer")]);
}
