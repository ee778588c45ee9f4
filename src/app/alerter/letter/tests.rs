//! Each kind of letter as a golden file, read by Python's mail parser, and hostile names in all of them.

use std::path::Path;
use std::process::{Command, Stdio};

use super::look::Points;
use super::*;
use crate::app::alerter::tests::{disk as sample, empty, go, sample as readings, smtp, spec};
use crate::model::alert::{Ending, Subject};
use crate::model::sample::{By, Process};
use crate::model::spec::{HookFormat, RuleSpec, WebhookSpec};

fn at(minutes: i64) -> DateTime<Utc> {
    "2026-11-21T17:00:00Z".parse::<DateTime<Utc>>().unwrap() + chrono::TimeDelta::minutes(minutes)
}

/// What a store of a busy host would answer.
struct Shelf {
    item: &'static str,
}

impl Look for Shelf {
    fn history(&self, incident: &Incident) -> Points {
        if !incident.subject.rule.contains('.') || incident.subject.host.is_empty() {
            return Vec::new();
        }
        let value = |n: i64| 0.55 + n as f64 / 200.0 + (n as f64 / 4.0).sin() / 40.0;
        (0..72).map(|n| (at(n * 5 - 355), value(n))).collect()
    }

    fn beside(&self, _subject: &Subject, _metric: &str) -> Option<f64> {
        None
    }

    fn top(&self, _host: &str, at: DateTime<Utc>) -> Option<(DateTime<Utc>, Vec<Process>)> {
        let process = |by, value, comm: &str, user: &str, unit: &str| Process {
            by,
            pid: 7,
            user: user.into(),
            comm: format!("{comm}{}", self.item),
            unit: unit.into(),
            command: "never shown --password=secret".into(),
            value,
        };
        let top = vec![
            process(By::Cpu, 0.934, "postgres", "postgres", "postgresql@15-main.service"),
            process(By::Cpu, 0.21, "nginx", "www-data", "nginx.service"),
            process(By::Memory, 3.4e9, "java", "tomcat", "tomcat10.service"),
            process(By::Io, 52e6, "rsync", "backup", ""),
            process(By::Io, 0.0, "idle", "root", ""),
        ];
        Some((at, top))
    }

    fn notes(&self, _host: &str, _told: &[&Subject]) -> Vec<String> {
        vec![format!("Failed units: certbot.service{}", self.item), "Filesystems over 80 %: /home 88 %".into()]
    }

    fn root(&self, destination: &str, recipient: &str, incident: i64) -> Option<String> {
        Some(format!("first.{destination}.{}.{incident}@example.net", recipient.len()))
    }
}

fn incident(id: i64, host: &str, rule: &str, item: &str, level: Level, text: &str) -> Incident {
    let subject = Subject { host: host.into(), rule: rule.into(), item: item.into() };
    let (opened, changed) = (at(-12 - id), at(-7));
    let worst = level.max(Level::Warning);
    Incident { id, subject, level, worst, opened, changed, closed: None, ending: None, value: 0.912, text: text.into() }
}

fn disk() -> Incident {
    incident(
        7,
        "web01",
        "filesystem.used",
        "/var",
        Level::Critical,
        "filesystem.used of /var is 91.2 % (critical from 90 %)",
    )
}

fn ended(mut incident: Incident, ending: Ending, text: &str) -> Incident {
    (incident.level, incident.closed, incident.ending) = (Level::Ok, Some(at(130)), Some(ending));
    (incident.worst, incident.text) = (Level::Critical, text.into());
    incident
}

fn entry(action: Action, incident: Incident, before: Option<Level>) -> Entry {
    let before = before.map(|level| Told {
        incident: incident.id,
        destination: "ops".into(),
        recipient: "ops@example.net".into(),
        level,
        at: at(-10),
        reminders: 0,
        flapping: false,
        thread: incident.id,
    });
    Entry { action, thread: incident.id, incident, before }
}

