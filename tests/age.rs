//! The seal beside others' ideas of the format: the C2SP/CCTV vectors, and the `age` program in both directions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use fleet_health::wire::seal::{self, SealError};
use sha2::{Digest, Sha256};

fn through(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; install it with: make deps"));
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{program} {args:?}");
    output.stdout
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One vector: what is said of it, and the sealed bytes.
fn vector(file: &Path) -> (Vec<(String, String)>, Vec<u8>) {
    let bytes = fs::read(file).unwrap();
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let said: Vec<(String, String)> =
        head.lines().map(|line| line.split_once(": ").map(|(a, b)| (a.into(), b.into())).unwrap()).collect();
    let mut sealed = bytes[end + 2..].to_vec();
    if said.iter().any(|(name, _)| name == "compressed") {
        let script = "import sys, zlib; sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))";
        sealed = through("python3", &["-c", script], &sealed);
    }
    (said, sealed)
}

#[test]
fn the_vectors_of_c2sp_have_their_outcome() {
    let mut outcomes = std::collections::BTreeMap::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/age");
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name == "README" {
            continue;
        }
        let (said, sealed) = vector(&file);
        let value = |what: &str| said.iter().find(|(name, _)| name == what).map(|(_, value)| value.as_str());
        let keys: Vec<String> =
            said.iter().filter(|(name, _)| name == "identity").map(|(_, key)| key.clone()).collect();
        let expected = value("expect").unwrap();
        let opened = seal::open(&keys, &sealed);
        let fits = match (expected, &opened) {
            ("success", Ok(plain)) => value("payload") == Some(hex(&Sha256::digest(plain)).as_str()),
            ("no match", Err(error)) => matches!(error, SealError::WrongKey),
            ("HMAC failure" | "header failure", Err(error)) => !matches!(error, SealError::Oversize { .. }),
            ("payload failure", Err(error)) => matches!(error, SealError::Damaged),
            _ => false,
        };
        assert!(fits, "{name}: {expected}: {:?}", opened.map(|plain| plain.len()));
        *outcomes.entry(expected.to_owned()).or_insert(0) += 1;
    }
    assert!(outcomes["success"] >= 10 && outcomes["header failure"] >= 25 && outcomes["payload failure"] >= 15);
}

#[test]
fn the_program_age_opens_ours_and_we_open_its() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let (identity, recipient) = seal::generate();
    fs::write(&key, format!("# a comment\n{identity}\n")).unwrap();
    let key = key.to_str().unwrap();
    // Empty, one byte, around the size of a chunk of the format, and as much as a file may have.
    for size in [0, 1, 65_535, 65_536, 65_537, fleet_health::wire::MAX_FILE] {
        let plain: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let ours = seal::seal(&[seal::generate().1, recipient.clone()], &plain).unwrap();
        assert!(through("age", &["-d", "-i", key], &ours) == plain, "age reads another text than we sealed: {size}");
        let theirs = through("age", &["-r", &recipient], &plain);
        assert!(seal::open(std::slice::from_ref(&identity), &theirs).unwrap() == plain, "{size}");
    }
    // And its keys are ours.
    let made = String::from_utf8(through("age-keygen", &[], b"")).unwrap();
    let identity = made.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap();
    let recipient = made.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    assert_eq!(seal::recipient_of(identity).unwrap(), recipient);
}

/// What parsing costs grows with the square of the header, so what counts is that little is ever parsed.
#[test]
fn no_more_than_four_kilobytes_of_header_are_ever_parsed() {
    let (identity, recipient) = seal::generate();
    let keys = [identity];
    let bomb = |stanzas: usize, body: usize| {
        let mut bytes = b"age-encryption.org/v1\n".to_vec();
        for _ in 0..stanzas {
            bytes.extend_from_slice(b"-> X25519 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
            bytes.extend(std::iter::repeat_n(b'A', body));
            bytes.push(b'\n');
        }
        bytes
    };
    // Whole lines, one endless line, one endless body; each with an end that comes too late.
    for mut bytes in [bomb(2000, 43), bomb(1, 200_000), bomb(1, 64 * 3000), b"age-encryption.org/v1\n-> X".to_vec()] {
        bytes.resize(bytes.len().max(5000), b'x');
        bytes.extend_from_slice(b"\n--- AAAA\n");
        assert_eq!(seal::open(&keys, &bytes), Err(SealError::BadHeader));
    }
    // The largest that a honest sender makes stays far below.
    let most = seal::seal(&vec![recipient; 32], b"x").unwrap();
    assert!(most.windows(5).position(|window| window == b"\n--- ").unwrap() < 4096 - 64);
    assert_eq!(seal::open(&keys, &most).unwrap(), b"x");
}
