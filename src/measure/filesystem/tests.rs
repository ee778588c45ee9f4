use super::ask::{Answer, all, by_thread};
use super::table::{MAX_MOUNTS, Mount, chosen};
use super::*;
use proptest::prelude::*;

const TABLE: &str = r"22 1 0:21 / /proc rw,relatime - proc proc rw
25 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
26 1 254:0 /srv /mnt/bind rw - ext4 /dev/vda rw
27 1 0:30 / /dev/shm rw - tmpfs tmpfs rw
28 1 0:31 / /home rw - autofs systemd-1 rw
29 1 0:32 / /snap/core/1 ro - squashfs /dev/loop0 ro
30 1 0:33 / /mnt/a\040b\134\012\033[31m rw - nfs4 server:/x rw
31 1 8:1 / /boot rw - vfat /dev/sda1 ro
32 1 0:34 / /tmp rw - tmpfs tmpfs rw
33 1 0:35 / /tmp rw - tmpfs tmpfs rw
34 1 0:36 / /devices rw - tmpfs tmpfs rw
garbage
";

fn points(text: &str) -> (Vec<String>, usize) {
    let mut out = Out::default();
    let mounts = chosen(text.as_bytes(), &mut out);
    let names = mounts.iter().map(|m| String::from_utf8_lossy(&m.point).into_owned()).collect();
    (names, out.into_measured().faults.len())
}

#[test]
fn data_filesystems_once_each() {
    let (names, faults) = points(TABLE);
    assert_eq!(names, ["/", "/mnt/a b\\\n\u{1b}[31m", "/boot", "/tmp", "/devices"]);
    assert_eq!(faults, 1);
    let mounts = chosen(TABLE.as_bytes(), &mut Out::default());
    assert!(mounts[2].readonly && !mounts[0].readonly);
    assert_eq!(mounts[3].device, b"0:35");
    assert_eq!((mounts[1].kind.as_slice(), mounts[1].source.as_slice()), (&b"nfs4"[..], &b"server:/x"[..]));
    assert_eq!(mounts[0].options, b"rw,relatime");
}

#[test]
fn what_may_never_answer_is_known_by_its_kind_and_its_way() {
    let table = "1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 0:50 / /mnt/nfs rw - nfs4 server:/x rw
3 2 8:2 / /mnt/nfs/disk rw - xfs /dev/sdb rw
4 1 0:51 / /mnt/nfsnot rw - tmpfs tmpfs rw
5 1 0:52 / /sshfs rw - fuse.sshfs me@there: rw
6 1 0:53 / /auto rw - autofs systemd-1 rw
7 6 8:3 / /auto/disk rw - ext4 /dev/sdc rw
";
    let risky: Vec<(String, bool)> = chosen(table.as_bytes(), &mut Out::default())
        .into_iter()
        .map(|m| (String::from_utf8_lossy(&m.point).into_owned(), m.risky))
        .collect();
    let expected = [
        ("/", false),
        ("/mnt/nfs", true),
        ("/mnt/nfs/disk", true),
        ("/mnt/nfsnot", false),
        ("/sshfs", true),
        ("/auto/disk", false),
    ];
    assert_eq!(risky, expected.map(|(point, risky)| (point.to_owned(), risky)));
}

#[test]
fn a_bind_mount_over_the_place_of_its_own_device_does_not_lose_it() {
    let table = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /data rw - ext4 b rw\n3 1 8:2 /x /a rw - ext4 b rw\n\
                 4 1 0:9 / /a rw - tmpfs t rw\n";
    assert_eq!(points(table).0, ["/", "/data", "/a"]);
}

#[test]
fn a_table_of_thousands_of_lines_is_read_and_what_is_too_much_is_told() {
    let pods: String =
        (0..5000).map(|i| format!("{i} 1 0:{i} / /var/lib/kubelet/pods/{i}/volumes rw - tmpfs tmpfs rw\n")).collect();
    let (names, faults) = points(&format!("1 0 8:1 / / rw - ext4 a rw\n{pods}2 1 8:2 / /data rw - ext4 b rw\n"));
    assert_eq!((names, faults), (vec!["/".to_owned(), "/data".to_owned()], 0));
}

proptest! {
    #[test]
    fn no_table_stops_it(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut text = b"1 0 8:0 / /a rw - ext4 x rw\n1 0 8:1 / /".to_vec();
        text.extend(bytes);
        let mounts = chosen(&text, &mut Out::default());
        prop_assert!(mounts.iter().all(|mount| mount.point.starts_with(b"/")));
    }
}

#[test]
fn a_containers_root_is_kept_and_its_layers_are_not() {
    let (names, _) = points("1 0 0:40 / / rw - overlay overlay rw\n2 1 0:41 / /x rw - overlay overlay rw\n");
    assert_eq!(names, ["/"]);
}

#[test]
fn a_million_mounts_are_cut() {
    let text: String = (0..2000).map(|i| format!("1 0 0:{i} / /m/{i} rw - ext4 x rw\n")).collect();
    let (names, faults) = points(&text);
    assert_eq!((names.len(), faults), (MAX_MOUNTS, 1));
}

fn slow(path: &std::path::Path) -> Answer {
    match path.to_str() {
        Some("/hangs") => {
            std::thread::sleep(Duration::from_secs(5));
            Err(io::Error::other("late"))
        }
        Some("/denied") => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Ok(Space { size: 1000, free: 300, available: 200, inodes: 10, inodes_free: 1 }),
    }
}

fn mount(point: &str) -> Mount {
    Mount {
        device: vec![],
        point: point.into(),
        kind: vec![],
        source: vec![],
        options: vec![],
        readonly: false,
        risky: false,
    }
}

fn asked(mounts: &[Mount], each: Duration, all_of_them: Duration) -> super::super::Measured {
    let mut out = Out::default();
    let start = Instant::now();
    let by_thread = |mounts: &[Mount]| by_thread(&Root::default(), mounts, slow);
    all(mounts, by_thread, Deadline { each, end: start + all_of_them }, |mount, outcome| {
        tell(mount, outcome, &mut out)
    });
    assert!(start.elapsed() < Duration::from_secs(2));
    out.into_measured()
}

#[test]
fn a_dead_mount_costs_its_own_values_only() {
    let mounts = [mount("/a"), mount("/hangs"), mount("/denied"), mount("/b\u{1b}[2J")];
    let got = asked(&mounts, Duration::from_millis(100), Duration::from_secs(3));
    let values = |metric: &str| -> Vec<(String, f64)> {
        got.readings.iter().filter(|r| r.metric == metric).map(|r| (r.item.clone(), r.value)).collect()
    };
    let owned = |list: &[(&str, f64)]| -> Vec<(String, f64)> { list.iter().map(|(n, v)| ((*n).into(), *v)).collect() };
    assert_eq!(values("filesystem.used"), owned(&[("/a", 0.77778), ("/b?[2J", 0.77778)]));
    assert_eq!(values("filesystem.hung"), owned(&[("/a", 0.0), ("/hangs", 1.0), ("/denied", 0.0), ("/b?[2J", 0.0)]));
    let faults: Vec<_> = got.faults.iter().map(|f| (f.item.as_str(), f.kind)).collect();
    assert_eq!(faults, [("/hangs", FaultKind::Hung), ("/denied", FaultKind::Denied)]);
}

#[test]
fn many_dead_mounts_are_bounded_together_and_only_those_that_were_asked_are_called_hung() {
    let got = asked(&vec![mount("/hangs"); 20], Duration::from_millis(100), Duration::from_millis(250));
    assert_eq!(got.faults.iter().filter(|f| f.kind == FaultKind::Hung).count(), 20);
    assert!((2..=4).contains(&got.readings.len()), "{:?}", got.readings);
}
