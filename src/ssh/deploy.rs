//! Puts the probe on a host where it is missing and starts it, with one command on one channel.
//!
//! The command is a small script for `/bin/sh` (`deploy.sh`). Where the probe is in place the script becomes the probe and the
//! task, sent at once, is read by it: no round trip is spent. Where it is missing, the script says `FLEET-NEED`, takes the
//! probe's bytes from its input, says `FLEET-READY`, becomes the probe, and the task is sent once more. What goes
//! wrong is said with the frame's own start and `fail` lines, so that only one reader is needed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::manifest::Manifest;
use super::{SshError, Stream};
use crate::model::cause::Cause;

/// The largest probe that is shipped.
pub const MAX_PROBE: u64 = 64 * 1024 * 1024;

/// What may come before the probe's or the script's first line.
const MAX_NOISE: usize = 64 * 1024;

/// The longest line in which a word of the script is looked for.
const MAX_LINE: usize = 4096;

/// What `uname -m` says for the machines that a folder `<arch>-linux` serves. The folders have the names of Rust's
/// targets, as `scripts/build` writes them; a name that is not here stands for itself.
const MACHINES: &[(&str, &[&str])] = &[
    ("x86_64", &["x86_64", "amd64"]),
    ("aarch64", &["aarch64", "arm64"]),
    ("armv7", &["armv7l", "armv8l"]),
    ("arm", &["armv6l", "armv5tel"]),
    ("i686", &["i686", "i586", "i386"]),
    ("riscv64gc", &["riscv64"]),
    ("powerpc64le", &["ppc64le"]),
    ("powerpc64", &["ppc64"]),
];

/// The name of the folder, without `-linux`, whose probe runs on a machine of that `uname -m`.
pub(super) fn arch_of(machine: &str) -> &str {
    MACHINES.iter().find(|(_, machines)| machines.contains(&machine)).map_or(machine, |(arch, _)| arch)
}

/// A probe that can be shipped.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The folder's name without `-linux`.
    pub arch: String,
    /// SHA-256 of the content, in hexadecimal.
    pub hash: String,
    /// The content.
    pub bytes: Arc<Vec<u8>>,
}

type Stamp = (PathBuf, SystemTime, u64);
/// Probes that were read, so that a sweep over thousands of hosts hashes each once.
static READ: Mutex<BTreeMap<Stamp, Probe>> = Mutex::new(BTreeMap::new());

/// All probes of a folder.
///
/// # Errors
/// [`Cause::NoProbe`] when there is none, or one is not what `SHA256SUMS` says.
pub fn probes(folder: &Path) -> Result<Vec<Probe>, SshError> {
    let none = |text: String| SshError::new(Cause::NoProbe, format!("{}: {text}", folder.display()));
    let mut found = Vec::new();
    let manifest = Manifest::read(folder).map_err(|error| none(error.to_string()))?;
    for entry in fs::read_dir(folder).map_err(|error| none(error.to_string()))?.flatten().take(64) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(arch) = name.strip_suffix("-linux") else { continue };
        let file = entry.path().join("fleet-probe");
        if file.is_file() {
            let probe = load(arch, &file).map_err(|error| none(error.to_string()))?;
            if let Some(manifest) = &manifest {
                let path = format!("{name}/fleet-probe");
                manifest.check(&path, &probe.hash).map_err(|error| none(error.to_string()))?;
            }
            found.push(probe);
        }
    }
    found.sort_by(|a, b| a.arch.cmp(&b.arch));
    if found.is_empty() {
        return Err(none("has no <arch>-linux/fleet-probe; build it with: make probes".to_owned()));
    }
    Ok(found)
}

fn load(arch: &str, file: &Path) -> io::Result<Probe> {
    let mut opened = File::open(file)?;
    let facts = opened.metadata()?;
    let stamp = (file.to_owned(), facts.modified()?, facts.len());
    let mut cache = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(probe) = cache.get(&stamp) {
        return Ok(probe.clone());
    }
    if facts.len() == 0 || facts.len() > MAX_PROBE {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("{} bytes are no probe", facts.len())));
    }
    let mut bytes = Vec::new();
    opened.by_ref().take(MAX_PROBE).read_to_end(&mut bytes)?;
    let hash = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let probe = Probe { arch: arch.to_owned(), hash, bytes: Arc::new(bytes) };
    cache.insert(stamp, probe.clone());
    Ok(probe)
}

