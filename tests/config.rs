//! The configuration against its schema (xmllint as the oracle), its error report and its limits.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use fleet_health::config;
use fleet_health::model::check::{KINDS, Shape};
use fleet_health::model::service::ServiceSpec;
use fleet_health::model::spec::{FleetSpec, RuleSpec, Transport};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether xmllint finds the file right by config.xsd.
#[allow(clippy::disallowed_methods, reason = "the oracle is a program")]
fn schema_takes(file: &Path) -> bool {
    let output = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .arg(root().join("config.xsd"))
        .arg(file)
        .output()
        .expect("xmllint must be installed: apt-get install libxml2-utils");
    output.status.success()
}

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn good(&self, inside: &str) -> FleetSpec {
        config::load(&self.write("config.xml", around(inside), 0o644)).unwrap_or_else(|report| panic!("{report}"))
    }

    fn bad(&self, inside: &str) -> String {
        let file = self.write("config.xml", around(inside), 0o644);
        config::load(&file).expect_err(inside).to_string()
    }
}

fn around(inside: &str) -> String {
    format!("<fleet-health version=\"1\">\n  <ssh user=\"fleet\"/>\n  {inside}\n</fleet-health>\n")
}

fn rules<'a>(spec: &'a FleetSpec, host: &str, metric: &str) -> Vec<&'a RuleSpec> {
    spec.host(host).unwrap().rules.iter().filter(|rule| rule.metric == metric).collect()
}

#[test]
fn the_example_is_right_by_program_and_schema() {
    let file = root().join("config.xml");
    let loaded = config::read(&file).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_none(), "{:?}", loaded.warnings);
    let names: Vec<&str> = loaded.spec.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["web01", "web02", "db1-standby", "db1", "self"]);
    let Transport::Ssh(web02) = &loaded.spec.hosts[1].transport else { panic!("web02 is over SSH") };
    assert_eq!(web02.address, "web02.example.net");
    assert!(schema_takes(&file));
}

#[test]
fn program_and_schema_refuse_the_same() {
    let home = Home::new();
    for inside in [
        "<colector/>",
        "<collector job=\"5\"/>",
        "<collector jobs=\"0\"/>",
        "<collector interval=\"5 min\"/>",
        "<service name=\"x\"/>",
        "<defaults><rule metric=\"cpu.used\" warning=\"97 percent\"/></defaults>",
        "<defaults><host name=\"x\"/></defaults>",
        "<host/>",
        "<host name=\"a b\"/>",
        "<host name=\"a\" port=\"70000\"/>",
        "<host name=\"a\" jump=\"\"/>",
        "<host name=\"a\" use-ssh-config=\"\"/>",
        "<host name=\"a\"><http metod=\"GET\"/></host>",
        "<host name=\"a\"><http url=\"http://h/\" every=\"6\"/></host>",
        "<host name=\"a\"><service><tcp address=\"a:1\"/></service></host>",
        "<host name=\"a\" fingerprint=\"MD5:00\"/>",
        "<ssh unknown-hosts=\"accept-any\"/>",
        "<alerts><to name=\"a\" webhook=\"ftp://x\"/></alerts>",
        "<alerts><route/></alerts>",
        "<consent/>",
        "<consent require=\"yes\"/>",
        "text",
    ] {
        let report = home.bad(inside);
        assert!(report.contains("; nothing was done."), "{report}");
        assert!(!schema_takes(&home.0.path().join("config.xml")), "the schema takes {inside}");
    }
}

