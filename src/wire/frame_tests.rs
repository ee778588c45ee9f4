use proptest::prelude::*;

use super::*;

const NONCE: &str = "0123456789abcdef0123456789abcdef";
const NAME: &str = "0d2f7d1a-0000000007.age";
const NEXT: &str = "0d2f7d1a-0000000008.age";

fn frame() -> Vec<u8> {
    let mut out = Vec::new();
    write_start(&mut out, NONCE).unwrap();
    write_file(&mut out, NAME, b"sealed\nbytes").unwrap();
    write_file(&mut out, NEXT, b"").unwrap();
    write_end(&mut out, NONCE, 2, 3, 4).unwrap();
    out
}

fn all(bytes: &[u8]) -> Result<Vec<Item>, FrameError> {
    let mut reader = Reader::new(bytes, NONCE, Limits::of(8 << 20, 64));
    let mut items = Vec::new();
    loop {
        let item = reader.next()?;
        items.push(item.clone());
        if matches!(item, Item::End { .. }) {
            assert!(matches!(reader.next(), Err(FrameError::Ended)));
            return Ok(items);
        }
    }
}

fn items() -> Vec<Item> {
    vec![
        Item::File { name: NAME.into(), bytes: b"sealed\nbytes".to_vec() },
        Item::File { name: NEXT.into(), bytes: vec![] },
        Item::End { left: 3, dropped: 4 },
    ]
}

#[test]
fn files_survive_the_line() {
    assert_eq!(all(&frame()).unwrap(), items());
}

#[test]
fn noise_before_the_start_does_no_harm_even_without_a_line_break() {
    for noise in [&b"Welcome\r\n\xff\xfe\n"[..], b"no break FLEET1 ", &[b'x'; 64 * 1024]] {
        let mut bytes = noise.to_vec();
        bytes.extend(frame());
        assert_eq!(all(&bytes).unwrap(), items());
    }
}

#[test]
fn endless_noise_is_given_up_at_its_limit() {
    let mut reader = Reader::new(io::repeat(b'y'), NONCE, Limits::of(8 << 20, 64));
    assert!(matches!(reader.next(), Err(FrameError::Noise(n)) if n < 66_000));
    let mut reader = Reader::new(&b"This account is currently not available.\n"[..], NONCE, Limits::of(8 << 20, 64));
    assert!(matches!(reader.next(), Err(FrameError::Ended)));
    assert!(reader.noise().starts_with("This account") && !reader.started());
}

#[test]
fn another_runs_frame_is_noise() {
    let other = String::from_utf8(frame()).unwrap().replace(NONCE, &"f".repeat(32));
    assert!(matches!(all(other.as_bytes()), Err(FrameError::Ended)));
}

#[test]
fn every_truncation_is_an_error() {
    let whole = frame();
    for length in 0..whole.len() {
        assert!(matches!(all(&whole[..length]), Err(FrameError::Ended)), "cut at {length}");
    }
}

#[test]
fn lies_are_told_apart() {
    let text = String::from_utf8(frame()).unwrap();
    let change = |from: &str, to: &str| all(text.replacen(from, to, 1).as_bytes());
    assert!(matches!(change(" 12 ", " 99999999 "), Err(FrameError::Oversize(_))));
    assert!(matches!(change(" 12 ", " 18446744073709551616 "), Err(FrameError::Malformed(_))));
    assert!(matches!(change("sealed", "SEALED"), Err(FrameError::Malformed(_))));
    assert!(matches!(change(NAME, "../../.ssh/authorized_k"), Err(FrameError::Malformed(_))));
    assert!(matches!(change(NEXT, NAME), Err(FrameError::Malformed(_))));
    assert!(matches!(change(" 2 3 4", " 1 3 4"), Err(FrameError::Malformed(_))));
    assert!(matches!(change(" 2 3 4", " 2 -3 4"), Err(FrameError::Malformed(_))));
    let long = format!("FLEET1 {NONCE}\n{}", "z".repeat(5000));
    assert!(matches!(all(long.as_bytes()), Err(FrameError::Io(_))));
}

#[test]
fn many_files_and_bytes_are_bounded() {
    let limits = Limits { total: 10, files: 1, ..Limits::of(8 << 20, 64) };
    let bytes = frame();
    let mut reader = Reader::new(&bytes[..], NONCE, limits);
    assert!(matches!(reader.next(), Err(FrameError::Oversize(_))));
    let mut reader = Reader::new(&bytes[..], NONCE, Limits { files: 1, ..Limits::of(8 << 20, 64) });
    assert!(reader.next().is_ok());
    assert!(matches!(reader.next(), Err(FrameError::Oversize(_))));
    assert!(matches!(reader.next(), Err(FrameError::Ended)));
}

#[test]
fn a_probe_tells_why_it_cannot() {
    let mut out = Vec::new();
    write_start(&mut out, NONCE).unwrap();
    write_fail(&mut out, Cause::DiskFull, "/home/x: no\nspace \u{1b}left").unwrap();
    let mut reader = Reader::new(&out[..], NONCE, Limits::of(8 << 20, 64));
    let Err(FrameError::Reported { cause, text }) = reader.next() else { panic!("not reported") };
    assert_eq!((cause, text.as_str()), (Cause::DiskFull, "/home/x: no?space ?left"));
}

#[test]
fn a_host_reports_only_what_is_its_own_to_know() {
    let reported = |word: &str| {
        let said = format!("FLEET1 {NONCE}\nfail {word} its text\n");
        let Err(FrameError::Reported { cause, text }) = all(said.as_bytes()) else { panic!("not reported: {word}") };
        assert_eq!(text, "its text");
        cause
    };
    let known = ["disk-full", "read-only", "unsafe-directory", "no-exec", "no-probe", "probe-failed", "deadline"];
    for word in Cause::ALL.iter().map(|cause| cause.word()).chain(["new-cause"]) {
        let expected = if known.contains(&word) { word } else { "probe-failed" };
        assert_eq!(reported(word).word(), expected, "{word}");
    }
}

#[test]
fn acknowledgements_survive_and_never_name_a_path() {
    let mut line = Vec::new();
    write_answer(&mut line, &[NAME.into(), "../../x".into(), NEXT.into()]).unwrap();
    line.extend_from_slice(b"ack 0d2f7d1a-0000000009.age\n");
    assert_eq!(read_answer(&mut &line[..]).unwrap(), [NAME, NEXT]);
    let broken = format!("ack {NAME}\nack ../../../../../x.age\nnoise\nack {}", &NEXT[..12]);
    assert_eq!(read_answer(&mut broken.as_bytes()).unwrap(), [NAME]);
    assert!(read_answer(&mut &b""[..]).unwrap().is_empty());
}

proptest! {
    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut started = format!("FLEET1 {NONCE}\n").into_bytes();
        started.extend(&bytes);
        let _ = all(&started);
        let _ = all(&bytes);
        let _ = read_answer(&mut &bytes[..]);
    }

    #[test]
    fn any_file_survives(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut out = Vec::new();
        write_start(&mut out, NONCE).unwrap();
        write_file(&mut out, NAME, &bytes).unwrap();
        write_end(&mut out, NONCE, 1, 0, 0).unwrap();
        let expected = vec![Item::File { name: NAME.into(), bytes }, Item::End { left: 0, dropped: 0 }];
        prop_assert_eq!(all(&out).unwrap(), expected);
    }
}