fn config() -> FleetSpec {
    let mut spec = spec(25, &["ops@example.net", "night@example.net"]);
    spec.alerts.zone = Some("Europe/Paris".into());
    let metric = crate::model::catalogue::find("filesystem.used").unwrap();
    let rule = RuleSpec {
        warning: Some(0.8),
        critical: Some(0.9),
        ..RuleSpec::new(metric, crate::model::rule::RuleKind::Above)
    };
    for host in &mut spec.hosts {
        host.rules = vec![rule.clone()].into();
        host.groups = vec!["web".into()];
        host.labels.insert("rack".into(), "b4".into());
    }
    spec
}

/// The only letter that these make.
fn one(entries: &[Entry], summary: &[Incident], now: DateTime<Utc>, look: &dyn Look) -> Written {
    let spec = config();
    let memory = incident(9, "web01", "memory.used", "", Level::Warning, "memory.used is 86 % (warning from 85 %)");
    let open = [disk(), memory];
    let open: Vec<&Incident> = open.iter().collect();
    let mut letters = Letters::new(&spec, now, look, &open);
    let cap = if entries.len() > 1 { 1 } else { 3 };
    let mut out = letters.write(&spec.alerts.destinations[0], "ops@example.net", entries, summary, cap);
    assert_eq!(out.len(), 1);
    out.remove(0).0
}

/// Every kind of mail: its name and the mail.
fn kinds(look: &dyn Look) -> Vec<(&'static str, Written)> {
    let mut all: Vec<(&str, Written)> = Vec::new();
    let mut add = |name, entries: &[Entry], now| all.push((name, one(entries, &[], now, look)));
    let warning = Incident {
        level: Level::Warning,
        text: "filesystem.used of /var is 85 % (warning from 80 %)".into(),
        ..disk()
    };
    let fleet = |rule: &str, item: &str, text: &str| incident(12, "", rule, item, Level::Critical, text);
    add("problem", &[entry(Action::Problem, disk(), None)], at(0));
    add("escalated", &[entry(Action::Escalated, disk(), Some(Level::Warning))], at(0));
    add("lowered", &[entry(Action::Lowered, warning, Some(Level::Critical))], at(65));
    add("reminder", &[entry(Action::Reminder, disk(), Some(Level::Critical))], at(65));
    add("flapping", &[entry(Action::Flapping, disk(), Some(Level::Warning))], at(0));
    let recovered = ended(disk(), Ending::Recovered, "filesystem.used of /var is 71 % (critical from 90 %)");
    add("recovered", &[entry(Action::Recovered, recovered.clone(), Some(Level::Critical))], at(131));
    let gone = ended(disk(), Ending::Gone, "no longer monitored: web01 disk /var is gone from the host");
    add("gone", &[entry(Action::Recovered, gone, Some(Level::Critical))], at(131));
    let down =
        incident(8, "web02", "unreachable", "", Level::Critical, "connection refused: nothing listens on 192.0.2.7:22");
    add("unreachable", &[entry(Action::Problem, down.clone(), None)], at(0));
    let says = "ops night@example.net: refuses mail: rcpt: 550 5.1.1 no such user; mend the address in config.xml";
    add(
        "undeliverable",
        &[entry(Action::Problem, fleet(words::UNDELIVERABLE, "ops night@example.net", says), None)],
        at(0),
    );
    let says = "41 of 60 hosts of the fleet fail at once; look at this machine's network first";
    add("mass", &[entry(Action::Problem, fleet(words::MASS, "", says), None)], at(0));
    let several = [
        entry(Action::Problem, disk(), None),
        entry(Action::Problem, down, None),
        entry(Action::Recovered, recovered.clone(), Some(Level::Critical)),
    ];
    add("several", &several, at(131));
    let digest: Vec<Entry> = (0..230)
        .map(|n| {
            let level = if n < 40 { Level::Critical } else { Level::Warning };
            let text = "filesystem.used of /var is 91.2 % (critical from 90 %)";
            entry(
                Action::Problem,
                incident(100 + n, &format!("db{n:03}"), "filesystem.used", "/var", level, text),
                None,
            )
        })
        .collect();
    add("digest", &digest, at(0));
    let passed = [
        ended(Incident { opened: at(-30), ..disk() }, Ending::Recovered, "x"),
        ended(incident(3, "db001", "load.per-core", "", Level::Warning, "x"), Ending::Recovered, "x"),
    ];
    all.push(("summary", one(&[], &passed, at(600), look)));
    let spec = config();
    all.push(("test", test(&spec, &spec.alerts.destinations[0], at(0))));
    all
}

