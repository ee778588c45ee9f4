use super::*;
use crate::model::secret::Secret;
use crate::web::door::password;
use crate::web::fake::{Fake, ask};

fn site() -> Site {
    let secret = |text: &str| Secret::new(text.to_owned());
    let keys = Keys {
        users: vec![("ops".into(), secret(&password::hash("correct horse").unwrap()))],
        tokens: vec![
            ("prom".into(), secret("0123456789abcdef"), false),
            ("bot".into(), secret("fedcba9876543210"), true),
        ],
        secure: false,
    };
    Site::new(Rules { names: vec!["fleet.example.net".into()], keys, ..Rules::default() })
}

fn open() -> Site {
    Site::new(Rules::default())
}

#[track_caller]
fn status(site: &Site, incoming: &Incoming) -> u16 {
    site.answer(incoming, &mut Fake::default()).status
}

/// Signs in; the cookie, and the token of its forms.
fn signed_in(site: &Site) -> (String, String) {
    let form = "user=ops&password=correct+horse&back=%2Fincidents";
    let response = site.answer(&ask("POST", "/sign-in", &[], form), &mut Fake::default());
    assert_eq!((response.status, response.header("location")), (303, Some("/incidents")));
    let cookie = response.header("set-cookie").unwrap();
    assert!(cookie.starts_with("fleet=") && cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let Visitor::User { name, csrf } = site.door.visitor(&ask("GET", "/", &[("cookie", &cookie)], "")).unwrap() else {
        panic!("not signed in")
    };
    assert_eq!(name, "ops");
    (cookie, csrf)
}

#[test]
fn a_name_that_is_not_ours_is_answered_with_421() {
    let site = open();
    for good in ["localhost", "LOCALHOST:1", "127.0.0.1:8980", "10.1.2.3", "[::1]:8980", "[::1]", "localhost.:80"] {
        assert_eq!(status(&site, &ask("GET", "/", &[("host", good)], "")), 200, "{good}");
    }
    for bad in
        ["evil.example", "localhost.evil.example", "localhost:80:80", "x@localhost", "localhost:", "", "[::1", "a:b"]
    {
        let code = status(&site, &ask("GET", "/", &[("host", bad)], ""));
        assert_eq!(code == 421, bad != "localhost:", "{bad}: {code}");
    }
    assert_eq!(status(&super::tests::site(), &ask("GET", "/sign-in", &[("host", "Fleet.Example.net:443")], "")), 200);
    let mut two = ask("GET", "/", &[], "");
    two.headers.push(("host".into(), "localhost".into()));
    assert_eq!(status(&site, &two), 400, "two hosts");
    two.headers.clear();
    assert_eq!(status(&site, &two), 400, "none");
    let mut absolute = ask("GET", "/", &[], "");
    absolute.authority = Some("evil.example".into());
    assert_eq!(status(&site, &absolute), 421);
}

#[test]
fn paths_that_climb_or_hide_are_refused() {
    let site = open();
    for bad in [
        "/..",
        "/../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/static/..%2f..%2fetc/passwd",
        "/static/%2e%2e/x",
        "/a//b",
        "/./",
        "/%00",
        "/a%5c..%5cb",
        "/%ff",
        "/%",
        "/a%0d%0ab",
        "/?a=%",
        "x",
    ] {
        let code = status(&site, &ask("GET", bad, &[], ""));
        assert!(code == 400 || code == 404, "{bad}: {code}");
    }
    assert_eq!(status(&site, &ask("GET", "/nowhere", &[], "")), 404);
    assert_eq!(status(&site, &ask("GET", "/static/style.css", &[], "")), 404);
}

#[test]
fn other_methods_are_told_which_there_are() {
    let site = open();
    for method in ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "X"] {
        let response = site.answer(&ask(method, "/", &[("origin", "https://evil.example")], ""), &mut Fake::default());
        assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD")), "{method}");
        assert!(response.headers.iter().all(|(name, _)| !name.starts_with("access-control")), "{method}");
    }
    assert_eq!(status(&site, &ask("HEAD", "/", &[], "")), 200);
    assert_eq!(status(&site, &ask("GET", "/sign-out", &[], "")), 405);
    let style = site.assets.url("style.css").unwrap().to_owned();
    for (method, code) in [("GET", 200), ("HEAD", 200), ("POST", 405), ("PUT", 405)] {
        let response = site.answer(&ask(method, &style, &[], ""), &mut Fake::default());
        assert_eq!(response.status, code, "{method}");
        assert_eq!(response.header("allow"), (code == 405).then_some("GET, HEAD"), "{method}");
    }
}