#[test]
fn a_mistake_is_shown_with_place_line_and_mended_form() {
    let home = Home::new();
    let report = home.bad(
        "<defaults>\n    <rule metric=\"cpu.used\" critical=\"97 percent\"/>\n    \
         <rule metric=\"cpu.usd\" warning=\"5%\"/>\n  </defaults>",
    );
    let file = home.0.path().join("config.xml").display().to_string();
    let expected = [
        format!("{file}:4:39: error: \"97 percent\" is not a level for cpu.used"),
        " 4 |     <rule metric=\"cpu.used\" critical=\"97 percent\"/>".to_owned(),
        "   |                                       ^^^^^^^^^^ write it as 97%".to_owned(),
        format!("{file}:5:19: error: \"cpu.usd\" is not a metric"),
        " 5 |     <rule metric=\"cpu.usd\" warning=\"5%\"/>".to_owned(),
        "   |                   ^^^^^^^ did you mean \"cpu.used\"?".to_owned(),
        "2 errors, 0 warnings; nothing was done.".to_owned(),
    ];
    assert_eq!(report, expected.join("\n"));
}

#[test]
fn rules_are_inherited_attribute_by_attribute() {
    let home = Home::new();
    let spec = home.good(
        "<defaults><rule metric=\"cpu.used\" warning=\"85%\" clear=\"70%\"/></defaults>
         <group name=\"g\"><rule metric=\"cpu.used\" critical=\"99%\"/>
           <rule metric=\"filesystem.used\" item=\"/var\" critical=\"95%\"/>
           <rule metric=\"filesystem.used\" item=\"/mnt/*\" off=\"true\"/>
           <host name=\"a\"><rule metric=\"cpu.used\" for=\"1m\"/><rule metric=\"memory.used\" off=\"true\"/></host></group>
         <host name=\"b\"/>",
    );
    let cpu = rules(&spec, "a", "cpu.used");
    assert_eq!(cpu.len(), 1);
    assert_eq!((cpu[0].warning, cpu[0].critical, cpu[0].clear), (Some(0.85), Some(0.99), Some(0.7)));
    assert_eq!(cpu[0].hold.unwrap().as_secs(), 60);
    assert_eq!(cpu[0].origins["warning"].line, 3);
    assert_eq!(cpu[0].origins["critical"].line, 4);
    assert_eq!(cpu[0].origins["for"].line, 7);
    assert!(rules(&spec, "a", "memory.used").is_empty());
    assert_eq!(rules(&spec, "b", "memory.used")[0].origins["warning"].line, 0);
    assert_eq!(rules(&spec, "b", "host.silent")[0].critical, Some(1200.0));
    let space = rules(&spec, "a", "filesystem.used");
    assert_eq!(space[0].items, ["/var"]);
    assert_eq!((space[0].warning, space[0].critical), (Some(0.8), Some(0.95)));
    assert_eq!(space[1].not_items, ["/snap/*", "/run/*", "/mnt/*"]);
    assert_eq!(space.len(), 2);
}

#[test]
fn command_lines_are_switched_on_where_somebody_says_so() {
    let home = Home::new();
    let spec = home.good(
        "<host name=\"a\" command-lines=\"true\"/><host name=\"b\"/>
         <group name=\"g\" command-lines=\"true\"><group name=\"h\"><host name=\"c\"/></group>
         <host name=\"d\" command-lines=\"false\"/></group>",
    );
    assert_eq!(spec.hosts.iter().map(|host| host.command_lines).collect::<Vec<_>>(), [true, false, true, false]);
    let spec = home.good("<defaults command-lines=\"true\"/><host name=\"a\"/>");
    assert!(spec.hosts[0].command_lines);
}

#[test]
fn keys_that_sshs_configuration_names_and_that_are_not_there_are_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let keys = "Host *\n  IdentityFile /no/such/key\n  CertificateFile /no/such/cert\n";
    fs::write(dir.path().join("ssh_config"), keys).unwrap();
    let file = dir.path().join("config.xml");
    let told = |more: &str| {
        let host = format!("<host name=\"h[1-3]\" use-ssh-config=\"./ssh_config\"{more}/>");
        fs::write(&file, around(&host)).unwrap();
        config::read(&file).unwrap().warnings.map(|warnings| warnings.to_string()).unwrap_or_default()
    };
    let all = told("");
    let key = "IdentityFile of ssh's configuration: /no/such/key is not there";
    let certificate = "CertificateFile of ssh's configuration: /no/such/cert is not there";
    assert!(all.contains(key) && all.contains(certificate) && all.contains("0 errors, 2 warnings"), "{all}");
    // Where a key is named here, that of ssh's configuration does not matter.
    let own = told(" key-file=\"mine\"");
    assert!(own.contains(certificate) && own.contains("0 errors, 1 warning."), "{own}");
}