fn golden(name: &str, found: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "{name} differs; if it is meant so: UPDATE_GOLDEN=1\n--- found\n{found}\n--- wanted\n{wanted}"
    );
}

/// What Python's mail parser makes of mails: for each a JSON object, checked where it is made.
fn parsed(mails: &[&[u8]]) -> Vec<serde_json::Value> {
    use std::io::Write as _;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    #[allow(clippy::disallowed_methods, reason = "a test asks another program")]
    let mut child = Command::new(root.join("target/venv/bin/python"))
        .arg(root.join("tests/support/readmail.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let all: Vec<u8> = mails.iter().flat_map(|mail| [format!("{}\n", mail.len()).as_bytes(), mail].concat()).collect();
    let writer = std::thread::spawn(move || pipe.write_all(&all).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "readmail.py complains");
    let lines = String::from_utf8(output.stdout).unwrap();
    let all: Vec<_> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(all.len(), mails.len());
    all
}

#[test]
fn every_kind_of_mail_is_as_it_was_and_is_read_by_others() {
    let kinds = kinds(&Shelf { item: "" });
    let mails: Vec<&[u8]> = kinds.iter().map(|(_, written)| written.bytes.as_slice()).collect();
    for ((name, written), read) in kinds.iter().zip(parsed(&mails)) {
        assert!(written.bytes.len() < 100_000, "{name} has {} bytes: Gmail clips it", written.bytes.len());
        assert!(read["subject"].as_str().unwrap().chars().count() <= 120);
        assert_eq!(read["message_id"], format!("<{}>", written.message_id));
        let text = read["text"].as_str().unwrap();
        assert!(!text.contains("secret"), "{text}");
        let look = text.find("Look further with").unwrap_or(usize::MAX);
        assert!(
            *name == "test" || look < usize::MAX && text.rfind("(critical from").is_none_or(|at| at < look),
            "{text}"
        );
        // The digest is long; its first and last lines say how it is made.
        let lines: Vec<&str> = text.lines().collect();
        let shown = match lines.len() {
            0..100 => lines.join("\n"),
            count => format!("{}\n...\n{}", lines[..8].join("\n"), lines[count - 12..].join("\n")),
        };
        golden(&format!("mail-{name}.txt"), &format!("{}\n{shown}\n", read["head"].as_str().unwrap()));
        if let Some(folder) = std::env::var_os("FLEET_MAILS") {
            std::fs::write(Path::new(&folder).join(format!("{name}.eml")), &written.bytes).unwrap();
        }
        if *name == "problem" {
            golden("mail-problem.html", read["html"].as_str().unwrap());
        }
    }
    let digest = &kinds.iter().find(|(name, _)| *name == "digest").unwrap().1;
    assert!(notify::message::readable(&digest.bytes).contains("and 30 more"));
}

/// In a real browser: `tests/browser/mails.js` looks, and leaves its screenshots in `target/screenshots`.
#[test]
fn mails_are_read_at_a_desk_and_on_a_phone_by_day_and_by_night_with_pictures_and_without() {
    let look = Shelf { item: "" };
    let mut mails = kinds(&look);
    let shown = ["problem", "recovered", "unreachable", "several", "digest", "summary", "test"];
    mails.retain(|(name, _)| shown.contains(name));
    let name = "x".repeat(255);
    let long = incident(7, &name, &name, &name, Level::Critical, &name);
    mails.push(("long", one(&[entry(Action::Problem, long, None)], &[], at(0), &look)));
    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str, page: &str| std::fs::write(folder.path().join(format!("{name}.html")), page).unwrap();
    let bytes: Vec<&[u8]> = mails.iter().map(|(_, written)| written.bytes.as_slice()).collect();
    for ((name, written), read) in mails.iter().zip(parsed(&bytes)) {
        let (page, mail) = (read["html"].as_str().unwrap(), String::from_utf8_lossy(&written.bytes));
        let part = mail.split_once("Content-ID: ").and_then(|(_, rest)| rest.split_once("\r\n\r\n"));
        let picture = part.and_then(|(_, rest)| rest.split_once("\r\n--")).map(|(png, _)| png.replace("\r\n", ""));
        let Some(picture) = picture else {
            save(name, page);
            continue;
        };
        save(name, &page.replace(&format!("cid:{PICTURE}"), &format!("data:image/png;base64,{picture}")));
        save(&format!("{name}-without-picture"), page);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    #[allow(clippy::disallowed_methods, reason = "a test asks another program")]
    let mut command = Command::new("node");
    // Pages of files have no origin, which is called so.
    command.arg(root.join("tests/browser/mails.js")).arg("null").arg(root.join("target/screenshots"));
    let seen = command.arg(folder.path()).stdin(Stdio::null()).output().expect("node; install it with: make deps");
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&[seen.stdout, seen.stderr].concat()));
}

#[test]
fn later_mails_name_the_first_and_the_first_names_none() {
    let later = one(&[entry(Action::Escalated, disk(), Some(Level::Warning))], &[], at(0), &Shelf { item: "" });
    let first = one(&[entry(Action::Problem, disk(), None)], &[], at(0), &Shelf { item: "" });
    let text = |written: &Written| String::from_utf8_lossy(&written.bytes).into_owned();
    for name in ["In-Reply-To", "References"] {
        assert!(text(&later).contains(&format!("\r\n{name}: <first.ops.15.7@example.net>\r\n")), "{}", text(&later));
        assert!(!text(&first).contains(&format!("\r\n{name}:")));
    }
    assert_eq!(
        (later.subject, first.subject),
        ("[CRIT] web01 disk /var".to_owned(), "[CRIT] web01 disk /var".to_owned())
    );
}

#[test]
fn hostile_names_make_no_markup_no_header_and_no_line() {
    const BAD: &str = "</td><script>alert(1)</script>\" ' & \u{202e}evil\r\nBcc: evil@example.net\r\n.\r\n\u{1b}[31m";
    let item = BAD;
    let worst = format!("{}evil@example.net", "<é".repeat(120));
    let long: Vec<Entry> = (0..500)
        .map(|n| entry(Action::Problem, incident(n, "web01", &worst, &worst, Level::Critical, &worst), None))
        .collect();
    let long = one(&long, &[], at(0), &Shelf { item });
    let bad = |id, text: &str| incident(id, "web01", "filesystem.used", BAD, Level::Critical, text);
    let mails = [
        one(&[entry(Action::Problem, bad(7, BAD), None)], &[], at(0), &Shelf { item }),
        one(
            &[entry(Action::Problem, bad(7, BAD), None), entry(Action::Problem, bad(8, BAD), None)],
            &[],
            at(0),
            &Shelf { item },
        ),
        one(&[], &[ended(bad(7, BAD), Ending::Recovered, BAD)], at(0), &Shelf { item }),
        long,
    ];
    assert!(mails[3].bytes.len() < 100_000, "{}", mails[3].bytes.len());
    let bytes: Vec<&[u8]> = mails.iter().map(|mail| mail.bytes.as_slice()).collect();
    for read in parsed(&bytes) {
        assert_eq!(read["tags"].as_array().unwrap().iter().filter(|tag| *tag == "script").count(), 0);
        assert_eq!(read["bcc"], serde_json::Value::Null);
        let (text, html) = (read["text"].as_str().unwrap(), read["html"].as_str().unwrap());
        for part in [text, html] {
            assert!(part.contains("evil@example.net"), "the name itself is shown");
            assert!(!part.chars().any(|c| c != '\n' && crate::model::clean::is_hostile(c)), "{part:?}");
            assert!(part.lines().all(|line| !line.starts_with("Bcc") && line != "."));
        }
        assert!(!html.contains("<script"));
    }
}

fn hook(format: HookFormat, entries: &[Entry], summary: &[Incident]) -> Option<serde_json::Value> {
    let spec = config();
    let hook = WebhookSpec { url: "https://chat.example.net/secret".into(), format, token: None, ca_file: None };
    let to = DestinationSpec { name: "chat".into(), channel: ChannelSpec::Webhook(hook) };
    let look = Shelf { item: "" };
    let mut letters = Letters::new(&spec, at(131), &look, &[]);
    let mut out = letters.write(&to, "https://chat.example.net", entries, summary, 1);
    (!out.is_empty()).then(|| serde_json::from_slice(&out.remove(0).0.bytes).unwrap())
}

#[test]
fn webhooks_say_what_is_so() {
    let recovered = ended(disk(), Ending::Recovered, "filesystem.used of /var is 71 % (critical from 90 %)");
    let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).unwrap() + "\n";
    let problem = [entry(Action::Problem, disk(), None)];
    let both =
        [entry(Action::Problem, disk(), None), entry(Action::Recovered, recovered.clone(), Some(Level::Critical))];
    golden(
        "mail-webhook.json.txt",
        &pretty(&hook(HookFormat::Json, &problem, std::slice::from_ref(&recovered)).unwrap()),
    );
    golden("mail-alertmanager.json.txt", &pretty(&hook(HookFormat::Alertmanager, &both, &[]).unwrap()));
    assert_eq!(hook(HookFormat::Alertmanager, &[], &[recovered]), None);
    // Alertmanager's own tool reads it as the data of its templates.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mail-alertmanager.json.txt");
    let folder = tempfile::tempdir().unwrap();
    let text = "{{ .Status }} {{ .Receiver }} {{ .GroupLabels.host }} {{ len .Alerts.Firing }} {{ len .Alerts.Resolved }}\
                {{ range .Alerts }} {{ .StartsAt.Unix }} {{ .EndsAt.Unix }} {{ .Labels.severity }} {{ .Annotations.summary }}{{ end }}";
    std::fs::write(folder.path().join("x.tmpl"), "{{ define \"x\" }}{{ end }}").unwrap();
    #[allow(clippy::disallowed_methods, reason = "a test asks another program")]
    let mut amtool = Command::new("amtool");
    amtool.args(["template", "render", "--template.text", text, "--template.glob"]).arg(folder.path().join("x.tmpl"));
    let output = amtool.arg("--template.data").arg(file).output().expect("amtool: install it with: make deps");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let alerts =
        "1795279260 -62135596800 critical [CRIT] web01 disk /var 1795279260 1795288200 critical [OK] web01 disk /var";
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("firing chat web01 1 1 {alerts}"));
    let one = hook(HookFormat::Alertmanager, &both[1..], &[]).unwrap();
    assert_eq!((&one["status"], &one["alerts"][0]["endsAt"]), (&"resolved".into(), &"2026-11-21T19:10:00Z".into()));
}

