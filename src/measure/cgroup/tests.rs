use std::os::unix::ffi::OsStringExt;

use super::*;
use crate::measure::Measured;
use crate::measure::fixture::{add, machine};

const V2: &str = include_str!("../fixtures/cgroup-v2.txt");
const V1: &str = include_str!("../fixtures/cgroup-v1.txt");

fn run(root: &Root) -> Measured {
    let mut out = Out::default();
    collect(root, &mut out);
    out.into_measured()
}

fn of(got: &Measured, item: &str) -> Vec<(String, f64)> {
    got.readings.iter().filter(|r| r.item == item).map(|r| (r.metric.clone(), r.value)).collect()
}

fn named(list: &[(&str, f64)]) -> Vec<(String, f64)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[test]
fn slices_services_and_containers_of_the_second_version() {
    let (_folder, root) = machine(V2);
    let got = run(&root);
    assert_eq!(got.faults, []);
    let mut items: Vec<&str> =
        got.readings.iter().filter(|r| r.metric == "cgroup.memory").map(|r| r.item.as_str()).collect();
    items.dedup();
    let expected = [
        "system.slice",
        "user-1000.slice",
        "user.slice",
        "docker/0123456789ab",
        "podman/fedcba987654",
        "getty@tty1.service",
        "nginx.service",
    ];
    assert_eq!(items, expected);
    let nginx = [
        ("cgroup.memory", 104_857_600.0),
        ("cgroup.memory.used", 0.4),
        ("cgroup.oom-kills", 0.0),
        ("cgroup.cpu.seconds", 2.5),
        ("cgroup.cpu.throttled.seconds", 0.75),
        ("cgroup.tasks", 5.0),
        ("cgroup.tasks.used", 0.1),
    ];
    assert_eq!(of(&got, "nginx.service"), named(&nginx));
    let system = [
        ("cgroup.memory", 734_003_200.0),
        ("cgroup.oom-kills", 3.0),
        ("cgroup.cpu.seconds", 861.0),
        ("cgroup.tasks", 214.0),
        ("cgroup.pressure", 0.025),
        ("cgroup.pressure.io", 0.06),
        ("cgroup.pressure.cpu", 0.09),
        ("cgroup.read.bytes", 9192.0),
        ("cgroup.written.bytes", 4596.0),
        ("cgroup.reads", 5.0),
        ("cgroup.writes", 5.0),
    ];
    assert_eq!(of(&got, "system.slice"), named(&system));
    assert_eq!((of(&got, "docker").len(), of(&got, "podman")), (1, named(&[("container.count", 1.0)])));
}

#[test]
fn the_trees_of_the_first_version() {
    let (_folder, root) = machine(V1);
    let got = run(&root);
    assert_eq!(got.faults, []);
    let docker = [
        ("cgroup.memory", 94_371_840.0),
        ("cgroup.memory.used", 0.8),
        ("cgroup.cpu.seconds", 7.25),
        ("cgroup.cpu.throttled.seconds", 1.5),
        ("cgroup.tasks", 9.0),
        ("cgroup.read.bytes", 1_114_112.0),
        ("cgroup.written.bytes", 4096.0),
        ("cgroup.reads", 29.0),
        ("cgroup.writes", 1.0),
    ];
    assert_eq!(of(&got, "docker/0123456789ab"), named(&docker));
    let cron = [("cgroup.memory", 1_048_576.0), ("cgroup.memory.used", 0.1), ("cgroup.oom-kills", 2.0)];
    assert_eq!(of(&got, "cron.service"), named(&cron));
    assert_eq!(of(&got, "system.slice"), named(&[("cgroup.memory", 734_003_200.0)]));
}

#[test]
fn without_cgroups_it_says_so() {
    let (_folder, root) = machine("== /sys/fs/cgroup/readme\n");
    let got = run(&root);
    assert_eq!((got.readings.len(), got.faults[0].kind), (0, FaultKind::Absent));
}

