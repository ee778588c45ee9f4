//! A machine of another architecture: real sshd, and behind it only programs of arm64, run by qemu.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/bench.rs"]
mod bench;
#[path = "support/sshd.rs"]
mod sshd;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bench::{Bench, shown, single};
use sshd::{Options, Sshd, sh};

/// A root folder with an arm64 shell and its usual programs.
fn root(folder: &Path) -> PathBuf {
    let busybox = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/arm64/busybox");
    assert!(busybox.exists(), "{} is missing: run scripts/deps probes", busybox.display());
    let root = folder.join("root");
    for place in ["bin", "proc", "dev", "var/tmp"] {
        fs::create_dir_all(root.join(place)).unwrap();
    }
    fs::copy(&busybox, root.join("bin/busybox")).unwrap();
    for name in ["sh", "uname", "id", "ls", "mkdir", "head", "wc", "rm", "mv", "chmod", "sync", "sha256sum", "sleep"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    root
}

/// The probe of this tree for arm64.
fn probe() -> PathBuf {
    let probe = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/probes/aarch64-linux/fleet-probe");
    assert!(probe.exists(), "{} is missing: run scripts/probes aarch64", probe.display());
    probe
}

/// What is built for hosts, whatever their libc: nothing on a host can come into the program by its libraries.
#[test]
fn b5_the_probes_that_are_shipped_load_nothing() {
    let shipped = probe().parent().and_then(Path::parent).unwrap().to_owned();
    let probes = sh(&format!("ls {}/*-linux/fleet-probe", shown(&shipped)));
    for file in probes.lines() {
        let text = sh(&format!("readelf -lW {file}; readelf -dW {file}"));
        assert!(!text.contains("INTERP") && !text.contains("NEEDED"), "{file} is not static: {text}");
    }
}

#[test]
fn a_machine_of_another_architecture_gets_its_own_probe() {
    let folder = tempfile::Builder::new().prefix("fleet-foreign").tempdir_in("/var/lib").unwrap();
    sh(&format!("chmod 755 {}", shown(folder.path())));
    let root = root(folder.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/foreign.sh");
    let sshd = Sshd::start(&Options {
        before: vec![shown(&script), shown(&root)],
        lines: vec![format!("ChrootDirectory {}", shown(&root))],
        ..Options::default()
    });
    let home = root.join(sshd.home.strip_prefix("/").unwrap());
    fs::create_dir_all(&home).unwrap();
    sh(&format!("chown {} {}", sshd.user, shown(&home)));
    let bench = Bench::new(
        "60s",
        &format!(
            "user=\"{}\" key-file=\"{}\" known-hosts=\"{}\"",
            sshd.user,
            shown(&sshd.key),
            shown(&sshd.known_hosts)
        ),
        &format!("<host name=\"arm\" address=\"{}\" port=\"{}\"/>", sshd.address, sshd.port),
    );

    // Only this machine's own probe is there.
    let none = single(&mut bench.command(&[]));
    assert_eq!(none["cause"], "no-probe", "{none:#}\n{}", sshd.log_text());
    assert!(none.to_string().contains("no probe for Linux aarch64"), "{none:#}");

    let place = bench.path("probes/aarch64-linux");
    fs::create_dir_all(&place).unwrap();
    fs::copy(probe(), place.join("fleet-probe")).unwrap();
    let sums = format!("cd {} && sha256sum *-linux/fleet-probe > SHA256SUMS", shown(&bench.path("probes")));
    sh(&sums);
    let first = single(&mut bench.command(&[]));
    assert_eq!(first["outcome"], "collected", "{first:#}\n{}", sshd.log_text());
    assert_eq!(first["probe_shipped"], true, "{first:#}");
    let warm = single(&mut bench.command(&[]));
    assert_eq!((&warm["outcome"], &warm["probe_shipped"]), (&"collected".into(), &false.into()), "{warm:#}");

    // What arrived was measured by a program of that architecture.
    let query = "select count(*) from reading where host = 'arm' and metric = 'memory.total' and value > 0";
    let rows = Command::new("sqlite3").arg(bench.path("fleet.db")).arg(query).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&rows.stdout).trim(), "2", "{rows:?}");
    let kept = sh(&format!("ls {}/.cache/fleet-health", shown(&home)));
    let hash = sh(&format!("sha256sum {}", shown(&place.join("fleet-probe"))));
    assert!(kept.contains(hash.split(' ').next().unwrap()), "{kept}");
}
