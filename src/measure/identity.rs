//! What the host is: kernel, distribution, processor, and what it runs in.

use super::folder::{Folder, shown};
use super::out::Out;
use super::root::Root;
use super::support;
use super::text::{lines, whole};

/// The most bytes of /proc/cpuinfo that are read: one processor says it all, and each takes the kernel time to print.
const ONE_PROCESSOR: usize = 8192;

pub(super) fn collect(root: &Root, out: &mut Out) {
    let short = |path: &str| root.read_at_most(path, 256).map(|text| String::from_utf8_lossy(&text).trim().to_owned());
    for (name, path) in [
        ("host.kernel", "/proc/sys/kernel/osrelease"),
        ("host.name", "/proc/sys/kernel/hostname"),
        ("host.machine-id", "/etc/machine-id"),
    ] {
        match short(path) {
            Ok(text) => out.fact(name, "", &text),
            Err(error) => out.unread("", path, &error),
        }
    }
    out.fact("host.architecture", "", &String::from_utf8_lossy(rustix::system::uname().machine().to_bytes()));
    let release = root.read_at_most("/etc/os-release", 16_384);
    match release.or_else(|_| root.read_at_most("/usr/lib/os-release", 16_384)) {
        Ok(text) => {
            for (name, key) in [
                ("host.distribution", "ID"),
                ("host.distribution.version", "VERSION_ID"),
                ("host.distribution.name", "PRETTY_NAME"),
            ] {
                out.fact(name, "", &assigned(&text, key).unwrap_or_default());
            }
            let key = |key: &str| assigned(&text, key).unwrap_or_default();
            support::put(root, &key("ID"), &key("VERSION_ID"), &key("SUPPORT_END"), out);
        }
        Err(error) => out.unread("", "/etc/os-release", &error),
    }
    let cpuinfo = root.read_at_most("/proc/cpuinfo", ONE_PROCESSOR).unwrap_or_default();
    out.fact("host.processor", "", &processor(&cpuinfo));
    out.fact("host.cores", "", &cores(root));
    let dmi = Folder::open(root, "/sys/class/dmi/id").ok();
    let dmi = |file: &str| dmi.as_ref().and_then(|folder| folder.text(file)).unwrap_or_default();
    let (vendor, product) = (dmi("sys_vendor"), dmi("product_name"));
    out.fact("host.vendor", "", &vendor);
    out.fact("host.product", "", &product);
    let container = container(root);
    let machine = machine(root, &vendor, &product, &cpuinfo);
    let inside: Vec<&str> = [container.as_deref(), machine].into_iter().flatten().collect();
    let inside = if inside.is_empty() { "none".to_owned() } else { inside.join(" in ") };
    out.fact("host.virtualization", "", &inside);
}

/// `KEY="value"` of a file that a shell could read.
fn assigned(text: &[u8], key: &str) -> Option<String> {
    let value = lines(text).find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b"="))?;
    let value = String::from_utf8_lossy(value);
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    Some(inner.unwrap_or(value).replace("\\\"", "\"").replace("\\$", "$"))
}

/// The value behind `key : value`.
fn described<'a>(cpuinfo: &'a [u8], key: &str) -> Option<&'a [u8]> {
    lines(cpuinfo).find_map(|line| {
        let rest = line.strip_prefix(key.as_bytes())?.trim_ascii_start();
        Some(rest.strip_prefix(b":")?.trim_ascii())
    })
}

