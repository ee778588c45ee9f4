//! `fleet serve` beside people who should not come in: strangers, other sites, guessers, slow clients.
#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop where something is wrong, and starts programs"
)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use fleet_health::model::level::Level;
use fleet_health::store::Store;

use support::run::{Said, must, system, until};
use support::web::{ACTS, Home, READS, ago, certificate, fill, hosts, problem};

/// A host, a problem of it, and the usual ways in.
fn home() -> Home {
    let home = Home::new(&format!("{}{}", hosts(&["web01"]), Home::web("")));
    let mut store = home.store();
    fill(&mut store, &["web01"], 3, "web01", "/var");
    store.commit_evaluation(&problem(1, "web01", "/var", Level::Critical)).unwrap();
    home
}

#[test]
fn what_is_open_to_others_asks_who_they_are_and_hides_what_they_say() {
    let open = |listen: &str, web: &str, more: &[&str]| {
        let home = Home::new(&format!("{}{web}", hosts(&["a"])));
        let args: Vec<&str> = ["serve", "--listen", listen].iter().chain(more).copied().collect();
        home.fleet(&args)
    };
    let said = open("0.0.0.0:0", "", &[]).ends_with(78);
    assert!(said.err.contains("nobody would have to sign in") && said.err.contains("hash-password"), "{}", said.err);
    let said = open("[::]:0", &Home::web(""), &[]).ends_with(78);
    assert!(said.err.contains("in the clear") && said.err.contains("behind-proxy"), "{}", said.err);
    assert!(open("0.0.0.0:0", "", &["--behind-proxy"]).ends_with(78).err.contains("sign in"));
    // In the file it is a mistake with its line.
    let home = Home::new("<web listen=\"0.0.0.0:8980\"/>");
    let said = home.fleet(&["check-config"]).ends_with(78);
    assert!(said.err.contains("config.xml:1:") && said.err.contains("0.0.0.0:8980 is open"), "{}", said.err);
    let said = open("localhost", "", &[]).ends_with(2);
    assert!(said.err.contains("write 127.0.0.1:8980 or [::1]:8980"), "{}", said.err);
    // Behind a proxy it may.
    let home = Home::new(&format!("{}{}", hosts(&["a"]), Home::web("behind-proxy=\"true\"")));
    let server = home.serve_with(&["--listen", "0.0.0.0:0"]);
    assert_eq!(server.get("/").status, 200);
    let cookie = server.send("POST", "/sign-in", &[], "user=ops&password=correct+horse");
    assert!(cookie.header("set-cookie").unwrap().ends_with("; Secure"), "{cookie:?}");
}

#[test]
fn what_is_wrong_with_secrets_or_the_address_is_said_before_it_serves() {
    let home = Home::new(&Home::web(""));
    let fails = |text: &str, code: i32| {
        let said = home.fleet(&["serve", "--listen", "127.0.0.1:0"]).ends_with(code);
        assert!(said.err.contains(text), "{text}: {}", said.err);
    };
    fs::set_permissions(home.path("ops.hash"), fs::Permissions::from_mode(0o644)).unwrap();
    fails("chmod 600", 78);
    home.write("ops.hash", "hunter2");
    fails("fleet serve hash-password", 78);
    home.write("ops.hash", &fleet_health::web::door::password::hash("correct horse").unwrap());
    home.write("reads.token", "short");
    fails("openssl rand -hex 32", 78);
    home.write("reads.token", "0123456789abcdef");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let said = home.fleet(&["serve", "--listen", &at.to_string()]).ends_with(1);
    assert!(said.err.contains(&format!("ss -ltnp 'sport = :{}'", at.port())), "{}", said.err);
    let foreign = Home::new("");
    foreign.write("fleet.db", "this is no store");
    let said = foreign.fleet(&["serve", "--listen", "127.0.0.1:0"]).ends_with(74);
    assert!(said.err.contains("no store of fleet-health"), "{}", said.err);
}