#[test]
fn where_nobody_can_sign_in_everybody_reads_and_nobody_acts() {
    let site = open();
    assert_eq!(status(&site, &ask("GET", "/", &[], "")), 200);
    let mut fake = Fake::default();
    assert_eq!(site.answer(&ask("POST", "/act/ack", &[], "id=1"), &mut fake).status, 403);
    assert!(fake.orders.is_empty());
    let response = site.answer(&ask("POST", "/sign-in", &[], "user=a&password=b"), &mut fake);
    assert_eq!(response.status, 401, "with no user there is no password that fits");
}

#[test]
fn a_stranger_sees_the_door_and_nothing_else() {
    let site = site();
    for path in ["/", "/metrics", "/api/v1/hosts", "/api/v1/health"] {
        let response = site.answer(&ask("GET", path, &[], ""), &mut Fake::default());
        assert_eq!(response.status, 401, "{path}");
        assert!(response.header("www-authenticate").unwrap().starts_with("Bearer"));
    }
    for path in ["/healthz", "/readyz", "/sign-in", "/api/v1/openapi.json"] {
        assert_eq!(status(&site, &ask("GET", path, &[], "")), 200, "{path}");
    }
    let browser = ask("GET", "/?filter=a%26b", &[("accept", "text/html,*/*")], "");
    let response = site.answer(&browser, &mut Fake::default());
    assert_eq!((response.status, response.header("location")), (303, Some("/sign-in?back=%2F%3Ffilter%3Da%2526b")));
    // A link in a mail comes without the cookie that the browser has: it goes on from here, and only once.
    let mail = ask("GET", "/x?a=1&b=\"<i>", &[("accept", "text/html"), ("sec-fetch-site", "cross-site")], "");
    let missing = site.answer(&mail, &mut Fake::default());
    assert_eq!(missing.status, 404);
    let mail = ask("GET", "/?a=1&b=\"<i>", &[("accept", "text/html"), ("sec-fetch-site", "cross-site")], "");
    let page = String::from_utf8(site.answer(&mail, &mut Fake::default()).body).unwrap();
    assert!(page.contains("content=\"0;url=/?a=1&amp;b=%22%3Ci%3E\""), "{page}");
    let (cookie, _) = signed_in(&site);
    assert_eq!(status(&site, &ask("GET", "/", &[("cookie", &format!("a=b; {cookie}"))], "")), 200);
    assert_eq!(status(&site, &ask("GET", "/", &[("cookie", "fleet=AAAA")], "")), 401);
}

#[test]
fn a_form_needs_the_session_its_token_and_this_site() {
    let site = site();
    let (cookie, csrf) = signed_in(&site);
    let mut fake = Fake::default();
    let good = format!("id=4&id=5&note=n&csrf={csrf}&back=/incidents");
    let here: &[(&str, &str)] =
        &[("cookie", &cookie), ("origin", "http://localhost:8980"), ("sec-fetch-site", "same-origin")];
    let done = site.answer(&ask("POST", "/act/ack", here, &good), &mut fake);
    assert_eq!((done.status, done.header("location")), (303, Some("/incidents")));
    assert_eq!(fake.orders, ["ops takes [4, 5] \"n\""]);
    let send = |headers: &[(&str, &str)], body: &str| {
        let mut fake = Fake::default();
        let code = site.answer(&ask("POST", "/act/ack", headers, body), &mut fake).status;
        assert_eq!(fake.orders.is_empty(), code != 303);
        code
    };
    assert_eq!(send(&[("cookie", &cookie)], "id=4"), 403, "no token");
    assert_eq!(send(&[("cookie", &cookie)], "id=4&csrf=x"), 403, "another token");
    assert_eq!(send(&[], &good), 401, "no session");
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:8981"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(send(&[("cookie", &cookie), (name, value)], &good), 403, "{name}: {value}");
    }
    assert_eq!(send(&[("cookie", &cookie), ("content-type", "text/plain")], &good), 415);
    assert_eq!(send(&[("cookie", &cookie), ("x-csrf-token", &csrf)], "id=4"), 303, "a script's way");
    let out = site.answer(&ask("POST", "/sign-out", &[("cookie", &cookie)], ""), &mut Fake::default());
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(status(&site, &ask("GET", "/", &[("cookie", &cookie)], "")), 401);
}