/// x86 says `model name`, others `Model`, `cpu` or `Hardware`.
fn processor(cpuinfo: &[u8]) -> String {
    let name = ["model name", "Model", "cpu model", "cpu", "Hardware"].iter().find_map(|key| described(cpuinfo, key));
    let name = String::from_utf8_lossy(name.unwrap_or_default()).into_owned();
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `8 cores, 16 threads`; empty where sysfs does not tell.
fn cores(root: &Root) -> String {
    let list = |path: &str| root.read_at_most(path, 4096).ok().and_then(|text| listed(&text));
    let Some(threads) = list("/sys/devices/system/cpu/online") else { return String::new() };
    let siblings = list("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list").unwrap_or(1).max(1);
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    let cores = threads.div_ceil(siblings);
    format!("{cores} core{}, {threads} thread{}", plural(cores), plural(threads))
}

/// How many `0-3,8` are.
fn listed(text: &[u8]) -> Option<u64> {
    let mut count = 0_u64;
    for part in text.trim_ascii().split(|&b| b == b',') {
        let mut ends = part.splitn(2, |&b| b == b'-');
        let first = whole(ends.next()?)?;
        let last = ends.next().map_or(Some(first), whole)?;
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

/// The container that this is, by the marks that its runtime leaves.
fn container(root: &Root) -> Option<String> {
    let text = |path: &str| root.read_at_most(path, 4096).ok();
    if let Some(name) = text("/run/systemd/container") {
        return Some(shown(name.trim_ascii())).filter(|name| !name.is_empty());
    }
    for (path, name) in [("/.dockerenv", "docker"), ("/run/.containerenv", "podman"), ("/dev/lxd/sock", "lxd")] {
        if root.path(path).exists() {
            return Some(name.to_owned());
        }
    }
    // Root only: what the first process was started with.
    let environment = text("/proc/1/environ").unwrap_or_default();
    let told = environment.split(|&b| b == 0).find_map(|one| one.strip_prefix(b"container="));
    if let Some(told) = told.filter(|told| !told.is_empty()) {
        return Some(shown(told));
    }
    let groups = String::from_utf8_lossy(&text("/proc/1/cgroup")?).into_owned();
    [("kubepods", "kubernetes"), ("docker", "docker"), ("/lxc", "lxc"), ("libpod", "podman")]
        .into_iter()
        .find(|(mark, _)| groups.contains(mark))
        .map(|(_, name)| name.to_owned())
}

/// What virtual machine this is; `None` on bare metal.
fn machine(root: &Root, vendor: &str, product: &str, cpuinfo: &[u8]) -> Option<&'static str> {
    const MARKS: &[(&str, &str)] = &[
        ("KVM", "kvm"),
        ("QEMU", "qemu"),
        ("VMware", "vmware"),
        ("VirtualBox", "virtualbox"),
        ("innotek", "virtualbox"),
        ("Virtual Machine", "hyper-v"),
        ("Google Compute Engine", "google"),
        ("Xen", "xen"),
        ("HVM domU", "xen"),
        ("OpenStack", "openstack"),
        ("Parallels", "parallels"),
        ("BHYVE", "bhyve"),
        ("Bochs", "bochs"),
        ("Droplet", "digitalocean"),
    ];
    let said = format!("{vendor} {product}");
    let virtual_processor =
        described(cpuinfo, "flags").is_some_and(|flags| super::text::words(flags).any(|flag| flag == b"hypervisor"));
    if let Some((_, name)) = MARKS.iter().find(|(mark, _)| said.contains(mark)) {
        return Some(name);
    }
    if vendor == "Amazon EC2" {
        return (!product.contains("metal")).then_some("amazon");
    }
    if root.path("/proc/xen").is_dir() || root.path("/sys/hypervisor/type").exists() {
        return Some("xen");
    }
    virtual_processor.then_some("virtual machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut out = Out::default();
        collect(&Root::at(folder.path()), &mut out);
        out.into_measured().facts.into_iter().map(|fact| (fact.name, fact.text)).collect()
    }

    fn text<'a>(facts: &'a [(String, String)], name: &str) -> &'a str {
        facts.iter().find(|fact| fact.0 == name).map_or("", |fact| &fact.1)
    }

    #[test]
    fn a_virtual_machine_of_debian_12() {
        let found = facts(&[
            ("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
            ("proc/sys/kernel/hostname", "web1\n"),
            ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
            ("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n"),
            ("proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC  Processor\nflags\t\t: fpu hypervisor lm\n"),
            ("sys/devices/system/cpu/online", "0-3,8-11\n"),
            ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0-1\n"),
            ("sys/class/dmi/id/sys_vendor", "QEMU\n"),
            ("sys/class/dmi/id/product_name", "Standard PC (Q35 + ICH9, 2009)\n"),
        ]);
        assert_eq!(text(&found, "host.kernel"), "6.1.0-18-amd64");
        assert_eq!(text(&found, "host.distribution.name"), "Debian GNU/Linux 12 (bookworm)");
        assert_eq!((text(&found, "host.distribution"), text(&found, "host.distribution.version")), ("debian", "12"));
        assert_eq!(text(&found, "host.processor"), "AMD EPYC Processor");
        assert_eq!(text(&found, "host.cores"), "4 cores, 8 threads");
        assert_eq!(text(&found, "host.virtualization"), "qemu");
        assert!(found.iter().all(|fact| crate::model::clean::clean(&fact.1) == fact.1));
    }

    #[test]
    fn a_container_of_alpine_on_arm_without_sysfs() {
        let found = facts(&[
            ("proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 108.00\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"),
            ("usr/lib/os-release", "ID='alpine'\nVERSION_ID=3.20.1\n"),
            ("proc/1/cgroup", "12:pids:/docker/0123\n0::/docker/0123\n"),
        ]);
        assert_eq!(text(&found, "host.processor"), "Raspberry Pi 4 Model B Rev 1.4");
        assert_eq!((text(&found, "host.distribution"), text(&found, "host.cores")), ("alpine", ""));
        assert_eq!(text(&found, "host.virtualization"), "docker");
    }

    #[test]
    fn marks_of_containers_and_clouds() {
        let inside = |files: &[(&str, &str)]| text(&facts(files), "host.virtualization").to_owned();
        assert_eq!(inside(&[]), "none");
        assert_eq!(inside(&[("proc/1/environ", "PATH=/\0container=lxc\0")]), "lxc");
        assert_eq!(inside(&[("run/systemd/container", "systemd-nspawn\n")]), "systemd-nspawn");
        assert_eq!(
            inside(&[("run/.containerenv", ""), ("proc/cpuinfo", "flags : hypervisor\n")]),
            "podman in virtual machine"
        );
        let amazon = |product| {
            inside(&[("sys/class/dmi/id/sys_vendor", "Amazon EC2"), ("sys/class/dmi/id/product_name", product)])
        };
        assert_eq!((amazon("t3.micro"), amazon("m5.metal")), ("amazon".into(), "none".into()));
    }

    #[test]
    fn lists_of_processors() {
        assert_eq!((listed(b"0\n"), listed(b"0-3,8\n"), listed(b"0-1,3-2")), (Some(1), Some(5), None));
        assert_eq!((listed(b""), listed(b"0-18446744073709551615"), listed(b"x")), (None, None, None));
        assert_eq!(assigned(b"A=\"x \\\"y\\\" \\$z\"\nB=\n", "A").as_deref(), Some("x \"y\" $z"));
        assert_eq!((assigned(b"A=\"x", "A").as_deref(), assigned(b"", "A")), (Some("\"x"), None));
    }
}