#[test]
fn a_password_becomes_a_hash_that_opens_the_door() {
    let home = home();
    let mut child = home.command(&["serve", "hash-password"]);
    child.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = child.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"battery staple\nmore\n").unwrap();
    let said = Said::of(child.wait_with_output().unwrap()).ends_with(0);
    assert!(said.out.starts_with("$argon2id$"), "{}", said.out);
    home.write("ops.hash", &said.out);
    let server = home.serve();
    let reply = server.send("POST", "/sign-in", &[], "user=ops&password=battery+staple");
    assert_eq!(reply.status, 303, "{reply:?}");
    let short = Said::of(home.command(&["serve", "hash-password"]).output().unwrap());
    assert!(short.ends_with(2).err.contains("at least 8"));
}

#[test]
fn who_signed_in_takes_problems_and_silences_under_their_own_name() {
    let home = home();
    let server = home.serve();
    let cookie = server.sign_in();
    let stranger = server.send("GET", "/", &[("accept", "text/html")], "");
    assert_eq!((stranger.status, stranger.header("location")), (303, Some("/sign-in?back=%2F")));
    let page = server.send("GET", "/", &[("cookie", &cookie)], "");
    assert!(page.status == 200 && page.body.contains("web01"), "{}", page.body);
    let csrf = csrf(&server, &cookie);
    let form = |path: &str, fields: &str| {
        let body = format!("{fields}&csrf={csrf}&back=%2Fincidents");
        server.send("POST", path, &[("cookie", &cookie), ("origin", &server.url)], &body)
    };
    let taken = form("/act/ack", "id=1&until=2h&note=looking");
    assert_eq!((taken.status, taken.header("location")), (303, Some("/incidents")), "{}", taken.body);
    let acks = home.store().acks().unwrap();
    assert_eq!((acks[0].by.as_str(), acks[0].note.as_str(), acks[0].incident), ("ops", "looking", 1));
    let said = home.fleet(&["alerts", "show", "1"]).ends_with(0);
    assert!(said.out.contains("taken by ops: looking") && said.out.contains("ops took it"), "{}", said.out);
    assert_eq!(form("/act/silence", "host=web*&for=2h&reason=disks").status, 303);
    let silence = home.store().silences().unwrap().remove(0);
    assert_eq!((silence.by.as_str(), silence.reason.as_str()), ("ops", "disks"));
    assert_eq!(form("/act/end-silence", &format!("id={}", silence.id)).status, 303);
    assert!(home.store().silences().unwrap()[0].ended.is_some());
    // What cannot be done is said, and nothing is half done.
    for (path, fields, words) in [
        ("/act/ack", "id=1&id=99", "no problem has the number 99"),
        ("/act/ack", "id=1&until=yesterday", "yesterday"),
        ("/act/silence", "host=wbe01&for=2h&reason=x", "did you mean"),
        ("/act/silence", "host=web01&for=2h", "reason"),
        ("/act/silence", "for=2h&reason=x", "over what"),
    ] {
        let said = form(path, fields);
        assert!(said.status == 422 && said.body.contains(words), "{fields}: {} {}", said.status, said.body);
    }
    assert_eq!(home.store().silences().unwrap().len(), 1);
    let out = server.send("POST", "/sign-out", &[("cookie", &cookie)], "");
    assert_eq!(out.status, 303);
    assert_eq!(server.send("GET", "/", &[("cookie", &cookie)], "").status, 401);
}

/// The token that forms carry, as a page gives it.
fn csrf(server: &support::web::Server, cookie: &str) -> String {
    let page = server.send("GET", "/", &[("cookie", cookie)], "").body;
    let at = page.find("name=\"csrf\" value=\"").expect("the page has a form") + 19;
    page[at..].split('"').next().unwrap().to_owned()
}