/// The command that starts the probe wherever it is or can be put. It holds no `'`, `!`, line break or backslash, so that
/// csh and fish hand it to `/bin/sh` as it is.
#[must_use]
pub fn command(nonce: &str, probes: &[Probe]) -> String {
    let mut table = Vec::new();
    for probe in probes {
        let own = [probe.arch.as_str()];
        let machines = MACHINES.iter().find(|(arch, _)| *arch == probe.arch).map_or(&own[..], |(_, names)| names);
        for machine in machines {
            table.push(format!("{machine}:{}:{}", probe.hash, probe.bytes.len()));
        }
    }
    format!("exec /bin/sh -c '{}' fleet {nonce} {}", SCRIPT.as_str(), table.join(" "))
}

/// `deploy.sh` in one line.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let mut script = String::new();
    for line in include_str!("deploy.sh").lines() {
        // A line break is a separator, but not after a word that goes on.
        let goes_on =
            ["then", "else", "do", "in", "{", "||", "&&", ";;", "() {"].iter().any(|word| line.ends_with(word));
        script.push_str(line);
        script.push_str(if goes_on { " " } else { "; " });
    }
    script.trim_end().to_owned()
});

/// Sends the task and, where the script asks for it, the probe. Returns what was read of the frame already, and whether
/// the probe was shipped.
///
/// # Errors
/// The stream's, and `InvalidData` for more noise than is allowed.
pub fn start(stream: &mut dyn Stream, nonce: &str, task: &str, probes: &[Probe]) -> io::Result<(Vec<u8>, bool)> {
    let line = format!("{task}\n");
    stream.write_all(line.as_bytes())?;
    let need = format!("FLEET-NEED {nonce} ");
    let ready = format!("FLEET-READY {nonce}");
    let begun = format!("FLEET1 {nonce}");
    let mut noise = 0;
    let mut seen = Vec::new();
    let mut shipped = false;
    let mut buffer = vec![0; 8192];
    loop {
        while let Some(end) = seen.iter().position(|&byte| byte == b'\n') {
            let text = String::from_utf8_lossy(&seen[..end.min(MAX_LINE)]).trim_end().to_owned();
            if text == begun {
                return Ok((seen, shipped));
            }
            seen.drain(..=end);
            noise += end + 1;
            if let (Some(hash), false) = (text.strip_prefix(&need), shipped) {
                let probe = probes.iter().find(|probe| probe.hash == hash);
                let probe = probe.ok_or_else(|| {
                    io::Error::new(ErrorKind::InvalidData, "the host asks for a probe that does not exist")
                })?;
                stream.write_all(&probe.bytes)?;
                stream.flush()?;
                shipped = true;
            } else if text == ready && shipped {
                stream.write_all(line.as_bytes())?;
            }
        }
        if noise + seen.len() > MAX_NOISE {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "over 64 KiB before the probe's first line"));
        }
        match stream.read(&mut buffer)? {
            0 => return Ok((seen, shipped)),
            count => seen.extend_from_slice(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_survives_every_login_shell() {
        let probe = Probe { arch: "x86_64".into(), hash: "ab".repeat(32), bytes: Arc::new(vec![1; 9]) };
        let text = command("00", &[probe]);
        let script = text.strip_prefix("exec /bin/sh -c '").unwrap().rsplit_once('\'').unwrap().0;
        assert!(!script.contains(['\'', '!', '\n', '\\']), "{script}");
        assert!(text.ends_with(&format!("fleet 00 x86_64:{0}:9 amd64:{0}:9", "ab".repeat(32))));
        assert!(text.len() < 8192, "sent on every visit");
    }

    /// A folder for the path of a shell: the usual programs but those of `without`, and a `uname` that says what it is told.
    fn programs(folder: &Path, without: &[&str], system: &str, machine: &str) -> PathBuf {
        let bin = folder.join("bin");
        fs::create_dir(&bin).unwrap();
        for name in ["id", "ls", "mkdir", "head", "wc", "rm", "mv", "chmod", "sync", "sha256sum", "openssl", "busybox"]
        {
            let place = ["/usr/bin", "/bin"].iter().map(|place| Path::new(place).join(name)).find(|file| file.exists());
            if !without.contains(&name) {
                std::os::unix::fs::symlink(place.unwrap(), bin.join(name)).unwrap();
            }
        }
        let uname = format!("#!/bin/sh\ncase $1 in -s) echo {system};; *) echo {machine};; esac\n");
        fs::write(bin.join("uname"), uname).unwrap();
        fs::set_permissions(bin.join("uname"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        bin
    }

    /// Runs the script as a host would, with these bytes arriving as the probe, and returns what it says.
    #[allow(clippy::disallowed_methods, reason = "asks the shell itself")]
    fn deployed(arch: &str, uname: (&str, &str), without: &[&str], arrives: &[u8]) -> String {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let bin = programs(folder.path(), without, uname.0, uname.1);
        let bytes = b"#!/bin/sh\necho started\n".to_vec();
        let hash = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let probe = Probe { arch: arch.into(), hash, bytes: Arc::new(bytes) };
        let mut shell = std::process::Command::new("/bin/sh");
        shell.arg("-c").arg(command("00", &[probe])).env_clear().env("PATH", bin).env("HOME", folder.path());
        shell.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(&[b"task\n", arrives].concat());
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn a_machine_without_a_probe_for_it_says_which() {
        let whole = b"#!/bin/sh\necho started\n";
        for (arch, uname) in [("sparc", ("Linux", "x86_64")), ("x86_64", ("FreeBSD", "amd64"))] {
            let said = deployed(arch, uname, &[], whole);
            let wanted = format!("\nFLEET1 00\nfail no-probe no probe for {} {}\n", uname.0, uname.1);
            assert_eq!(said, wanted);
        }
        assert!(deployed("riscv64gc", ("Linux", "riscv64"), &[], whole).ends_with("started\n"));
    }

    #[test]
    fn a_probe_that_arrives_damaged_is_never_started() {
        let whole = b"#!/bin/sh\necho started\n";
        let tools = ["sha256sum", "busybox", "openssl"];
        for without in [&tools[..0], &tools[..1], &tools[..2], &tools] {
            let said = deployed("x86_64", ("Linux", "x86_64"), without, whole);
            assert!(said.contains("FLEET-READY 00\nstarted"), "without {without:?}: {said}");
            // Cut off, which also a host shows that has nothing to hash with; and changed on the way.
            let changed = b"#!/bin/sh\necho staRted\n";
            for damaged in [&whole[..whole.len() - 1], changed] {
                if damaged.len() == whole.len() && without.len() == tools.len() {
                    continue;
                }
                let said = deployed("x86_64", ("Linux", "x86_64"), without, damaged);
                assert!(said.contains("fail probe-failed") && said.contains("arrived damaged"), "{said}");
                assert!(!said.contains("FLEET-READY"), "without {without:?}: {said}");
            }
        }
    }

    #[test]
    fn a_probe_that_is_not_the_one_built_is_shipped_to_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("x86_64-linux");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("fleet-probe"), "built").unwrap();
        assert_eq!(probes(folder.path()).unwrap().len(), 1, "no manifest: put there by hand");
        let built = Sha256::digest(b"built").iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        fs::write(folder.path().join("SHA256SUMS"), format!("{built}  x86_64-linux/fleet-probe\n")).unwrap();
        assert_eq!(probes(folder.path()).unwrap()[0].hash, built);
        fs::write(place.join("fleet-probe"), "exchanged").unwrap();
        let error = probes(folder.path()).unwrap_err();
        assert_eq!(error.cause, Cause::NoProbe);
        assert!(error.text.contains("x86_64-linux/fleet-probe is not the one that was built"), "{}", error.text);
        fs::write(folder.path().join("SHA256SUMS"), format!("{built}  s390x-linux/fleet-probe\n")).unwrap();
        assert!(probes(folder.path()).unwrap_err().text.contains("is not listed"));
        fs::write(folder.path().join("SHA256SUMS"), "no sums\n").unwrap();
        assert!(probes(folder.path()).unwrap_err().text.contains("SHA256SUMS:1: not a line"));
    }

    #[test]
    fn folders_and_machines_fit_both_ways() {
        for (arch, machines) in MACHINES {
            assert!(machines.iter().all(|machine| arch_of(machine) == *arch), "{arch}");
        }
        assert_eq!(arch_of("s390x"), "s390x");
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "asks the shells themselves")]
    fn the_script_is_one_for_each_shell() {
        let text = command("00", &[]);
        let script = text.strip_prefix("exec /bin/sh -c '").unwrap().rsplit_once('\'').unwrap().0;
        for shell in [&["dash"][..], &["bash", "--posix"], &["busybox", "sh"]] {
            let done =
                std::process::Command::new(shell[0]).args(&shell[1..]).args(["-n", "-c", script]).output().unwrap();
            assert!(done.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }
}