#[test]
fn what_cannot_be_meant_is_an_error() {
    let home = Home::new();
    for (inside, says) in [
        ("<host name=\"a\"/><host name=\"a\"/>", "config.xml:3"),
        ("<defaults><rule metric=\"filesystem.used\" scale=\"1.5\"/></defaults>", "not a number over 0 and up to 1"),
        ("<defaults><rule metric=\"cpu.used\" scale=\"0.8\"/></defaults>", "has no size that levels could follow"),
        ("<defaults command-lines=\"yes\"/>", "neither true nor false"),
        ("<group name=\"g\"/><group name=\"g\"/>", "second group"),
        ("<host name=\"a[1-3]\" address=\"b[1-2]\"/>", "3 names but 2 addresses"),
        ("<host name=\"a[1-9999]\"/><host name=\"b[1-9999]\"/>", "over 10000 hosts"),
        ("<defaults><rule metric=\"cpu.used\" warning=\"99%\"/></defaults>", "built in"),
        (
            "<defaults><rule metric=\"filesystem.available\" warning=\"1GiB\" critical=\"5GiB\"/></defaults>",
            "is under critical",
        ),
        ("<defaults><rule metric=\"cpu.used\" clear=\"95%\"/></defaults>", "clear 95%"),
        ("<defaults><rule metric=\"uptime\"/></defaults>", "no level"),
        ("<defaults><rule metric=\"cpu.used\" item=\"/\" warning=\"5%\"/></defaults>", "has no items"),
        ("<defaults><rule metric=\"swap.in\" warning=\"5\"/></defaults>", "it is a rate: write it as 5/s"),
        ("<defaults><rule metric=\"disk.reads\" kind=\"above\" warning=\"5/s\"/></defaults>", "write rate or absent"),
        ("<defaults><rule metric=\"cpu.used\" kind=\"abve\" warning=\"5%\"/></defaults>", "did you mean \"above\"?"),
        (
            "<defaults><rule metric=\"filesystem.available\" kind=\"forecast\" warning=\"4h\"/></defaults>",
            "write metric=\"filesystem.full-in\"",
        ),
        (
            "<defaults><rule metric=\"uptime\" kind=\"absent\" warning=\"5m\" for=\"5m\"/></defaults>",
            "write warning=\"5m\"",
        ),
        (
            "<defaults><rule metric=\"uptime\" kind=\"absent\" warning=\"5m\" clear=\"1m\"/></defaults>",
            "only its return",
        ),
        ("<defaults><rule metric=\"uptime\" kind=\"absent\" warning=\"5\"/></defaults>", "write the unit: 5s, 5m"),
        (
            "<defaults><rule metric=\"load.1m\" kind=\"average\" warning=\"5\" and=\"uptime 1h\"/></defaults>",
            "remove it",
        ),
        (
            "<defaults><rule metric=\"disk.size\" kind=\"average\" warning=\"5\"/></defaults>",
            "cannot have a rule of the kind",
        ),
        ("<defaults><rule metric=\"swap.used\" and-below-free=\"1GiB\"/></defaults>", "goes with filesystem.used"),
        ("<defaults><rule metric=\"memory.used\" and-below-free=\"1GB\"/></defaults>", "write it as 1GiB"),
        ("<defaults><rule metric=\"swap.used\" and=\"swap.in.rate\"/></defaults>", "write it as METRIC LEVEL"),
        ("<defaults><rule metric=\"swap.used\" and=\"swap.in.rat 5/s\"/></defaults>", "did you mean \"swap.in.rate\"?"),
        ("<defaults><rule metric=\"swap.used\" and=\"swap.in.rate 5\"/></defaults>", "write it as 5/s"),
        (
            "<defaults><rule metric=\"cpu.used\" and=\"pressure.some 50%\"/></defaults>",
            "name one: pressure.some[RESOURCE] 50%",
        ),
        ("<defaults><rule metric=\"cpu.used\" unless=\"load.1m[x] 5\"/></defaults>", "write it as load.1m 5"),
        ("<web listen=\"127.0.0.1\"/>", "write 127.0.0.1:8980"),
        ("<web listen=\"0.0.0.0:80\"/>", "nobody would have to sign in"),
        ("<web hosts=\"https://fleet\"/>", "without http:// and port"),
        ("<web tls-cert=\"a.pem\"/>", "belong together"),
        ("<web><user name=\"a\"/></web>", "give password-hash-file"),
        (
            "<web><user name=\"a\" password-hash-env=\"A\"/><user name=\"a\" password-hash-env=\"A\"/></web>",
            "a second <user>",
        ),
        ("<web><token token-env=\"A\"/></web>", "has no name="),
        ("<web><user name=\"a\" pasword-hash-file=\"x\"/></web>", "did you mean \"password-hash-file\"?"),
        ("<host name=\"a\" adress=\"x\"/>", "did you mean \"address\"?"),
        ("<store url=\"postgres://fleet:hunter2@db/fleet\"/>", "later version"),
        ("<store url=\"memory:\"/>", "keeps nothing"),
        ("<store url=\"memory\"/>", "names no backend"),
        ("<include file=\"none.xml\"/>", "no such file"),
        ("<include file=\"config.xml\"/>", "included twice"),
        ("<alerts><to name=\"ops\" directory=\"m\"/><route to=\"opps\"/></alerts>", "did you mean \"ops\"?"),
        ("<alerts><to name=\"ops\" mail=\"a@b\"/></alerts>", "no mail server"),
        ("<alerts time-zone=\"Europe/Pariss\"/>", "did you mean \"Europe/Paris\"?"),
        ("<alerts><to name=\"a\" mail=\"a@b\" webhook=\"https://x\"/></alerts>", "exactly one of mail="),
        ("<alerts><to name=\"a\" webhook=\"https://x\" format=\"jsn\"/></alerts>", "did you mean \"json\"?"),
        ("<alerts><to name=\"a\" webhook=\"https://u:hunter2@x/\"/></alerts>", "not an address to ask for"),
        ("<alerts><to name=\"a\" webhook=\"http://x/\" token-file=\"t\"/></alerts>", "a token over a line without TLS"),
        ("<alerts><to name=\"a\" directory=\"m\" token-env=\"T\"/></alerts>", "token-env= goes with webhook="),
        ("<alerts><to name=\"a\" mail=\"a@b\" sendmail=\"sendmail\" from=\"c@d\"/></alerts>", "not an absolute path"),
        ("<alerts><to name=\"a\" mail=\"a@b\" sendmail=\"/bin/s\"/></alerts>", "sendmail= without a sender"),
        (
            "<group name=\"a\"><group name=\"b\"><group name=\"c\"><group name=\"d\"><group name=\"e\"/></group></group>\
             </group></group>",
            "over 4 deep",
        ),
    ] {
        let report = home.bad(inside);
        assert!(report.contains(says), "{inside}\n{report}");
        assert!(!report.contains("hunter2"), "{report}");
    }
}