#[test]
fn other_sites_cannot_act_read_or_pretend_to_be_us() {
    let home = home();
    let server = home.serve();
    let cookie = server.sign_in();
    let csrf = csrf(&server, &cookie);
    let body = format!("id=1&csrf={csrf}");
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("host", "evil.example"), ("origin", "http://evil.example")],
    ] {
        let mut all = headers.clone();
        all.push(("cookie", &cookie));
        let reply = server.send("POST", "/act/ack", &all, &body);
        assert!(reply.status == 403 || reply.status == 421, "{headers:?}: {}", reply.status);
    }
    assert_eq!(server.send("POST", "/act/ack", &[("cookie", &cookie)], "id=1").status, 403, "without the token");
    assert!(home.store().acks().unwrap().is_empty());
    // DNS rebinding: the page of another site whose name leads here.
    for host in ["evil.example", &format!("evil.example:{}", server.port), "localhost.evil.example"] {
        let reply = server.send("GET", "/api/v1/hosts", &[("host", host), ("cookie", &cookie)], "");
        assert!(reply.status == 421 && !reply.body.contains("web01"), "{host}: {}", reply.status);
    }
    for reply in
        [server.get("/"), server.get("/api/v1/hosts"), server.get("/nowhere"), server.send("OPTIONS", "/", &[], "")]
    {
        assert!(reply.headers.iter().all(|(name, _)| !name.starts_with("access-control")), "{reply:?}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn malformed_and_oversized_requests_end_where_they_begin() {
    let home = home();
    let server = home.serve();
    let host = format!("host: 127.0.0.1:{}\r\nconnection: close\r\n", server.port);
    for path in [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2f..%2fetc%2fpasswd",
        "/%00",
        "//",
        "/a\\..\\b",
    ] {
        let reply = server.raw(format!("GET {path} HTTP/1.1\r\n{host}\r\n").as_bytes()).unwrap();
        assert!([400, 404].contains(&reply.status) && !reply.body.contains("root:"), "{path}: {reply:?}");
    }
    let status = |text: String| server.raw(text.as_bytes()).map(|reply| reply.status);
    assert_eq!(status(format!("GET / HTTP/1.1\r\n{host}x: {}\r\n\r\n", "a".repeat(9000))), Some(431));
    assert_eq!(status(format!("GET /{} HTTP/1.1\r\n{host}\r\n", "a".repeat(9000))).map(|code| code >= 400), Some(true));
    assert_eq!(status(format!("GET / HTTP/1.1\r\n{host}{}\r\n", "x: y\r\n".repeat(200))), Some(431));
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let long = "a=".to_owned() + &"x".repeat(70_000);
    assert_eq!(
        status(format!("POST /sign-in HTTP/1.1\r\n{host}{form}content-length: {}\r\n\r\n{long}", long.len())),
        Some(413)
    );
    let chunked = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    assert_eq!(
        status(format!("POST /sign-in HTTP/1.1\r\n{host}{form}transfer-encoding: chunked\r\n\r\n{chunked}")),
        Some(413)
    );
    // Two lengths, and a length beside chunks: what a proxy in front might read otherwise.
    let two = format!("POST /sign-in HTTP/1.1\r\n{host}{form}content-length: 5\r\ncontent-length: 6\r\n\r\nuser=a");
    assert_eq!(status(two), Some(400));
    assert_eq!(status("GET / HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned()), Some(400), "no host");
    assert_eq!(status("nonsense\r\n\r\n".to_owned()), Some(400));
    assert_eq!(server.send("PUT", "/", &[], "").header("allow"), Some("GET, HEAD"));
    assert_eq!(server.get("/healthz").status, 200, "and it still serves");
}

#[test]
fn guessing_passwords_is_slow_and_does_not_slow_others() {
    let home = home();
    let server = home.serve();
    let guess = |user: &str| server.send("POST", "/sign-in", &[], &format!("user={user}&password=guess"));
    // Many at once: few are looked at, the others are sent away without work, and pages go on.
    std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..24).map(|n| scope.spawn(move || guess(&format!("nobody{n}")).status)).collect();
        let begun = Instant::now();
        assert_eq!(server.get("/api/v1/pulse").status, 200);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        for code in guesses {
            let code = code.join().unwrap();
            assert!([401, 429, 503].contains(&code), "{code}");
        }
    });
    let mut codes: Vec<u16> = (0..12).map(|_| guess("ops").status).collect();
    codes.dedup();
    assert_eq!(codes.last(), Some(&429), "{codes:?}");
    let right = server.send("POST", "/sign-in", &[], "user=ops&password=correct+horse");
    assert_eq!(right.status, 429, "even the right one waits now");
    assert!(right.header("retry-after").unwrap().parse::<u32>().unwrap() <= 900);
    assert_eq!(server.get("/").status, 200, "a token is no password");
    let log = fs::read_to_string(home.path("serve.log")).unwrap();
    assert!(log.contains("sign-in refused: user \"ops\" from 127.0.0.1") && !log.contains("guess\""), "{log}");
}

