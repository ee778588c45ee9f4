use std::collections::BTreeMap;

use crate::model::alert::{Incident, Subject};
use crate::model::level::Level;
use crate::model::sample::Reading;
use crate::model::snapshot::{HostRow, Problem, State};
use crate::web::fake::{Fake, ask, now};
use crate::web::response::{Response, Trouble};
use crate::web::site::{Rules, Site};
use crate::web::source::Listed;

fn reading(metric: &str, item: &str, value: f64) -> Reading {
    Reading { metric: metric.to_owned(), item: item.to_owned(), value }
}

fn host(n: u32) -> HostRow {
    let name = format!("node{n:04}");
    let bad = n % 50 == 3;
    let problem = Problem {
        incident: Incident {
            id: i64::from(n),
            subject: Subject { host: name.clone(), rule: "filesystem.used".to_owned(), item: "/".to_owned() },
            level: Level::Critical,
            worst: Level::Critical,
            opened: now(),
            changed: now(),
            closed: None,
            ending: None,
            value: 0.99,
            text: "/ is 99% full, over 90%".to_owned(),
        },
        ack: None,
        silenced: None,
    };
    HostRow {
        name,
        groups: vec![format!("rack-{:02}", n / 50)],
        labels: BTreeMap::new(),
        level: Some(if bad { Level::Critical } else { Level::Ok }),
        state: State::Fresh,
        attempt: None,
        received: Some(now()),
        age: Some(f64::from(n % 300)),
        hostname: String::new(),
        readings: vec![
            reading("cpu.used", "", f64::from(n % 97) / 100.0),
            reading("memory.used", "", f64::from(n % 89) / 100.0),
            reading("load.1m", "", f64::from(n % 13)),
            reading("filesystem.used", "/", if bad { 0.99 } else { 0.4 }),
            reading("filesystem.used", "/var", 0.5),
        ],
        problems: if bad { vec![problem] } else { Vec::new() },
        services: Vec::new(),
    }
}

/// So many problems that ended; all of node0001 but the oldest.
fn ended(count: i64) -> Vec<Listed> {
    let one = |id: i64| {
        let mut incident = host(3).problems.remove(0).incident;
        incident.id = id;
        incident.subject.host = if id == 1 { "node0000" } else { "node0001" }.to_owned();
        incident.level = Level::Ok;
        incident.closed = Some(now());
        Listed { incident, name: "disk /".to_owned(), state: "recovered".to_owned(), ack: None }
    };
    (1..=count).rev().map(one).collect()
}

fn fleet(hosts: u32) -> Fake {
    let mut hosts: Vec<HostRow> = (0..hosts).map(host).collect();
    hosts.sort_by(|a, b| a.order().cmp(&b.order()));
    Fake { hosts, ..Fake::default() }
}

fn get(site: &Site, source: &mut Fake, target: &str) -> Response {
    site.answer(&ask("GET", target, &[("accept", "text/html"), ("accept-encoding", "gzip")], ""), source)
}

fn text(site: &Site, source: &mut Fake, target: &str) -> String {
    let packed = get(site, source, target);
    assert_eq!(packed.status, 200, "{target}");
    let mut read = String::new();
    let body = packed.body.as_slice();
    if packed.header("content-encoding").is_none() {
        return String::from_utf8(body.to_vec()).unwrap();
    }
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(body), &mut read).unwrap();
    read
}

#[test]
fn five_thousand_hosts_are_a_page_that_is_light() {
    let (site, mut source) = (Site::new(Rules::default()), fleet(5000));
    let page = get(&site, &mut source, "/");
    assert_eq!(page.header("content-encoding"), Some("gzip"));
    let weight = page.body.len() + site.assets.weight();
    assert!(weight < 150_000, "{weight} bytes");
    let text = text(&site, &mut source, "/");
    assert_eq!(text.matches("<a class=\"c ").count(), 5000, "the heat map has every host");
    assert_eq!(text.matches("<tr").count(), 101, "the table a page of them");
    assert!(text.contains("page 1 of 50"));
}