#[test]
fn services_are_inherited_per_service_per_check_and_per_attribute() {
    let home = Home::new();
    home.write("check.sh", "#!/bin/sh\nexit 0\n", 0o644);
    let spec = home.good(
        "<defaults><service name=\"nginx\" unit=\"nginx\"><rule metric=\"unit.memory\" warning=\"1GiB\"/></service></defaults>
         <group name=\"g\">
           <service name=\"cache\" min-healthy=\"2\">
             <redis address=\"127.0.0.1:6379\" password-env=\"REDIS_PW\" timeout=\"2s\"/>
             <http name=\"page\" url=\"http://127.0.0.1/\"/>
             <rule metric=\"redis.hit-ratio\" warning=\"90%\"/>
             <rule metric=\"http.latency\" item=\"page\" warning=\"1s\"/>
           </service>
           <host name=\"a\">
             <service name=\"cache\" description=\"near\"><redis socket=\"/run/redis.sock\" every=\"6h\"/>
               <http name=\"page\" off=\"true\"/><rule metric=\"redis.hit-ratio\" critical=\"70%\"/></service>
             <service name=\"nginx\" off=\"true\"/>
             <nagios name=\"disk\" script=\"check.sh\"/>
           </host>
           <host name=\"b\"/>
         </group>",
    );
    let names = |host: &str| -> Vec<String> {
        let services = &spec.host(host).unwrap().services;
        let checks =
            |service: &ServiceSpec| service.checks.iter().map(|check| check.label().to_owned()).collect::<Vec<_>>();
        services.iter().map(|service| format!("{}: {}", service.name, checks(service).join(" "))).collect()
    };
    assert_eq!(names("a"), ["cache: redis", "disk: nagios"]);
    assert_eq!(names("b"), ["nginx: unit", "cache: redis page"]);
    let cache = &spec.host("a").unwrap().services[0];
    assert_eq!((cache.min_healthy, cache.description.as_str()), (Some(2), "near"));
    assert_eq!((cache.origins["min-healthy"].line, cache.origins["description"].line), (5, 12));
    let redis = &cache.checks[0];
    // The nearer socket= takes the place of the farther address=; what it does not say stays.
    assert_eq!(redis.attributes.keys().map(String::as_str).collect::<Vec<_>>(), ["socket"]);
    assert_eq!((redis.timeout.as_secs(), redis.every.unwrap().as_secs()), (2, 21_600));
    assert_eq!(
        (redis.origins["timeout"].line, redis.origins["socket"].line, redis.origins["password"].line),
        (6, 12, 6)
    );
    assert_eq!(spec.host("a").unwrap().services[1].checks[0].script, Some(home.0.path().join("check.sh")));
    assert_eq!(spec.host("b").unwrap().services[0].checks[0].attributes["unit"], "nginx.service");
    // Rules of a service hold for its readings only.
    let ratio = rules(&spec, "a", "redis.hit-ratio");
    assert_eq!((ratio[0].warning, ratio[0].critical), (Some(0.9), Some(0.7)));
    assert_eq!(ratio[0].items, ["cache", "cache/*"]);
    assert_eq!(rules(&spec, "b", "http.latency")[0].items, ["cache/page"]);
    assert_eq!(rules(&spec, "b", "unit.memory")[0].items, ["nginx", "nginx/*"]);
    assert_eq!(rules(&spec, "b", "check.ok")[0].critical, Some(0.0));
    let spec = home.good(
        "<group name=\"g\"><service name=\"shop\"><rule metric=\"cpu.used\" kind=\"average\" warning=\"80%\"/></service>
         <host name=\"a\"/></group>",
    );
    let named = |name: &str| spec.hosts[0].rules.iter().find(|rule| rule.name == name).unwrap();
    let mean = named("cpu.used.average");
    assert_eq!((mean.items.as_slice(), mean.warning), (["shop".to_owned()].as_slice(), Some(0.8)));
    assert_eq!(named("cpu.used").warning, Some(0.9), "each server is judged as before");
}

