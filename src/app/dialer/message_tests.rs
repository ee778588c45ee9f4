use proptest::prelude::*;

use super::*;

fn spec(address: &str, passphrase: Option<SecretSource>, password: Option<SecretSource>) -> SshSpec {
    SshSpec {
        address: address.into(),
        port: 2222,
        user: "fleet".into(),
        key_files: vec!["/k/one".into(), "/k/two \u{e9}".into()],
        passphrase,
        password,
        agent: true,
        agent_socket: Some("/run/agent".into()),
        agent_keys: vec!["AAAA".into()],
        known_hosts: vec!["/k/known_hosts".into()],
        unknown_hosts: UnknownHosts::AcceptNew,
        fingerprint: Some("SHA256:x".into()),
        certificate_files: vec!["/k/one-cert.pub".into()],
        known_as: Some("alias".into()),
        connect_timeout: Some(Duration::from_millis(1500)),
        jumps: Vec::new(),
    }
}

fn job() -> Job {
    let way = |name: &str, source| Hop { name: name.into(), ssh: spec(name, Some(source), None) };
    let mut ssh = spec(
        "192.0.2.1",
        Some(SecretSource::Inline(Secret::new("hunter2".into()))),
        Some(SecretSource::File("/k/pw".into())),
    );
    ssh.jumps = vec![
        way("b1", SecretSource::Environment("PW".into())),
        way("b2", SecretSource::Command("pass ssh".into())),
        way("b3", SecretSource::Credential("pw".into())),
    ];
    Job {
        host: "web1".into(),
        transport: Transport::Ssh(ssh),
        nonce: "0123456789abcdef0123456789abcdef".into(),
        task: Secret::new("{\"v\":1}".into()),
        pull_bytes: 1 << 40,
        pull_files: 64,
        probes: "/usr/lib/probes".into(),
        timeout: Duration::from_secs(60),
    }
}

fn orders() -> Vec<Order> {
    let names = vec!["0d2f7d1a-0000000007.age".to_owned(); 3];
    let fence =
        Fence { closed: vec!["/a".into(), "/b".into()], open: vec!["/c".into()], write: Some(vec!["/d".into()]) };
    vec![
        Order::Begin { width: 64, probes: "/p".into(), fence },
        Order::Visit(Box::new(job())),
        Order::Visit(Box::new(Job { transport: Transport::Local, ..job() })),
        Order::Answer(ToDialer { host: "web1".into(), acknowledged: names }),
    ]
}

fn words() -> Vec<Said> {
    let host = || "web1".to_owned();
    let traffic = Traffic { sent: 1, received: u64::MAX, round_trips: 8, shipped: true };
    let took = Duration::from_micros(1_234_567);
    let all = [
        FromDialer::Sealed { host: host(), name: "0d2f7d1a-0000000007.age".into(), bytes: vec![0, 255, 10] },
        FromDialer::Pulled { host: host(), left: 3, dropped: 1 << 33 },
        FromDialer::Finished { host: host(), traffic },
        FromDialer::Failed { host: host(), cause: Cause::Refused, text: "no \u{e9}".into(), traffic },
    ];
    all.into_iter().map(|what| Said { what, took }).collect()
}

#[test]
fn every_message_survives_with_all_its_fields() {
    for order in orders() {
        let bytes = order.encode();
        let read = Order::decode(&bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{order:?}"));
        assert_eq!(read.encode(), bytes, "secrets too, which Debug does not show");
    }
    for said in words() {
        let bytes = said.encode();
        let read = Said::decode(&bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{said:?}"));
    }
}

#[test]
fn a_message_that_is_cut_off_or_goes_on_is_none() {
    let all: Vec<Vec<u8>> = orders().iter().map(Order::encode).chain(words().iter().map(Said::encode)).collect();
    for (number, whole) in all.iter().enumerate() {
        let is_message = |bytes: &[u8]| {
            if number < orders().len() { Order::decode(bytes).is_ok() } else { Said::decode(bytes).is_ok() }
        };
        assert!(is_message(whole));
        for length in 0..whole.len() {
            assert!(!is_message(&whole[..length]), "{number} cut at {length}");
        }
        assert!(!is_message(&[whole.as_slice(), &[0]].concat()), "{number}");
    }
}

#[test]
fn what_can_be_asked_for_fits_into_a_message() {
    let largest = Job { task: Secret::new("x".repeat(MAX_TASK)), ..job() };
    assert!(Order::Visit(Box::new(largest)).encode().len() < MAX_ORDER);
    let file = crate::wire::frame::Limits::of(0, 1).file;
    let what = FromDialer::Sealed { host: "h".repeat(64), name: "n".repeat(23), bytes: vec![0; file] };
    assert!(Said { what, took: Duration::MAX }.encode().len() <= MAX_SAID);
}

proptest! {
    #[test]
    fn any_bytes_are_one_message_or_none(kind in 0_u8..5, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&[kind], bytes.as_slice()].concat();
        if let Ok(said) = Said::decode(&bytes) {
            prop_assert_eq!(said.encode(), &bytes[..]);
        }
        if let Ok(order) = Order::decode(&bytes) {
            prop_assert_eq!(order.encode(), bytes);
        }
    }

    #[test]
    fn any_changed_message_is_one_or_none(number in 0_usize..4, at in 0_usize..300, byte in any::<u8>()) {
        let mut bytes = words()[number].encode();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(said) = Said::decode(&bytes) {
            prop_assert_eq!(said.encode(), bytes);
        }
        let mut bytes = orders()[number].encode();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(order) = Order::decode(&bytes) {
            prop_assert_eq!(order.encode(), bytes);
        }
    }
}
