//! Services that still run on files which an update replaced, by the maps of their processes.

use std::collections::BTreeMap;

use super::{Answer, Question, Who};
use crate::measure::command::Said;
use crate::measure::folder;
use crate::measure::process::unit_of;
use crate::measure::root::Root;
use crate::measure::text::lines;
use crate::model::sample::FaultKind;

pub(super) const QUESTION: Question = Question {
    name: "reboot.services",
    who: Who::Anybody,
    idle: |_| None,
    asked: &[],
    from: "/proc/PID/maps",
    fresh: 3600,
    read,
};

/// The most processes that are looked at.
const MOST: usize = 20_000;
const MAX_MAPS: usize = 256 * 1024;
/// Where packages put programs and libraries: what is deleted elsewhere was made by the program itself.
const PACKAGED: [&[u8]; 5] = [b"/usr/", b"/lib", b"/bin/", b"/sbin/", b"/opt/"];

fn read(root: &Root, _: &Said) -> Option<Answer> {
    let mut services: BTreeMap<String, ()> = BTreeMap::new();
    let mut answer = Answer::default();
    for name in root.list("/proc").ok()?.flatten().take(MOST).map(|entry| entry.file_name()) {
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        match root.read_at_most(format!("/proc/{pid}/maps"), MAX_MAPS) {
            Ok(maps) if is_outdated(&maps) => {
                let unit = unit_of(&root.read_at_most(format!("/proc/{pid}/cgroup"), 4096).unwrap_or_default());
                let name = root.read_at_most(format!("/proc/{pid}/comm"), 64).unwrap_or_default();
                let is_service = unit.ends_with(".service");
                services.insert(if is_service { unit } else { folder::shown(name.trim_ascii()) }, ());
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                answer.silent = Some(FaultKind::Denied)
            }
            Err(_) => {}
        }
    }
    answer.value("reboot.services.outdated", "", f64::from(u32::try_from(services.len()).unwrap_or(u32::MAX)));
    answer.fact("reboot.services", "", &services.into_keys().collect::<Vec<_>>().join(", "));
    Some(answer)
}

/// `7f..-7f.. r-xp 00000000 fe:00 1234   /usr/lib/libssl.so.3 (deleted)`: code only.
fn is_outdated(maps: &[u8]) -> bool {
    lines(maps).filter_map(|line| line.strip_suffix(b" (deleted)")).any(|line| {
        let runs = line.split(|&b| b == b' ').nth(1).is_some_and(|mode| mode.contains(&b'x'));
        let path = line.iter().position(|&b| b == b'/').and_then(|at| line.get(at..)).unwrap_or_default();
        runs && PACKAGED.iter().any(|place| path.starts_with(place))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::machine;

    const OLD: &str =
        "7f12-7f13 r-xp 00000000 fe:00 1234                       /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)\n";

    #[test]
    fn services_on_files_that_are_gone() {
        let (_folder, root) = machine(&format!(
            "== /proc/7/maps\n{OLD}== /proc/7/cgroup\n0::/system.slice/nginx.service\n== /proc/7/comm\nnginx\n\
             == /proc/8/maps\n{OLD}== /proc/8/cgroup\n0::/user.slice/user-0.slice/session-1.scope\n== /proc/8/comm\nbash\n\
             == /proc/9/maps\n7f-7f r-xp 0 fe:00 1 /usr/lib/libc.so.6\n7f-7f rw-p 0 00:01 5 /memfd:x (deleted)\n\
             7f-7f rw-s 0 00:01 5 /usr/share/data (deleted)\n7f-7f r-xp 0 0:1 5 /tmp/jit (deleted)\n"
        ));
        let said = Said { output: Vec::new(), status: Some(0), ..Said::default() };
        let answer = read(&root, &said).unwrap_or_default();
        assert_eq!(answer.values, [("reboot.services.outdated".to_owned(), String::new(), 2.0)]);
        assert_eq!(answer.facts[0].2, "bash, nginx.service");
    }
}
