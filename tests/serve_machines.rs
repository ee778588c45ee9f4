//! What programs read of `fleet serve`: metrics by real Prometheus, the API by schemathesis, thousands of hosts, and names
//! that hosts made up to break out.
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
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use fleet_health::model::level::Level;
use fleet_health::store::Store;
use serde_json::Value;

use support::run::{Owned, Said, free_port, must, until};
use support::web::{ACTS, Home, READS, ago, fill, hosts, problem, sample, visit};

/// What a host may call itself and its things: markup, quotes, escapes of labels, formulas.
const HOSTILE: &str = r#"<script>alert(1)</script> "} 1 \n\" =cmd|'/c' &amp; {{7*7}} ${x}"#;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn venv(program: &str) -> PathBuf {
    root().join("target/venv/bin").join(program)
}

/// Runs a program with a text as its input.
fn piped(command: &mut Command, input: &str) -> Said {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.as_mut().unwrap_or_else(|error| panic!("{command:?}: {error}; install it with: make deps"));
    let mut stdin = child.stdin.take().unwrap();
    let text = input.to_owned();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, text.as_bytes()));
    let (mut out, mut err) = (String::new(), String::new());
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut out).unwrap();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut err).unwrap();
    let _ = writer.join();
    Said { code: child.wait().unwrap().code(), out, err }
}

fn filled(names: &[&str], hostname: &str, item: &str) -> Home {
    let service = "<service name=\"shop\"><http url=\"http://127.0.0.1/\"/></service>";
    let list: String = names
        .iter()
        .map(|name| format!("<host name=\"{name}\" address=\"127.0.0.1\" user=\"nobody\">{service}</host>"))
        .collect();
    let home = Home::new(&format!("{list}{}", Home::web("")));
    fill(&mut home.store(), names, 3, hostname, item);
    home
}