fn header(mail: &str, name: &str) -> Option<String> {
    mail.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
}

#[test]
fn a_thread_begins_with_the_first_mail_itself() {
    let server = smtp::Server::start();
    let spec = spec(server.port, &["ops@example.net"]);
    let mut store = empty();
    let mut run = |from: i64, value: f64| {
        for minutes in [from, from + 5, from + 10] {
            sample(&mut store, "web01", minutes, "/var", value);
            sample(&mut store, "web01", minutes + 1, "/home", 0.81);
        }
        go(&mut store, &spec, from + 12);
    };
    run(0, 0.85);
    run(20, 0.95);
    run(40, 0.5);
    let mails: Vec<String> = server.accepted().into_iter().map(|got| got.data).collect();
    let of = |mails: &[String], tag: &str| -> Vec<String> {
        mails
            .iter()
            .filter(|mail| header(mail, "Subject").unwrap() == format!("[{tag}] web01 disk /var"))
            .cloned()
            .collect()
    };
    let (first, worse, ended) = (of(&mails, "WARN"), of(&mails, "CRIT"), of(&mails, "OK"));
    assert_eq!((first.len(), worse.len(), ended.len()), (1, 1, 1), "{mails:?}");
    let root = header(&first[0], "Message-ID").unwrap();
    assert_eq!(header(&first[0], "In-Reply-To"), None);
    for mail in [&worse[0], &ended[0]] {
        assert_eq!(header(mail, "In-Reply-To").as_ref(), Some(&root));
        assert_eq!(header(mail, "References").as_ref(), Some(&root));
        assert_ne!(header(mail, "Message-ID").unwrap(), root);
        // The store's own past, and what else is wrong there.
        let text = notify::message::readable(mail.as_bytes());
        assert!(text.contains("Last 30 min: 85 %") || text.contains("Last 50 min: 85 %"), "{text}");
        assert!(!text.contains("Filesystems over"), "what is told is not told twice: {text}");
        assert!(text.contains("WARN filesystem.used of /home is 81 % (warning from 80 %)"), "{text}");
        assert!(mail.contains("Content-ID: <history@fleet-health.invalid>"));
    }
}

