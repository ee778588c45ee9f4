use super::*;

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

fn answer(path: &std::path::Path) -> io::Result<Space> {
    match path.to_str() {
        Some("/hangs") => {
            std::thread::sleep(Duration::from_secs(5));
            Err(io::Error::other("late"))
        }
        Some("/denied") => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Ok(Space { size: 1000, free: 300, available: 200, inodes: 10, inodes_free: 1 }),
    }
}

#[test]
fn a_dead_mount_costs_its_own_values_only() {
    let mount = |point: &str| Mount { device: vec![], point: point.into(), readonly: false };
    let mounts = [mount("/a"), mount("/hangs"), mount("/denied"), mount("/b\u{1b}[2J")];
    let mut out = Out::default();
    let start = Instant::now();
    ask_all(&Root::default(), &mounts, answer, Duration::from_millis(100), Duration::from_secs(3), &mut out);
    assert!(start.elapsed() < Duration::from_secs(2));
    let got = out.into_measured();
    let used: Vec<(&str, f64)> =
        got.readings.iter().filter(|r| r.metric == "filesystem.used").map(|r| (r.item.as_str(), r.value)).collect();
    assert_eq!(used, [("/a", 0.77778), ("/b?[2J", 0.77778)]);
    let faults: Vec<_> = got.faults.iter().map(|f| (f.item.as_str(), f.kind)).collect();
    assert_eq!(faults, [("/hangs", FaultKind::Hung), ("/denied", FaultKind::Denied)]);
}

#[test]
fn many_dead_mounts_are_bounded_together() {
    let mount = Mount { device: vec![], point: b"/hangs".to_vec(), readonly: false };
    let mut out = Out::default();
    let start = Instant::now();
    let (each, all) = (Duration::from_millis(100), Duration::from_millis(250));
    ask_all(&Root::default(), &vec![mount; 20], answer, each, all, &mut out);
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(out.into_measured().faults.iter().filter(|f| f.kind == FaultKind::Hung).count() == 20);
}
