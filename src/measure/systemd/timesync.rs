//! What systemd-timesyncd heard last from its server, over the system's bus: how far the clock was off then.

use std::time::Duration;

use super::bus::Bus;
use super::message::{Call, Given, Reply};
use crate::measure::root::Root;

const PATIENCE: Duration = Duration::from_secs(1);
const SERVICE: &str = "org.freedesktop.timesync1";
/// Where the clock was off by so many microseconds timesyncd sets it at once: then what it heard is true no longer.
const SET_AT_ONCE: i64 = 400_000;

/// The offset in seconds, and the stratum of this machine; `None` where it did not hear anything that holds now.
pub(in crate::measure) fn heard(root: &Root, now: i64, holds: i64) -> Option<(f64, u64)> {
    let mut bus = Bus::open(root, PATIENCE, false).ok()?;
    let call = Call {
        destination: SERVICE,
        path: "/org/freedesktop/timesync1",
        interface: "org.freedesktop.DBus.Properties",
        member: "Get",
        given: Given::Texts(&["org.freedesktop.timesync1.Manager", "NTPMessage"]),
    };
    read(&bus.ask(&[call]).ok()?.pop()??, now, holds)
}

/// Leap, version, mode, stratum, precision, two times, an address; when the question was sent, came, when the answer was
/// sent, came, in microseconds; whether it was ignored; and two counts.
fn read(reply: &Reply, now: i64, holds: i64) -> Option<(f64, u64)> {
    let mut values = reply.values();
    values.any_structure("(uuuuittayttttbtt)")?;
    let (leap, _version, _mode, stratum) = (values.number()?, values.number()?, values.number()?, values.number()?);
    let _precision = values.number()?;
    let (_delay, _dispersion) = (values.long()?, values.long()?);
    values.skip_bytes()?;
    let mut stamp = || i64::try_from(values.long()?).ok();
    let (sent, came, answered, heard) = (stamp()?, stamp()?, stamp()?, stamp()?);
    let ignored = values.number()? != 0;
    let offset = (came.saturating_sub(sent).saturating_add(answered.saturating_sub(heard)) / 2).checked_abs()?;
    // While a question is under way its time stands beside the stamps of the answer before: then they are out of order.
    let sound = sent <= heard && came <= answered && offset < SET_AT_ONCE;
    let true_now = (-60..holds).contains(&now.saturating_sub(heard / 1_000_000));
    let follows = leap != 3 && (1..15).contains(&stratum) && !ignored;
    #[allow(clippy::cast_precision_loss, reason = "less than a second")]
    (sound && true_now && follows).then_some((offset as f64 / 1e6, u64::from(stratum) + 1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::message::tests::message;
    use super::super::tests::serve;
    use super::*;
    use crate::measure::out::Out;
    use crate::measure::{Past, time};

    const NOW: i64 = 1_787_323_300;
    /// systemd 257 with a server that has a receiver of GPS.
    const STAMPS: [u64; 4] =
        [1_787_323_275_100_216, 1_787_323_275_104_113, 1_787_323_275_104_118, 1_787_323_275_107_131];

    fn body(leap: u32, stratum: u32, stamps: [u64; 4], ignored: u32) -> Vec<u8> {
        let mut body = vec![18];
        body.extend(b"(uuuuittayttttbtt)\0\0\0\0\0");
        for number in [leap, 4, 4, stratum, -25_i32 as u32] {
            body.extend(number.to_le_bytes());
        }
        body.extend([0; 4]);
        body.extend([15_u64, 31].map(u64::to_le_bytes).concat());
        body.extend(b"\x04\0\0\0GPS\0");
        body.extend(stamps.map(u64::to_le_bytes).concat());
        body.extend(ignored.to_le_bytes());
        body.extend([0; 4]);
        body.extend([4_u64, 355].map(u64::to_le_bytes).concat());
        body
    }

    fn said(leap: u32, stratum: u32, stamps: [u64; 4], ignored: u32, now: i64) -> Option<(f64, u64)> {
        let reply = Reply::parse(&message(false, 2, 1, None, &body(leap, stratum, stamps, ignored))).unwrap();
        read(&reply, now, 32_000)
    }

    /// It is `timedatectl timesync-status` that reckons so.
    #[test]
    fn the_offset_of_the_last_answer() {
        assert_eq!(said(0, 1, STAMPS, 0, NOW), Some((0.000_442, 2)));
        let [sent, came, answered, heard] = STAMPS;
        let behind = [sent, came + 200_000, answered + 200_000, heard];
        assert_eq!(said(0, 1, behind, 0, NOW), Some((0.200_442, 2)));
    }

    #[test]
    fn what_does_not_hold_now_is_no_offset() {
        let [sent, came, answered, heard] = STAMPS;
        assert_eq!(said(3, 1, STAMPS, 0, NOW), None, "the server itself follows nobody");
        assert_eq!((said(0, 0, STAMPS, 0, NOW), said(0, 16, STAMPS, 0, NOW)), (None, None), "no stratum");
        assert_eq!(said(0, 1, STAMPS, 1, NOW), None, "ignored");
        assert_eq!(
            (said(0, 1, STAMPS, 0, NOW + 40_000), said(0, 1, STAMPS, 0, NOW - 4000)),
            (None, None),
            "of long ago"
        );
        let set = [sent, came + 3_600_000_000, answered + 3_600_000_000, heard];
        assert_eq!(said(0, 1, set, 0, NOW), None, "the clock was set an hour forward at once");
        let under_way = [heard + 5_000_000, came, answered, heard];
        assert_eq!(said(0, 1, under_way, 0, NOW), None, "the next question is under way");
        assert_eq!((said(0, 1, [0; 4], 0, NOW), said(0, 1, [u64::MAX; 4], 0, NOW)), (None, None));
    }

    /// Plain users were told that there was none.
    #[test]
    fn the_clock_of_a_machine_with_timesyncd_has_an_offset() {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let file = folder.path().join("run/systemd/timesync/synchronized");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "").unwrap();
        let touched = rustix::fs::Timespec { tv_sec: NOW - 30, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: touched, last_modification: touched };
        rustix::fs::utimensat(rustix::fs::CWD, &file, &times, rustix::fs::AtFlags::empty()).unwrap();
        serve(folder.path(), Arc::new(|call| call.contains("NTPMessage").then(|| body(0, 1, STAMPS, 0))));
        let mut out = Out::beside(None, &Arc::new(Past { now: NOW, ..Past::default() }));
        time::collect(&Root::at(folder.path()), &mut out);
        let got = out.into_measured();
        let found: Vec<_> = got.readings.iter().map(|r| (r.metric.as_str(), r.value)).collect();
        assert_eq!(found, [("time.synchronized", 1.0), ("time.offset", 0.000_442), ("time.stratum", 2.0)]);
        assert!(got.faults.is_empty(), "{:?}", got.faults);
    }

    proptest! {
        #[test]
        fn any_answer_is_a_small_offset_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200), stamps: [u64; 4]) {
            if let Some(reply) = Reply::parse(&message(false, 2, 1, None, &bytes)) {
                let _ = read(&reply, NOW, 32_000);
            }
            prop_assert!(said(0, 1, stamps, 0, NOW).is_none_or(|(offset, _)| (0.0..0.4).contains(&offset)));
        }
    }
}