#[test]
fn promtool_takes_the_metrics_whatever_hosts_call_their_things() {
    let home = filled(&["web01", "web02"], HOSTILE, HOSTILE);
    home.store().commit_evaluation(&problem(1, "web01", HOSTILE, Level::Critical)).unwrap();
    let server = home.serve();
    let text = server.get("/metrics");
    assert!(text.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"), "{text:?}");
    let own = server.get("/metrics?part=own").body;
    let said = piped(Command::new("promtool").args(["check", "metrics"]), &own);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{own}");
    // Of node_exporter's own names promtool dislikes some; that they are node_exporter's is what counts.
    let said = piped(Command::new("promtool").args(["check", "metrics"]), &text.body);
    let strange: Vec<&str> = said
        .err
        .lines()
        .filter(|line| !(line.starts_with("node_") && (line.contains("camelCase") || line.contains("snake_case"))))
        .collect();
    assert!(strange.is_empty() && !text.body.is_empty(), "{strange:?}\n{}", text.body);
    let lines: Vec<&str> = text.body.lines().filter(|line| line.starts_with("node_filesystem_size_bytes")).collect();
    assert_eq!(lines.len(), 2, "one line for each host: {lines:?}");
    assert!(lines[0].contains(r#"mountpoint="<script>alert(1)</script> \"} 1 \\n\\\""#), "{}", lines[0]);
    // Time of the sample, in milliseconds, not of the scrape.
    let stamp: i64 = lines[0].rsplit(' ').next().unwrap().parse().unwrap();
    assert!((ago(0).timestamp_millis() - stamp).abs() < 600_000, "{stamp}");
    // Whoever asks for OpenMetrics gets it, by its own reference.
    let bearer = format!("Bearer {READS}");
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let open = server.send("GET", "/metrics", &[("authorization", &bearer), ("accept", accept)], "");
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text"), "{open:?}");
    let script = "import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as read\n\
                  print(len(list(read(sys.stdin.read()))))";
    let said = piped(Command::new(venv("python")).args(["-c", script]), &open.body);
    assert!(said.code == Some(0) && said.out.trim().parse::<u32>().unwrap() > 40, "{}{}", said.out, said.err);
    // Some of the hosts, or a filter that is none.
    let some = server.get("/metrics?filter=web02&part=hosts").body;
    assert!(some.contains("instance=\"web02\"") && !some.contains("instance=\"web01\"") && !some.contains("fleet_"));
    assert_eq!(server.get("/metrics?filter=level%3E%3Dawful").status, 422);
    assert_eq!(server.get("/metrics?part=x").status, 400);
}

#[test]
fn hostile_names_are_texts_in_json_and_pages() {
    let home = filled(&["web01"], HOSTILE, HOSTILE);
    home.store().commit_evaluation(&problem(1, "web01", HOSTILE, Level::Critical)).unwrap();
    let server = home.serve();
    for path in
        ["/api/v1/hosts", "/api/v1/hosts/web01", "/api/v1/incidents", "/api/v1/incidents/1", "/api/v1/hosts/web01/top"]
    {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{path}");
        assert!(reply.json().to_string().contains("<script>"), "{path}: as it was said, for no browser runs JSON");
    }
    let page = server.get("/");
    assert!(page.status == 200 && !page.body.contains("<script>alert"), "{}", page.body);
    let name = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for path in [format!("/api/v1/hosts/{name}"), format!("/{name}"), format!("/api/v1/hosts?filter={name}%3D%3D")] {
        let bearer = format!("Bearer {READS}");
        let reply = server.send("GET", &path, &[("authorization", &bearer), ("accept", "text/html")], "");
        assert!(reply.status >= 400, "{path}");
        let html = reply.header("content-type").unwrap().starts_with("text/html");
        assert!(!html || !reply.body.contains("<script>alert"), "{path}: {}", reply.body);
    }
}

/// A real Prometheus that scrapes a server of ours.
struct Prometheus {
    port: u16,
    _child: Owned,
}

impl Prometheus {
    fn start(home: &Home, port: u16) -> Self {
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: fleet\n  \
             honor_labels: true\n  authorization: {{credentials_file: {}}}\n  \
             static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n",
            home.path("reads.token").display()
        );
        let file = home.write("prometheus.yml", &config);
        must("promtool", &["check", "config", &file.display().to_string()]);
        let own = free_port();
        let log = fs::File::create(home.path("prometheus.log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", home.path("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{own}"))
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { port: own, _child: Owned(child) }
    }

    /// The result of a query; empty while it does not listen yet.
    fn ask(&self, query: &str) -> Vec<Value> {
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let query = format!("query={query}");
        let args = ["-s", "--max-time", "20", "--data-urlencode", &query, &url];
        let said: Value = serde_json::from_str(&support::run::system("curl", &args).out).unwrap_or_default();
        assert_ne!(said["status"], "error", "{query}: {said}");
        said["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    fn number(&self, query: &str) -> f64 {
        let found = self.ask(query);
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        found[0]["value"][1].as_str().unwrap().parse().unwrap()
    }
}

#[test]
fn prometheus_scrapes_it_and_the_dashboards_of_grafana_find_what_they_ask_for() {
    let home = filled(&["web01"], "web01", "/");
    let server = home.serve();
    let prometheus = Prometheus::start(&home, server.port);
    let count = || prometheus.ask("count_over_time(node_load1{instance=\"web01\"}[30m])");
    until("a first scrape", Duration::from_secs(120), || !count().is_empty());
    // A rate needs a second sample, which comes with the next visit.
    let mut store = home.store();
    let sweep = store.begin_sweep(ago(0), 1).unwrap();
    store.record(sweep, &visit("web01", ago(0)), &[sample(3, ago(0), "web01", "/")]).unwrap();
    store.end_sweep(sweep, ago(0), 0).unwrap();
    until("a second sample", Duration::from_secs(120), || {
        count().first().is_some_and(|found| found["value"][1].as_str() != Some("1"))
    });
    assert_eq!(prometheus.number("up"), 1.0);
    // Our own dashboard: each panel has something to show.
    let text = fs::read_to_string(root().join("contrib/grafana/fleet-health.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut asked = 0;
    for target in panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten() {
        let query = target["expr"].as_str().unwrap().replace("$instance", ".*").replace("$__rate_interval", "30m");
        assert!(!prometheus.ask(&query).is_empty(), "nothing to show: {query}");
        asked += 1;
    }
    assert!(asked > 20, "{asked}");
    let variable = dashboard["templating"]["list"][1]["definition"].as_str().unwrap();
    assert_eq!(variable, "label_values(fleet_host_level, instance)");
    // The first rows of the dashboard that most people use (Grafana 1860, "Node Exporter Full"), with its own words.
    let node =
        |query: &str| query.replace("$node", "web01").replace("$job", "fleet").replace("$__rate_interval", "30m");
    for query in [
        "irate(node_pressure_cpu_waiting_seconds_total{instance=\"$node\",job=\"$job\"}[$__rate_interval])",
        "irate(node_pressure_memory_waiting_seconds_total{instance=\"$node\",job=\"$job\"}[$__rate_interval])",
        "irate(node_pressure_io_waiting_seconds_total{instance=\"$node\",job=\"$job\"}[$__rate_interval])",
        "node_time_seconds{instance=\"$node\",job=\"$job\"} - node_boot_time_seconds{instance=\"$node\",job=\"$job\"}",
        "sum by(instance) (irate(node_cpu_seconds_total{instance=\"$node\",job=\"$job\", mode=\"iowait\"}[$__rate_interval])) \
         / on(instance) group_left sum by (instance)((irate(node_cpu_seconds_total{instance=\"$node\",job=\"$job\"}[$__rate_interval])))",
        "node_memory_MemTotal_bytes{instance=\"$node\",job=\"$job\"} - node_memory_MemFree_bytes{instance=\"$node\",job=\"$job\"} \
         - (node_memory_Cached_bytes{instance=\"$node\",job=\"$job\"} + node_memory_Buffers_bytes{instance=\"$node\",job=\"$job\"} \
         + node_memory_SReclaimable_bytes{instance=\"$node\",job=\"$job\"})",
        "(node_memory_SwapTotal_bytes{instance=\"$node\",job=\"$job\"} - node_memory_SwapFree_bytes{instance=\"$node\",job=\"$job\"})",
        "irate(node_network_receive_bytes_total{instance=\"$node\",job=\"$job\"}[$__rate_interval])*8",
        "100 - ((node_filesystem_avail_bytes{instance=\"$node\",job=\"$job\",device!~'rootfs'} * 100) \
         / node_filesystem_size_bytes{instance=\"$node\",job=\"$job\",device!~'rootfs'})",
        "node_filesystem_size_bytes{instance=\"$node\",job=\"$job\",mountpoint=\"/\",fstype!=\"rootfs\"}",
        "node_uname_info{job=\"$job\", nodename=\"$node\"}",
        // Further down: memory as a stack, sensors by the names of their chips, arrays, processes and units by state.
        "node_memory_MemTotal_bytes{instance=\"$node\",job=\"$job\"} - node_memory_MemFree_bytes{instance=\"$node\",job=\"$job\"} \
         - node_memory_Buffers_bytes{instance=\"$node\",job=\"$job\"} - node_memory_Cached_bytes{instance=\"$node\",job=\"$job\"} \
         - node_memory_Slab_bytes{instance=\"$node\",job=\"$job\"} - node_memory_PageTables_bytes{instance=\"$node\",job=\"$job\"} \
         - node_memory_SwapCached_bytes{instance=\"$node\",job=\"$job\"}",
        "node_memory_HardwareCorrupted_bytes{instance=\"$node\",job=\"$job\"}",
        "node_hwmon_temp_celsius{instance=\"$node\",job=\"$job\"} * on(chip) group_left(chip_name) \
         node_hwmon_chip_names{instance=\"$node\",job=\"$job\"}",
        "node_hwmon_fan_rpm{instance=\"$node\",job=\"$job\"}",
        "node_md_disks{instance=\"$node\",job=\"$job\",state=\"failed\"}",
        "node_processes_state{instance=\"$node\",job=\"$job\",state=\"Z\"}",
        "node_systemd_units{instance=\"$node\",job=\"$job\",state=\"failed\"}",
    ] {
        assert!(!prometheus.ask(&node(query)).is_empty(), "nothing to show: {}", node(query));
    }
    let cpus = node("count(count(node_cpu_seconds_total{instance=\"$node\",job=\"$job\"}) by (cpu))");
    assert_eq!(prometheus.number(&cpus), 2.0);
    // Idle for 1.69 of two processors' time.
    let busy =
        node("100 * (1 - avg(rate(node_cpu_seconds_total{mode=\"idle\", instance=\"$node\"}[$__rate_interval])))");
    let per_second = node("rate(node_network_receive_bytes_total{instance=\"$node\"}[$__rate_interval])");
    let (busy, received) = (prometheus.number(&busy), prometheus.number(&per_second));
    assert!(busy < 100.0 && received > 0.0, "{busy} {received}");
}

#[test]
fn schemathesis_finds_the_api_to_be_as_its_document_says() {
    let home = filled(&["web01", "db1"], "web01", "/");
    home.store().commit_evaluation(&problem(1, "web01", "/", Level::Critical)).unwrap();
    let server = home.serve();
    let said = Said::of(
        Command::new(venv("st"))
            .arg("--config-file")
            .arg(root().join("tests/data/schemathesis.toml"))
            .args(["run", &format!("{}/api/v1/openapi.json", server.url), "--header"])
            .arg(format!("Authorization: Bearer {ACTS}"))
            .args([
                "--checks",
                "all",
                "--max-examples",
                "15",
                "--seed",
                "7",
                "--no-color",
                "--suppress-health-check",
                "all",
            ])
            .args(["--generation-database", "none", "--request-timeout", "60", "--warnings", "off"])
            .current_dir(home.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("schemathesis: {error}; install it with: make deps")),
    );
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    assert!(said.out.contains("13 selected / 13 total"), "all of it was tried: {}", said.out);
}

#[test]
fn five_thousand_hosts_are_listed_filtered_and_scraped() {
    let names: Vec<String> = (0..5000).map(|n| format!("h{n:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // In memory: five thousand commits wait for no disk.
    let home = Home::below("/dev/shm", &format!("{}{}", hosts(&names), Home::web("")));
    fill(&mut home.store(), &names, 1, "h", "/");
    home.store().commit_evaluation(&problem(1, "h4321", "/", Level::Critical)).unwrap();
    let server = home.serve();
    let list = server.get("/api/v1/hosts?limit=10").json();
    assert_eq!((&list["total"], &list["rows"][0]["host"]), (&5000.into(), &"h4321".into()), "worst first");
    assert_eq!(list["rows"].as_array().unwrap().len(), 10);
    let some = server.get("/api/v1/hosts?filter=h12*%20cpu%3E20%25&offset=95").json();
    assert_eq!((&some["total"], some["rows"].as_array().unwrap().len()), (&100.into(), 5));
    assert_eq!(server.get("/api/v1/hosts/h4999").json()["host"]["host"], "h4999");
    assert_eq!(server.get("/").status, 200);
    let text = server.get("/metrics").body;
    assert_eq!(text.lines().filter(|line| line.starts_with("node_load1{")).count(), 5000);
    assert_eq!(text.lines().filter(|line| line.starts_with("fleet_host_level{")).count(), 5000);
    // Packed it is a tenth.
    let url = format!("{}/metrics", server.url);
    let bearer = format!("Authorization: Bearer {READS}");
    let args = ["-s", "-H", &bearer, "-H", "Accept-Encoding: gzip", "-o", "/dev/null", "-w", "%{size_download}", &url];
    let packed: usize = must("curl", &args).trim().parse().unwrap();
    assert!(packed * 10 < text.len(), "{packed} of {}", text.len());
}