#[test]
fn slow_clients_do_not_keep_others_waiting() {
    let home = home();
    let server = home.serve();
    let open = || TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let files = format!("/proc/{}/fd", server.child.id());
    let sockets = || {
        let links = fs::read_dir(&files).unwrap().filter_map(|file| fs::read_link(file.unwrap().path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
    };
    assert_eq!(server.get("/api/v1/pulse").status, 200, "its own sockets are there from here on");
    let before = sockets();
    // More than may be open at once: heads that never end, bodies that never come, silence, and who asks for much and
    // reads nothing.
    let mut slow: Vec<TcpStream> = Vec::new();
    for n in 0..150 {
        let mut line = open();
        let text = match n % 30 {
            0 => "GET /api/v1/openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(300),
            n if n % 3 == 0 => "GET / HTTP/1.1\r\nhost: localhost\r\nx: ".to_owned(),
            n if n % 3 == 1 => "POST /sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n".to_owned(),
            _ => String::new(),
        };
        line.write_all(text.as_bytes()).unwrap();
        slow.push(line);
        if n % 30 == 29 {
            let begun = Instant::now();
            assert_eq!(server.get("/api/v1/pulse").status, 200);
            assert!(begun.elapsed() < Duration::from_secs(9), "waits for slow ones: {:?}", begun.elapsed());
        }
    }
    let there = sockets();
    assert!(there <= before + 66, "64 connections, not {}", there - before);
    // Each of them drips on, and still pages come.
    for line in &mut slow {
        let _ = line.write_all(b"a");
    }
    assert_eq!(server.get("/").status, 200);
    // All of them end by the server's own deadlines, though nobody closed anything here.
    until("the slow ones are gone", Duration::from_secs(180), || sockets() <= before);
    drop(slow);
}

/// The attacks that everybody can download, as their own program makes them: heads and bodies that never end, answers that
/// nobody reads. It says itself whether the service stayed available; that pages came quickly is seen here.
#[test]
fn slowhttptest_leaves_pages_quick() {
    let home = home();
    let server = home.serve();
    for (attack, more) in [
        ("-H", vec!["-i", "3"]),
        ("-B", vec!["-i", "3", "-s", "60000"]),
        ("-X", vec!["-k", "3", "-w", "10", "-y", "20", "-n", "3", "-z", "10"]),
    ] {
        let url = format!("{}/api/v1/openapi.json", server.url);
        let mut command = std::process::Command::new("slowhttptest");
        command.arg(attack).args(["-c", "150", "-r", "25", "-l", "12", "-p", "9", "-u", &url]).args(more);
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().expect("slowhttptest; install it with: make deps");
        let (mut took, mut lost) = (Vec::new(), 0);
        let page =
            format!("GET / HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {READS}\r\nconnection: close\r\n\r\n");
        while child.try_wait().unwrap().is_none() {
            let begun = Instant::now();
            // Where a machine is so busy that a request comes seconds after its connection, that one may be the one that
            // dawdles longest; a browser asks again.
            match server.raw(page.as_bytes()) {
                Some(reply) => assert_eq!(reply.status, 200, "{attack}"),
                None => lost += 1,
            }
            took.push(begun.elapsed());
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(lost * 10 <= took.len(), "{attack}: {lost} of {}", took.len());
        let said = Said::of(child.wait_with_output().unwrap());
        let last = said.out.rsplit("service available").next().unwrap_or_default();
        assert!(last.contains("YES"), "{attack}: {}", said.out);
        took.sort_unstable();
        let median = took[took.len() / 2];
        assert!(took.len() > 9 && median < Duration::from_secs(1), "{attack}: {median:?}, {took:?}");
    }
}

#[test]
fn an_old_problem_of_a_quiet_host_is_found_however_much_happened_elsewhere() {
    let home = Home::new(&format!("{}{}", hosts(&["quiet", "loud"]), Home::web("")));
    let mut store = home.store();
    fill(&mut store, &["quiet", "loud"], 2, "h", "/");
    let mut all = problem(1, "quiet", "/", Level::Critical);
    all.incidents.extend((2..3000).flat_map(|n| problem(n, "loud", "/", Level::Warning).incidents));
    for (n, it) in all.incidents.iter_mut().enumerate() {
        // The quiet one's was ten days ago; the others came one after the other since.
        it.opened = ago(if n == 0 { 14_400 } else { 9000 - 3 * i64::try_from(n).unwrap() });
        it.level = Level::Ok;
        it.closed = Some(it.opened + chrono::TimeDelta::minutes(2));
        it.ending = Some(fleet_health::model::alert::Ending::Recovered);
    }
    store.commit_evaluation(&all).unwrap();
    let past = fleet_health::model::fleet::Heartbeat {
        role: "collector 2/3".into(),
        at: ago(9000),
        ok: true,
        text: String::new(),
    };
    store.beat(&past).unwrap();
    let server = home.serve();
    let chart = server.get("/host/quiet/charts?span=30d").json();
    assert_eq!(chart["incidents"].as_array().unwrap().len(), 1, "{}", chart["incidents"]);
    assert_eq!(chart["incidents"][0]["own"], serde_json::json!(["filesystem"]), "the chart that it is about");
    assert!(server.get("/incident/1").body.contains("data-only=\"filesystem\""));
    // What a part of the fleet did that is no more.
    assert!(!server.get("/metrics").body.contains("collector 2/3"));
    assert!(server.get("/host/quiet?span=30d").body.contains("href=\"/incident/1\""));
    assert!(!server.get("/host/quiet?span=7d").body.contains("href=\"/incident/1\""));
    assert!(server.get("/incidents?host=quiet").body.contains("href=\"/incident/1\""));
    let count =
        |query: &str| server.get(&format!("/api/v1/incidents?{query}")).json()["rows"].as_array().unwrap().len();
    assert_eq!((count("host=quiet&ended=1"), count("host=quiet"), count("ended=1&limit=50")), (1, 0, 50));
    assert!(server.get("/incidents?filter=quiet%20level%3Dcritical").body.contains("href=\"/incident/1\""));
    // From answer to answer every one once.
    let (mut before, mut ids) = (String::new(), Vec::new());
    loop {
        let answer = server.get(&format!("/api/v1/incidents?ended=1&limit=900{before}")).json();
        ids.extend(answer["rows"].as_array().unwrap().iter().map(|it| it["id"].as_i64().unwrap()));
        let Some(older) = answer["older"].as_i64() else { break };
        before = format!("&before={older}");
    }
    assert_eq!(ids, (1..3000).rev().collect::<Vec<i64>>());
    assert!(server.get("/api/v1/incidents").json()["older"].is_null());
    // A time without a host, long before the newest.
    let (from, to) = (ago(14_401).timestamp(), ago(14_399).timestamp());
    assert_eq!(count(&format!("ended=1&from={from}&to={to}")), 1);
    assert!(server.get(&format!("/incidents?from={from}&to={to}")).body.contains("href=\"/incident/1\""));
    let services = server.get("/api/v1/services").json();
    assert_eq!(services["rows"], serde_json::json!([]));
}

#[test]
fn over_tls_with_a_certificate_that_may_be_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let (key, cert) = certificate(folder.path(), 1);
    let files = format!("tls-cert=\"{}\" tls-key=\"{}\" hosts=\"fleet.example.net\"", cert.display(), key.display());
    let home = Home::new(&format!("{}{}", hosts(&["web01"]), Home::web(&files)));
    let server = home.serve_with(&["--listen", "0.0.0.0:0"]);
    let base = format!("https://127.0.0.1:{}", server.port);
    let trusted = cert.display().to_string();
    let curl = |args: &[&str]| {
        let all: Vec<&str> =
            ["-s", "-i", "--max-time", "30", "--cacert", &trusted].iter().chain(args).copied().collect();
        system("curl", &all)
    };
    let said = curl(&["-d", "user=ops&password=correct horse", &format!("{base}/sign-in")]).ends_with(0);
    assert!(said.out.contains("set-cookie: __Host-fleet=") && said.out.contains("; Secure"), "{}", said.out);
    let resolve = format!("fleet.example.net:{}:127.0.0.1", server.port);
    let named =
        curl(&["--resolve", &resolve, &format!("https://fleet.example.net:{}/healthz", server.port)]).ends_with(0);
    assert!(named.out.starts_with("HTTP/1.1 200"));
    // What a browser keeps of a name holds for all of its ports.
    let lasting = "strict-transport-security: max-age=31536000";
    assert!(!named.out.contains(lasting), "{}", named.out);
    let usual = curl(&["-H", "host: fleet.example.net", &format!("{base}/healthz")]);
    assert!(usual.out.contains(lasting), "{}", usual.out);
    assert!(curl(&["--tls-max", "1.1", &format!("{base}/healthz")]).code != Some(0), "old TLS");
    assert!(server.raw(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").is_none(), "plain words");
    assert_eq!(server.url.split(':').next(), Some("https"));
    // Renewed, without a restart; half written, the old one goes on.
    let serial = || {
        let at = format!("127.0.0.1:{}", server.port);
        let text = must(
            "sh",
            &["-c", &format!("openssl s_client -connect {at} </dev/null 2>/dev/null | openssl x509 -noout -serial")],
        );
        text.trim().to_owned()
    };
    assert_eq!(serial(), "serial=01");
    let whole = fs::read(&cert).unwrap();
    fs::write(&cert, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(serial(), "serial=01");
    certificate(folder.path(), 2);
    assert_eq!(serial(), "serial=02");
    // A key that everybody may read is refused, and so is one of another certificate.
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(home.fleet(&["serve", "--listen", "127.0.0.1:0"]).ends_with(78).err.contains("chmod o="));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&cert, &whole).unwrap();
    assert!(home.fleet(&["serve", "--listen", "127.0.0.1:0"]).ends_with(78).err.contains("does not go with its key"));
}

#[test]
fn it_ends_in_order_and_what_is_under_way_is_answered() {
    let home = home();
    let mut server = home.serve();
    let mut idle = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut some = [0; 12];
    idle.read_exact(&mut some).unwrap();
    assert_eq!(&some, b"HTTP/1.1 200");
    assert_eq!(server.terminate(), Some(0));
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", server.port)).is_err(), "nobody listens any more");
}

#[test]
fn the_store_may_go_and_come_back_and_the_configuration_may_change() {
    let home = home();
    let server = home.serve();
    assert_eq!(server.get("/readyz").status, 200);
    // Written by others while it is read, and read by handles that cannot write.
    fill(&mut home.store(), &["web01"], 1, "web01", "/srv");
    home.configure(&format!("{}{}", hosts(&["web01", "db7"]), Home::web("")));
    until("the new host is there", Duration::from_secs(60), || server.get("/api/v1/hosts").body.contains("\"db7\""));
    home.configure("<host/>");
    until("the mistakes are told", Duration::from_secs(60), || {
        assert!(server.get("/api/v1/hosts").body.contains("\"db7\""), "one with mistakes is not taken");
        fs::read_to_string(home.path("serve.log")).unwrap().contains("going on with the old one")
    });
    for file in ["fleet.db", "fleet.db-wal", "fleet.db-shm"] {
        let _ = fs::rename(home.path(file), home.path(&format!("away-{file}")));
    }
    until("it is not ready", Duration::from_secs(120), || server.get("/readyz").status == 503);
    let said = server.get("/api/v1/hosts");
    assert!(said.status == 503 && said.header("retry-after").is_some(), "{said:?}");
    assert_eq!(server.get("/healthz").status, 200, "it lives");
    for file in ["fleet.db", "fleet.db-wal", "fleet.db-shm"] {
        let _ = fs::rename(home.path(&format!("away-{file}")), home.path(file));
    }
    until("it is ready again", Duration::from_secs(60), || server.get("/readyz").status == 200);
}

#[test]
fn a_token_that_acts_does_what_a_person_may() {
    let home = home();
    let server = home.serve();
    let bearer = format!("Bearer {ACTS}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let done = server.send("POST", "/api/v1/incidents/1/ack", &headers, r#"{"note":"x","until":"1h"}"#);
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(home.store().acks().unwrap()[0].by, "bot");
    assert_eq!(server.send("POST", "/api/v1/incidents/2/ack", &headers, "{}").status, 404);
    assert_eq!(server.get("/api/v1/incidents/1").json()["incident"]["ack"]["by"], "bot");
}