#[test]
fn few_hosts_are_tiles_with_their_names_and_the_legend_says_what_is_there() {
    let (site, mut source) = (Site::new(Rules::default()), fleet(12));
    let page = text(&site, &mut source, "/");
    assert!(page.contains("class=\"heat few\"") && page.contains(">node0003</a>"), "{page}");
    assert!(page.contains("</span>critical</span>") && !page.contains("never measured</span>"), "{page}");
    let shaded = text(&site, &mut source, "/?map=cpu");
    assert!(shaded.contains("<b>3</b>node0003</a>"), "{shaded}");
    let (site, mut source) = (Site::new(Rules::default()), fleet(61));
    assert!(!text(&site, &mut source, "/").contains(">node0003</a>"));
}

#[test]
fn what_is_old_is_not_shown_as_live() {
    let (site, mut source) = (Site::new(Rules::default()), fleet(70));
    let told = [("node0000", State::Failed, 0.99), ("node0001", State::Stale, 0.98), ("node0002", State::Fresh, 0.2)];
    for (name, state, value) in told {
        let row = source.hosts.iter_mut().find(|row| row.name == name).unwrap();
        row.state = state;
        row.age = Some(259_200.0);
        row.groups = vec!["g".to_owned()];
        row.readings = vec![reading("cpu.used", "", value), reading("filesystem.used", "/", value)];
    }
    let page = text(&site, &mut source, "/?map=cpu");
    let cell = |name: &str| page.split("<a class=\"c ").find(|cell| cell.contains(&format!("\"{name}: "))).unwrap();
    let (failed, stale, live) = (cell("node0000"), cell("node0001"), cell("node0002"));
    assert!(failed.starts_with("s\"") && failed.contains(": ok, CPU 99%, failed, seen 3d ago\"></a>"), "{failed}");
    assert!(stale.starts_with("s\"") && stale.contains(": ok, CPU 98%, stale, seen 3d ago\"></a>"), "{stale}");
    assert!(live.starts_with("n2\"") && live.contains(": ok, CPU 20%\">20</a>"), "{live}");
    assert!(page.contains("</span>old or out of reach</span>"));
    let groups = text(&site, &mut source, "/groups");
    let row = groups.split("<tr>").find(|row| row.contains("<bdi>g</bdi>")).unwrap();
    assert!(row.contains("3 <small>1 answered</small>") && row.contains("20%"), "{row}");
    assert!(!row.contains("99%") && !row.contains("98%") && !row.contains("72%"), "{row}");
}

#[test]
fn the_table_is_sorted_and_turned_over_all_hosts() {
    let (site, mut source) = (Site::new(Rules::default()), fleet(300));
    let mut names = |target: &str| -> Vec<String> {
        let text = text(&site, &mut source, target);
        let table = text.split("<tbody>").nth(1).unwrap().to_owned();
        table.split("<bdi>node").skip(1).map(|rest| rest[..4].to_owned()).collect()
    };
    assert_eq!(names("/")[..2], ["0003", "0053"], "worst first");
    assert_eq!(names("/?sort=host")[..2], ["0000", "0001"]);
    assert_eq!(names("/?sort=-host")[..2], ["0299", "0298"]);
    assert_eq!(names("/?sort=cpu")[0], "0096");
    assert_eq!(names("/?sort=-host&page=3").last().unwrap(), "0000");
    // Pages that are not there, and columns that nobody knows, are no errors: links grow old.
    assert_eq!(names("/?sort=-host&page=99").last().unwrap(), "0000");
    assert_eq!(names("/?sort=nonsense&page=-1")[0], "0003");
    assert_eq!(names("/group/rack-01?filter=level%3Dok&sort=host")[0], "0050");
}