#[test]
fn a_machine_of_its_own_has_no_limit_and_its_login_session_has_none_to_say() {
    for text in [V2, V1] {
        let (folder, root) = machine(text);
        add(
            folder.path(),
            "== /proc/1/cgroup\n4:memory:/\n0::/init.scope\n== /proc/self/cgroup\n0::/system.slice/nginx.service\n",
        );
        assert_eq!(own(&root, 16 << 30), None);
    }
}

#[test]
fn a_container_has_the_tightest_limit_above_it() {
    // A cgroup namespace: the tree begins at the container.
    let inside = "== /sys/fs/cgroup/cgroup.controllers\nmemory pids\n== /sys/fs/cgroup/memory.max\n1000000\n\
        == /sys/fs/cgroup/memory.current\n700000\n== /sys/fs/cgroup/memory.stat\nanon 1\ninactive_file 200000\n\
        == /proc/1/cgroup\n0::/\n";
    let (_folder, root) = machine(inside);
    assert_eq!(own(&root, 16 << 30), Some(Own { limit: 1_000_000, used: 500_000 }));
    // Not lower than what the machine has: no limit.
    assert_eq!(own(&root, 1_000_000), None);
    // Without a namespace: the whole tree is seen, and the path leads to the container.
    let (folder, root) = machine(V1);
    let id = "0123456789abcdef".repeat(4);
    add(folder.path(), &format!("== /proc/1/cgroup\n4:memory:/docker/{id}\n"));
    assert_eq!(own(&root, 16 << 30), Some(Own { limit: 104_857_600, used: 83_886_080 }));
    // The first version with the container's folder mounted as the tree.
    let (_folder, root) = machine(&format!(
        "== /sys/fs/cgroup/memory/memory.limit_in_bytes\n5000\n== /sys/fs/cgroup/memory/memory.usage_in_bytes\n10\n\
         == /proc/1/cgroup\n4:memory:/docker/{id}\n"
    ));
    assert_eq!(own(&root, 16 << 30), Some(Own { limit: 5000, used: 10 }));
    // A tree from elsewhere, as seen from another namespace.
    let (_folder, root) = machine(&inside.replace("0::/\n", "0::/../../x\n"));
    assert_eq!(own(&root, 16 << 30).map(|own| own.limit), Some(1_000_000));
}

#[test]
fn hostile_names_numbers_and_amounts() {
    let (folder, root) = machine("== /sys/fs/cgroup/cgroup.controllers\nmemory\n");
    let base = folder.path().join("sys/fs/cgroup/system.slice");
    let make = |name: &[u8], current: &str| {
        let path = base.join(std::ffi::OsString::from_vec(name.to_vec()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("memory.current"), current).unwrap();
        std::fs::write(path.join("memory.max"), "0").unwrap();
    };
    make(b"a\x1b[2J\nb.service", "5");
    make(b"a\xff\xfe.service", "99999999999999999999999999");
    for i in 0..100 {
        make(format!("z{i}.service").as_bytes(), "1");
    }
    let got = run(&root);
    assert!(got.readings.iter().any(|r| r.item == "a?[2J?b.service" && r.value == 5.0));
    assert!(!got.readings.iter().any(|r| r.value > 5.0));
    assert_eq!(got.readings.len(), MAX_GROUPS - 2);
    assert_eq!(got.faults.iter().map(|f| f.kind).collect::<Vec<_>>(), [FaultKind::Cut]);
}

#[test]
fn a_tree_without_end_is_cut_and_told() {
    let (folder, root) = machine("== /sys/fs/cgroup/cgroup.controllers\nmemory\n");
    for i in 0..600 {
        let path = folder.path().join(format!("sys/fs/cgroup/system.slice/a{i}.slice/b.slice"));
        std::fs::create_dir_all(path).unwrap();
    }
    let got = run(&root);
    assert!(got.faults.iter().any(|fault| fault.kind == FaultKind::Cut));
}