#[test]
fn mistakes_in_checks_are_shown_where_they_are() {
    let home = Home::new();
    let within = |inside: &str| format!("<host name=\"a\"><service name=\"s\">{inside}</service></host>");
    for (inside, says) in [
        ("<http/>", "none of url="),
        ("<http url=\"127.0.0.1:80\"/>", "is not a URL"),
        ("<http url=\"http://u:p@h/\"/>", "URL with a login"),
        ("<http url=\"http://h/\" expect=\"2xx\"/>", "not an HTTP status"),
        ("<http url=\"http://h/\" metod=\"HEAD\"/>", "did you mean \"method\"?"),
        ("<http url=\"http://h/\" method=\"head\"/>", "did you mean \"HEAD\"?"),
        ("<http url=\"http://h/\" timeout=\"20s\"/>", "not under the 20s of a host"),
        ("<http url=\"http://h/\" every=\"6\"/>", "write the unit"),
        ("<redis address=\"127.0.0.1\"/>", "has no port"),
        ("<redis address=\"a:1\" socket=\"/s\"/>", "several of address=, socket="),
        ("<redis socket=\"run/s\"/>", "not an absolute path"),
        ("<redis address=\"a:1\" password=\"hunter2\"/>", "chmod 600"),
        ("<redis address=\"a:1\" password-file=\"x\" password-env=\"X\"/>", "several sources"),
        ("<redis address=\"a:1\"/><redis address=\"b:1\"/>", "a second <redis>"),
        ("<redis name=\"x\" address=\"a:1\"/><tcp name=\"x\" address=\"b:1\"/>", "a second check \"x\""),
        ("<nagios plugin=\"check_load\"/>", "not an absolute path"),
        ("<nagios script=\"none.sh\"/>", "cannot be read"),
        ("<prometheus url=\"http://h/\" series=\"a{b\"/>", "names no series"),
        ("<redis socket=\"/run/*.sock\"/>", "holds a wildcard"),
        ("<certificate/>", "none of files=, address="),
        ("<tcp address=\"a:1\"><rule metric=\"tcp.latency\"/></tcp>", "cannot stand in <tcp>"),
        ("<rule metric=\"cpu.used\" warning=\"5%\"/>", "or add kind=\"average\" for the mean over the servers"),
        ("<rule metric=\"disk.size\" warning=\"5GiB\"/>", "no reading of a service"),
        ("<tcp address=\"a:1\" off=\"true\"/>", "together with other attributes"),
        ("<host name=\"b\"/>", "cannot stand in <service>"),
        ("<mysql address=\"a:1\"/>", "unknown element <mysql>"),
    ] {
        let report = home.bad(&within(inside));
        assert!(report.contains(says), "{inside}\n{report}");
        assert!(report.contains("config.xml:3:") && !report.contains("hunter2"), "{report}");
    }
    let twice = home.bad("<host name=\"a\"><tcp address=\"a:1\"/><tcp address=\"b:1\"/></host>");
    assert!(twice.contains("a second service \"tcp\""), "{twice}");
    let many: String = (0..65).map(|n| format!("<tcp name=\"t{n}\" address=\"a:1\"/>")).collect();
    assert!(home.bad(&format!("<host name=\"a\">{many}</host>")).contains("over 64 checks"));
}