#[test]
fn tokens_read_and_some_act() {
    let site = site();
    let bearer = |token: &str| format!("Bearer {token}");
    let (reads, acts) = (bearer("0123456789abcdef"), bearer("fedcba9876543210"));
    assert_eq!(status(&site, &ask("GET", "/metrics", &[("authorization", &reads)], "")), 200);
    for bad in ["Bearer 0123456789abcde", "Bearer ", "Basic b3BzOng=", "0123456789abcdef", ""] {
        assert_eq!(status(&site, &ask("GET", "/metrics", &[("authorization", bad)], "")), 401, "{bad}");
    }
    let order = |token: &str, body: &str| {
        let mut fake = Fake::default();
        let headers = [("authorization", token), ("content-type", "application/json")];
        let response = site.answer(&ask("POST", "/api/v1/silences", &headers, body), &mut fake);
        (response.status, fake.orders.concat())
    };
    let body = r#"{"hosts":["a*"],"for":"2h","reason":"x"}"#;
    assert_eq!(order(&reads, body).0, 403);
    assert_eq!(order(&acts, body), (200, "bot silences [\"a*\"] for \"2h\"".to_owned()));
    for bad in ["[]", "{", r#"{"host":["a"]}"#, r#"{"for":5}"#, "null", ""] {
        let (code, orders) = order(&acts, bad);
        assert!(code == 400 && orders.is_empty(), "{bad}: {code}");
    }
}

#[test]
fn browsers_are_told_to_keep_to_tls_for_a_name_that_is_all_ours() {
    let lasting = |tls: bool, host: &str| {
        let rules = Rules { names: vec!["fleet.example.net".into()], tls, ..Rules::default() };
        let told = Site::new(rules).answer(&ask("GET", "/healthz", &[("host", host)], ""), &mut Fake::default());
        told.header("strict-transport-security").map(str::to_owned)
    };
    for host in ["fleet.example.net", "Fleet.Example.net:443", "fleet.example.net."] {
        assert_eq!(lasting(true, host).as_deref(), Some("max-age=31536000"), "{host}");
        assert_eq!(lasting(false, host), None, "{host}");
    }
    for host in ["fleet.example.net:8980", "localhost", "127.0.0.1", "other.example.net", "x.fleet.example.net"] {
        assert_eq!(lasting(true, host), None, "{host}");
    }
}

#[test]
fn where_forms_lead_is_within_the_site() {
    let site = site();
    for bad in ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nset-cookie: x", "", "/\u{e9}"] {
        let form = format!("user=ops&password=correct+horse&back={}", percent::encode(bad));
        let response = site.answer(&ask("POST", "/sign-in", &[], &form), &mut Fake::default());
        assert_eq!((response.status, response.header("location")), (303, Some("/")), "{bad}");
    }
}

#[test]
fn guessing_is_stopped_for_the_client_behind_the_proxy_and_not_for_others() {
    let keys =
        Keys { users: vec![("ops".into(), Secret::new(password::hash("correct horse").unwrap()))], ..Keys::default() };
    let site = Site::new(Rules { behind_proxy: true, keys: Keys { secure: true, ..keys }, ..Rules::default() });
    let send = |client: &str, password: &str| {
        let form = format!("user=ops&password={password}");
        let forwarded = format!("1.1.1.1, {client}");
        site.answer(&ask("POST", "/sign-in", &[("x-forwarded-for", &forwarded)], &form), &mut Fake::default())
    };
    for _ in 0..10 {
        assert_eq!(send("10.0.0.9", "guess").status, 401);
    }
    let stopped = send("10.0.0.9", "correct+horse");
    assert_eq!(stopped.status, 429);
    assert!(stopped.header("retry-after").is_some());
    let other = send("10.0.0.8", "correct+horse");
    assert_eq!(other.status, 303);
    let cookie = other.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-fleet=") && cookie.ends_with("; Secure"), "{cookie}");
}