#[test]
fn ended_problems_are_found_however_old_and_turned_over() {
    let (site, mut source) = (Site::new(Rules::default()), fleet(2));
    source.ended = ended(3000);
    let mut page = |target: &str| text(&site, &mut source, target);
    let ids = |page: &str| -> Vec<i64> {
        let links = page.split("href=\"/incident/").skip(1);
        links.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
    };
    let link = |page: &str, text: &str| -> Option<String> {
        let before = page.split(&format!("data-in>{text}</a>")).next().filter(|before| before.len() < page.len())?;
        Some(before.rsplit("href=\"").next()?.split('"').next()?.replace("&amp;", "&").replace("&#x2f;", "/"))
    };
    let old = page("/incidents?filter=node0000%20level%3Dcritical");
    assert_eq!((ids(&old), link(&old, "Older →")), (vec![1], None), "{old}");
    // Every one once.
    let (mut next, mut all, mut pages) = (Some("/incidents?host=&filter=node%2A".to_owned()), Vec::new(), 0);
    while let Some(target) = next {
        let it = page(&target);
        assert_eq!(link(&it, "← Newest").as_deref(), (pages > 0).then_some("/incidents?filter=node%2A"), "{target}");
        assert_eq!(it.contains(">Earlier <"), pages > 0);
        all.extend(ids(&it));
        next = link(&it, "Older →");
        pages += 1;
    }
    assert_eq!((pages, all), (30, (1..=3000).rev().collect::<Vec<i64>>()));
    assert!(page("/incidents").contains("<small>the newest 100</small>"));
    assert!(page("/incidents?before=2901").contains("<small>100 before #2901</small>"));
    assert!(page("/incidents?before=9&filter=level%3Dwarning").contains("<small>0 before #9</small>"));
    let wrong = page("/incidents?filter=cpu.usd%3E80%25");
    assert!(ids(&wrong).is_empty() && link(&wrong, "Older →").is_none(), "{wrong}");
    // One question is bounded, and can be gone on with.
    source.ended = ended(30_000);
    let far = text(&site, &mut source, "/incidents?filter=node0000");
    assert!(far.contains("0 among the newest 21101") && far.contains("None of the 21101 that were looked"), "{far}");
    let older = link(&far, "Older →").unwrap();
    assert_eq!(ids(&text(&site, &mut source, &older)), [1], "{older}");
}

#[test]
fn what_is_not_there_is_told() {
    let (site, mut source) = (Site::new(Rules::default()), fleet(2));
    for (target, status) in [
        ("/group/nobody", 404),
        ("/service/nobody", 404),
        ("/host/nobody", 404),
        ("/incident/77", 404),
        ("/incident/x", 404),
        ("/incidents?from=soon", 400),
        ("/incidents?before=x", 400),
        ("/?host=node0001&from=2026-11-21T20:00:00Z", 303),
    ] {
        assert_eq!(get(&site, &mut source, target).status, status, "{target}");
    }
    let wrong = text(&site, &mut source, "/?filter=cpu.usd%3E80%25%3Cscript%3E");
    assert!(wrong.contains("id=\"wrong\"") && !wrong.contains("<script>"), "{wrong}");
    let led = get(&site, &mut source, "/?host=a%2Fb%22&from=2026-11-21T20:00:00Z&evil=1");
    assert_eq!(led.header("location"), Some("/host/a%2Fb%22?from=2026-11-21T20%3A00%3A00Z"));
}

#[test]
fn a_page_waits_for_the_store_but_a_form_is_not_sent_again() {
    let site = Site::new(Rules::default());
    let page = |trouble: Trouble, sent| String::from_utf8(super::trouble(&site, &trouble, sent).body).unwrap();
    let waits = |page: &str| {
        (page.contains("id=\"waits\""), page.contains("data-every=\"5\""), page.contains("<noscript><meta"))
    };
    assert_eq!(waits(&page(Trouble::store("locked"), false)), (true, true, true));
    assert_eq!(waits(&page(Trouble::store("locked"), true)), (false, false, false));
    assert_eq!(waits(&page(Trouble::missing("gone"), false)), (false, false, false));
}

#[test]
fn every_template_is_understood() {
    let site = Site::new(Rules::default());
    for (name, _) in super::TEMPLATES {
        assert!(site.pages.0.get_template(name).is_ok(), "{name}");
    }
    for file in super::FILES {
        assert!(site.assets.url(file.name).is_some());
    }
    // What the templates name is there: an unknown file would be an empty address.
    for (name, text) in super::TEMPLATES {
        for part in text.split("asset('").skip(1) {
            let file = part.split('\'').next().unwrap();
            assert!(site.assets.url(file).is_some(), "{file} in {name}");
        }
    }
}
