//! Containers as docker or podman know them, where this user may ask their socket; who may not, and every other runtime,
//! is told of by cgroups alone.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::out::Out;
use super::root::Root;
use crate::model::sample::FaultKind;

/// Where the runtimes listen.
const SOCKETS: [(&str, &str); 2] = [("docker", "/run/docker.sock"), ("podman", "/run/podman/podman.sock")];
const PATIENCE: Duration = Duration::from_secs(3);
const MAX_ANSWER: u64 = 1 << 20;
const MAX_CONTAINERS: usize = 64;
/// The most containers that are asked for their restarts, each by itself.
const MAX_ASKED: usize = 16;

/// One of the list.
struct Container<'a> {
    id: &'a str,
    name: &'a str,
    image: &'a str,
    state: &'a str,
    status: &'a str,
}

impl<'a> Container<'a> {
    fn of(value: &'a Value) -> Self {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = value.get("Names").and_then(|names| names.get(0)?.as_str()).unwrap_or_else(|| text("Id"));
        let name = name.trim_start_matches('/');
        Self { id: text("Id"), name, image: text("Image"), state: text("State"), status: text("Status") }
    }
}

pub(super) fn collect(root: &Root, out: &mut Out) {
    let mut asked = false;
    for (runtime, socket) in SOCKETS {
        if !root.path(socket).exists() {
            continue;
        }
        asked = true;
        let end = Instant::now() + PATIENCE;
        match get(root, socket, "/containers/json?all=1", end) {
            Ok(Value::Array(list)) => put(root, (runtime, socket), &list, end, out),
            Ok(_) => out.malformed(runtime, format!("{socket}: not a list of containers")),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let text = format!("{socket}: for root and its group only, who may do all that root may");
                out.fault(runtime, FaultKind::Denied, text);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                out.fault(runtime, FaultKind::Hung, format!("{socket}: no answer within {} s", PATIENCE.as_secs()));
            }
            // Nobody listens: the socket was left behind.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                out.fault(runtime, FaultKind::Absent, format!("{socket}: nobody listens there"));
            }
            Err(error) => out.unread(runtime, socket, &error),
        }
    }
    if !asked {
        out.fault("", FaultKind::Absent, "neither docker nor podman listens here");
    }
}

fn put(root: &Root, (runtime, socket): (&str, &str), list: &[Value], end: Instant, out: &mut Out) {
    if list.len() > MAX_CONTAINERS {
        out.fault(runtime, FaultKind::Cut, format!("{} containers, {MAX_CONTAINERS} are told of", list.len()));
    }
    let mut names: Vec<String> = Vec::new();
    let mut running = 0;
    for container in list.iter().take(MAX_CONTAINERS).map(Container::of) {
        let item = format!("{runtime}/{}", container.name);
        if names.contains(&item) {
            continue;
        }
        names.push(item.clone());
        out.whole("container.alarm", &item, alarm(&container));
        out.fact("container.image", &item, container.image);
        running += 1;
        let id = container.id.bytes().all(|b| b.is_ascii_hexdigit());
        if id && matches!(container.state, "running" | "restarting") && running <= MAX_ASKED {
            let particulars = get(root, socket, &format!("/containers/{}/json", container.id), end);
            // Gone since it was listed: no fault.
            if let Some(count) = particulars.ok().and_then(|it| it.get("RestartCount")?.as_u64()) {
                out.whole("container.restarts", &item, count);
            }
        }
    }
}

/// `Up 3 hours (unhealthy)`, `Exited (137) 2 days ago`.
fn alarm(container: &Container) -> u64 {
    let exited_well = container.status.starts_with("Exited (0)");
    match container.state {
        "dead" | "restarting" => 2,
        "running" if container.status.contains("(unhealthy)") => 2,
        "paused" => 1,
        "exited" if !exited_well => 1,
        _ => 0,
    }
}