#[test]
fn what_else_is_wrong_comes_from_the_newest_sample() {
    let mut store = empty();
    let old = ("systemd.unit.failed", "old.service", 1.0);
    readings(&mut store, 0, "a", &[old]);
    let (unit, well) = (("systemd.unit.failed", "certbot.service", 1.0), ("systemd.unit.failed", "fine.service", 0.0));
    let mounts = [("/a", 0.85), ("/b", 0.99), ("/c", 0.2), ("/var", 0.95)];
    let mut list: Vec<(&str, &str, f64)> =
        mounts.iter().map(|&(item, value)| ("filesystem.used", item, value)).collect();
    list.extend([unit, well]);
    readings(&mut store, 5, "a", &list);
    let shelf = look::Shelf::new(&store, crate::app::alerter::tests::at(6));
    let told = disk().subject;
    let notes = shelf.notes("web01", &[&told]);
    assert_eq!(notes, ["Failed units: certbot.service", "Filesystems over 80 %: /b 99 %, /a 85 %"]);
    assert_eq!(shelf.notes("web09", &[]), [""; 0]);
    assert_eq!(shelf.top("web01", crate::app::alerter::tests::at(6)), None);
}

#[test]
fn a_webhook_that_is_busy_is_asked_again_when_it_said_and_with_the_same_bytes() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut heard = Vec::new();
        for answer in ["HTTP/1.1 503 Busy\r\nRetry-After: 1200\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            let mut chunk = [0; 4096];
            while !bytes.ends_with(b"}") {
                let count = stream.read(&mut chunk).unwrap();
                assert!(count > 0);
                bytes.extend(&chunk[..count]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            heard.push(String::from_utf8(bytes).unwrap());
        }
        heard
    });
    let mut spec = spec(1, &[]);
    let hook = WebhookSpec { url, format: HookFormat::Json, token: None, ca_file: None };
    spec.alerts.destinations = vec![DestinationSpec { name: "chat".into(), channel: ChannelSpec::Webhook(hook) }];
    let mut store = empty();
    for minutes in [0, 5, 10] {
        sample(&mut store, "web01", minutes, "/var", 0.95);
    }
    let done = |report: crate::app::alerter::Report| (report.sent, report.waiting);
    assert_eq!(done(go(&mut store, &spec, 11)), (0, 1));
    assert_eq!(done(go(&mut store, &spec, 20)), (0, 1), "not before its time");
    assert_eq!(done(go(&mut store, &spec, 32)), (1, 0));
    let heard = server.join().unwrap();
    assert_eq!(heard[0], heard[1]);
    let body: serde_json::Value = serde_json::from_str(heard[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((&body["version"], &body["subject"]), (&1.into(), &"[CRIT] web01 disk /var".into()));
    assert_eq!((&body["incidents"][0]["action"], &body["incidents"][0]["item"]), (&"problem".into(), &"/var".into()));
}