#[test]
fn the_schema_knows_every_check_and_its_attributes() {
    let schema = std::fs::read_to_string(root().join("config.xsd")).unwrap();
    for kind in KINDS {
        let start =
            schema.find(&format!("<xs:complexType name=\"{}\">", kind.name)).unwrap_or_else(|| panic!("{}", kind.name));
        let text = &schema[start..start + schema[start..].find("</xs:complexType>").unwrap()];
        let mut typed: Vec<String> = Vec::new();
        for part in text.split("<xs:attribute name=\"").skip(1) {
            typed.push(part.split('"').next().unwrap().to_owned());
        }
        let groups = ["password", "check"].map(|group| text.contains(&format!("ref=\"{group}\"")));
        let secret = kind.attributes.iter().any(|attribute| attribute.shape == Shape::Secret);
        assert_eq!(groups, [secret, true], "{}", kind.name);
        let plain = kind.attributes.iter().filter(|attribute| attribute.shape != Shape::Secret);
        assert_eq!(typed, plain.map(|attribute| attribute.name).collect::<Vec<_>>(), "{}", kind.name);
        assert!(schema.contains(&format!("<xs:element name=\"{0}\" type=\"{0}\"/>", kind.name)));
    }
}

#[test]
fn an_inline_secret_needs_a_private_file_and_is_never_shown() {
    let home = Home::new();
    let text = around("<host name=\"a\" password=\"hunter2\"/>");
    let report = config::load(&home.write("config.xml", &text, 0o644)).unwrap_err().to_string();
    assert!(report.contains("chmod 600") && !report.contains("hunter2"), "{report}");
    let spec = config::load(&home.write("config.xml", &text, 0o600)).unwrap();
    assert!(!format!("{spec:?}").contains("hunter2"));
    for broken in ["<host name=\"a\" nme=\"b\" pasword=\"hunter2\"/>", "<host password=\"hunter2\" x/>"] {
        let report = home.bad(broken);
        assert!(!report.contains("hunter2"), "{report}");
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let text = std::fs::read_to_string(root().join("config.xml")).unwrap();
    let home = Home::new();
    let bytes = text.trim_end().as_bytes();
    // Everywhere around markup, and here and there within words.
    let markup = |cut: usize| {
        let near = &bytes[cut.saturating_sub(2)..(cut + 2).min(bytes.len())];
        near.iter().any(|byte| b"<>=\"/!?&".contains(byte))
    };
    for cut in (0..bytes.len()).filter(|cut| markup(*cut) || cut % 16 == 0) {
        let file = home.write("config.xml", &text.as_bytes()[..cut], 0o644);
        let report = config::load(&file).expect_err(&format!("cut at {cut}"));
        assert!(report.errors() > 0 && report.to_string().contains("nothing was done"));
    }
}

#[test]
fn bombs_are_bounded() {
    let home = Home::new();
    let entity = "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><fleet-health version=\"1\"/>";
    let huge = format!("<fleet-health version=\"1\"><host name=\"{}\"/></fleet-health>", "x".repeat(1_000_000));
    let many: String = (0..500_000).map(|_| " a=\"\"").collect();
    let binary = [b"<fleet-health version=\"1\">".as_slice(), &[0xff, 0xfe, 0]].concat();
    for (text, says) in [
        (entity.as_bytes().to_vec(), "DOCTYPE is refused"),
        (b"<fleet-health version=\"1\">".iter().copied().chain("<group>".repeat(100_000).bytes()).collect(), "levels"),
        (huge.into_bytes(), "a value over"),
        (format!("<fleet-health version=\"1\"{many}/>").into_bytes(), "given twice"),
        (vec![b' '; 4 * 1024 * 1024 + 1], "over 4 MiB"),
        (binary, "not UTF-8"),
        (Vec::new(), "no element"),
    ] {
        let report = config::load(&home.write("config.xml", text, 0o644)).unwrap_err().to_string();
        assert!(report.contains(says), "{says}: {}", report.chars().take(500).collect::<String>());
        assert!(report.len() < 100_000);
    }
}

#[test]
fn includes_bring_hosts_with_paths_of_their_own() {
    let home = Home::new();
    let file = "<fleet-health version=\"1\"><host name=\"two\" key-file=\"id\"/></fleet-health>";
    home.write("conf.d/b.xml", file, 0o644);
    home.write("conf.d/a.xml", "<fleet-health version=\"1\"><host name=\"one\"/></fleet-health>", 0o644);
    home.write("conf.d/a.xml~", "garbage", 0o644);
    let spec = home.good("<include file=\"conf.d/*.xml\"/>");
    let names: Vec<&str> = spec.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    let Transport::Ssh(two) = &spec.hosts[1].transport else { panic!("two is over SSH") };
    assert_eq!(two.key_files, [home.0.path().join("conf.d/id")]);
    assert!(two.user == "fleet" && spec.hosts[1].origin.file.ends_with("conf.d/b.xml"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_makes_it_panic(text in r#"[<>/a-z "'=\n!\[\]&;%0-9é-]{0,120}"#, at in 0usize..2000) {
        let home = Home::new();
        let mut whole = std::fs::read_to_string(root().join("config.xml")).unwrap();
        let mut at = at.min(whole.len());
        while !whole.is_char_boundary(at) {
            at -= 1;
        }
        whole.insert_str(at, &text);
        if let Err(report) = config::load(&home.write("config.xml", whole, 0o644)) {
            let _ = report.to_string();
        }
        if let Err(report) = config::load(&home.write("config.xml", around(&text), 0o644)) {
            let _ = report.to_string();
        }
    }
}

#[test]
fn rules_have_kinds_and_conditions_that_are_inherited_one_by_one() {
    let home = Home::new();
    let spec = home.good(
        "<defaults>
           <rule metric=\"network.receive.bytes\" warning=\"5MiB/s\"/>
           <rule metric=\"network.receive.bytes\" kind=\"absent\" item=\"eth0\" critical=\"10m\"/>
           <rule metric=\"swap.used\" and=\"none\"/>
         </defaults>
         <host name=\"a\">
           <rule metric=\"filesystem.used\" item=\"/srv\" warning=\"70%\"/>
           <rule metric=\"filesystem.full-in\" warning=\"48h\"/>
           <rule metric=\"cpu.used\" warning=\"80%\"/>
         </host>
         <host name=\"b\"><rule metric=\"network.receive.bytes\" kind=\"absent\" off=\"true\"/></host>
         <host name=\"c\"><rule metric=\"network.receive.bytes\" off=\"true\"/></host>",
    );
    let bytes = rules(&spec, "a", "network.receive.bytes");
    assert_eq!(
        bytes.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(),
        ["network.receive.bytes.absent", "network.receive.bytes"]
    );
    assert_eq!((bytes[0].critical, bytes[1].warning), (Some(600.0), Some(5.0 * 1024.0 * 1024.0)));
    assert_eq!(rules(&spec, "b", "network.receive.bytes").len(), 1);
    assert!(rules(&spec, "c", "network.receive.bytes").is_empty());
    let conditions = |host: &str, metric: &str| -> Vec<Vec<String>> {
        let shown = |rule: &&RuleSpec| rule.conditions.iter().map(config::show_condition).collect();
        rules(&spec, host, metric).iter().map(shown).collect()
    };
    assert_eq!(conditions("b", "filesystem.used"), [["10GiB", "filesystem.available 5GiB", "filesystem.readonly 1"]]);
    // Who writes a level means it; what ships for the other items stays as it is.
    assert_eq!(
        conditions("a", "filesystem.used"),
        [
            vec!["filesystem.available 5GiB", "filesystem.readonly 1"],
            vec!["10GiB", "filesystem.available 5GiB", "filesystem.readonly 1"]
        ]
    );
    assert_eq!(conditions("a", "filesystem.full-in"), [["filesystem.used 60%", "filesystem.used 80%"]]);
    assert_eq!(conditions("a", "cpu.used"), [["pressure.some[cpu] 50%"]]);
    assert_eq!(conditions("a", "swap.used"), [Vec::<String>::new()]);
}

/// What the documentation tells to write is taken as it stands, by us and by the schema.
#[test]
fn recipes_of_the_documentation_of_checks_can_be_copied() {
    let text = std::fs::read_to_string(root().join("docs/checks.md")).unwrap();
    let blocks = |language: &str| -> Vec<String> {
        let begin = format!("```{language}\n");
        text.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
    };
    let home = Home::new();
    home.write("mailq.sh", &blocks("sh")[0], 0o644);
    let (recipes, whole): (Vec<String>, Vec<String>) =
        blocks("xml").into_iter().partition(|block| block.starts_with("<service"));
    assert_eq!((recipes.len(), whole.len()), (2, 1));
    let spec = home.good(&format!("<defaults>{}</defaults>{}", recipes.concat(), whole.concat()));
    assert!(schema_takes(&home.0.path().join("config.xml")));
    let services: Vec<&str> = spec.hosts[0].services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(services, ["backup", "mail", "shop"]);
    assert!(rules(&spec, "web01", "file.largest").iter().any(|rule| rule.warning.is_some()));
}