/// Asks by HTTP/1.0, so that the answer comes whole and ends with the connection.
fn get(root: &Root, socket: &str, path: &str, end: Instant) -> io::Result<Value> {
    let left = || Some(end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
    let mut stream = UnixStream::connect(root.path(socket))?;
    stream.set_write_timeout(left())?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        if Instant::now() >= end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(left())?;
        let length = stream.read(&mut buffer)?;
        answer.extend_from_slice(buffer.get(..length).unwrap_or_default());
        if length == 0 || answer.len() as u64 > MAX_ANSWER {
            break;
        }
    }
    let odd = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let head = answer.windows(4).position(|part| part == b"\r\n\r\n").ok_or_else(|| odd("no answer of HTTP"))?;
    let status = answer.split(|&b| b == b' ').nth(1).unwrap_or_default();
    if status != b"200" {
        return Err(odd(&format!("answered {}", String::from_utf8_lossy(status.get(..3).unwrap_or_default()))));
    }
    serde_json::from_slice(answer.get(head + 4..).unwrap_or_default()).map_err(|_| odd("not the answer of containers"))
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;

    /// Docker 26's answers, as far as they are read.
    const LIST: &str = r#"[
        {"Id":"0f0f","Names":["/web"],"Image":"nginx:1.27","State":"running","Status":"Up 3 hours (healthy)"},
        {"Id":"1f1f","Names":["/db"],"Image":"postgres:16","State":"running","Status":"Up 3 hours (unhealthy)"},
        {"Id":"2f2f","Names":["/job"],"Image":"job","State":"exited","Status":"Exited (0) 2 days ago"},
        {"Id":"3f3f","Names":["/crash"],"Image":"x","State":"exited","Status":"Exited (137) 2 days ago"},
        {"Id":"4f4f","Names":["/loop"],"Image":"y","State":"restarting","Status":"Restarting (1) 5 seconds ago"}]"#;

    /// A docker that answers for as long as the test runs.
    pub(in super::super) fn docker(folder: &Path) {
        let socket = folder.join("run/docker.sock");
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 512];
                let length = stream.read(&mut request).unwrap();
                let body = match String::from_utf8_lossy(&request[..length]).contains("?all=1 HTTP/1.0\r\n") {
                    true => LIST,
                    false => r#"{"Id":"x","RestartCount":4}"#,
                };
                let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}");
            }
        });
    }

    fn run(folder: &Path) -> super::super::Measured {
        let mut out = Out::default();
        collect(&Root::at(folder), &mut out);
        out.into_measured()
    }

    #[test]
    fn containers_their_state_health_restarts_and_images() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(run(folder.path()).faults[0].kind, FaultKind::Absent);
        docker(folder.path());
        let got = run(folder.path());
        let of = |metric: &str| -> Vec<(String, f64)> {
            got.readings.iter().filter(|r| r.metric == metric).map(|r| (r.item.clone(), r.value)).collect()
        };
        let named = |list: &[(&str, f64)]| -> Vec<(String, f64)> {
            list.iter().map(|(name, value)| (format!("docker/{name}"), *value)).collect()
        };
        let alarms = [("web", 0.0), ("db", 2.0), ("job", 0.0), ("crash", 1.0), ("loop", 2.0)];
        assert_eq!(of("container.alarm"), named(&alarms));
        assert_eq!(of("container.restarts"), named(&[("web", 4.0), ("db", 4.0), ("loop", 4.0)]));
        assert_eq!((got.facts[0].item.as_str(), got.facts[0].text.as_str()), ("docker/web", "nginx:1.27"));
        assert_eq!(got.faults, []);
    }

    #[test]
    fn a_runtime_that_is_silent_talks_nonsense_or_is_gone_is_told() {
        let kind = |answer: Option<&'static str>, listens: bool| {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("run/docker.sock");
            std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
            let listener = UnixListener::bind(socket).unwrap();
            let waits = listens.then(|| {
                std::thread::spawn(move || {
                    let (mut stream, _) = listener.accept().unwrap();
                    match answer {
                        Some(text) => drop(stream.write_all(text.as_bytes())),
                        // Until the other side has had enough.
                        None => while stream.read(&mut [0; 512]).is_ok_and(|length| length > 0) {},
                    }
                })
            });
            let got = run(folder.path());
            if let Some(thread) = waits {
                thread.join().unwrap();
            }
            (got.readings.len(), got.faults[0].kind)
        };
        assert_eq!(kind(None, true), (0, FaultKind::Hung));
        for odd in ["", "x", "HTTP/1.0 200 OK\r\n\r\n{", "HTTP/1.0 500 x\r\n\r\n[]"] {
            assert_eq!(kind(Some(odd), true), (0, FaultKind::Malformed), "{odd}");
        }
        assert_eq!(kind(None, false), (0, FaultKind::Absent));
    }
}
