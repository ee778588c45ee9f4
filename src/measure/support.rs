//! Until when the distribution gets security updates.

use chrono::NaiveDate;

use super::out::Out;
use super::root::Root;
use super::text::lines;

/// The last day with security updates for everybody, of releases that do not say it themselves and carry no table.
/// Sources: Debian (with LTS) and Ubuntu (without Pro) as in distro-info-data of 2026; Red Hat, CentOS, Amazon, Alpine,
/// openSUSE as their life cycle pages say; AlmaLinux and Rocky follow Red Hat.
const ENDS: &[(&str, &str, &str)] = &[
    ("debian", "9", "2022-06-30"),
    ("debian", "10", "2024-06-30"),
    ("debian", "11", "2026-08-31"),
    ("debian", "12", "2028-06-30"),
    ("debian", "13", "2030-06-30"),
    ("ubuntu", "16.04", "2021-04-30"),
    ("ubuntu", "18.04", "2023-05-31"),
    ("ubuntu", "20.04", "2025-05-29"),
    ("ubuntu", "22.04", "2027-06-01"),
    ("ubuntu", "24.04", "2029-05-31"),
    ("ubuntu", "25.10", "2026-07-09"),
    ("ubuntu", "26.04", "2031-05-29"),
    ("ubuntu", "26.10", "2027-07-15"),
    ("rhel", "7", "2024-06-30"),
    ("rhel", "8", "2029-05-31"),
    ("rhel", "9", "2032-05-31"),
    ("rhel", "10", "2035-05-31"),
    ("almalinux", "8", "2029-05-31"),
    ("almalinux", "9", "2032-05-31"),
    ("almalinux", "10", "2035-05-31"),
    ("rocky", "8", "2029-05-31"),
    ("rocky", "9", "2032-05-31"),
    ("rocky", "10", "2035-05-31"),
    ("centos", "7", "2024-06-30"),
    ("centos", "8", "2024-05-31"),
    ("centos", "9", "2027-05-31"),
    ("amzn", "2", "2026-06-30"),
    ("alpine", "3.18", "2025-05-09"),
    ("alpine", "3.19", "2025-11-01"),
    ("alpine", "3.20", "2026-04-01"),
    ("alpine", "3.21", "2026-11-01"),
    ("alpine", "3.22", "2027-05-01"),
    ("opensuse-leap", "15.5", "2024-12-31"),
    ("opensuse-leap", "15.6", "2026-04-30"),
];

/// Puts the end as a fact and the time until then: by os-release itself, by the host's table of distro-info-data, which
/// may be newer than ours, or by ours.
pub(super) fn put(root: &Root, id: &str, version: &str, told: &str, out: &mut Out) {
    let end = date(told).or_else(|| own_table(root, id, version)).or_else(|| {
        let known = |(other, release, _): &&(&str, &str, &str)| *other == id && is_of(release, version);
        date(ENDS.iter().find(known)?.2)
    });
    // A release that is always the newest has no end.
    let Some(end) = end else { return };
    out.fact("host.support.end", "", &end.to_string());
    // The day itself is still within.
    let over = end.succ_opt().and_then(|day| day.and_hms_opt(0, 0, 0)).map(|at| at.and_utc().timestamp());
    if let Some(over) = over {
        #[allow(clippy::cast_precision_loss, reason = "seconds of centuries are far below 2^53")]
        out.put("host.support.remaining", "", over.saturating_sub(out.past.now) as f64);
    }
}

/// `9.4` is of `9`, `3.20.1` of `3.20`, `24.04` of itself.
fn is_of(release: &str, version: &str) -> bool {
    version.strip_prefix(release).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// `12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-07-11,2028-06-30,...`: of Debian the end of LTS counts.
fn own_table(root: &Root, id: &str, version: &str) -> Option<NaiveDate> {
    let column = match id {
        "debian" => 6,
        "ubuntu" => 5,
        _ => return None,
    };
    let bytes = root.read_at_most(format!("/usr/share/distro-info/{id}.csv"), 64 * 1024).ok()?;
    lines(&bytes).find_map(|line| {
        let line = String::from_utf8_lossy(line).into_owned();
        let mut fields = line.split(',');
        let release = fields.next()?;
        let release = release.strip_suffix(" LTS").unwrap_or(release);
        (release == version && !release.is_empty()).then(|| date(fields.nth(column - 1)?))?
    })
}

/// `2028-06-30`.
fn date(text: &str) -> Option<NaiveDate> {
    let mut parts = text.trim().splitn(3, '-');
    let (year, month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    NaiveDate::from_ymd_opt(year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::machine;

    fn end(root: &Root, id: &str, version: &str, told: &str) -> Option<(String, f64)> {
        let past = super::super::Past { now: 1_700_000_000, ..Default::default() };
        let mut out = Out::beside(None, &std::sync::Arc::new(past));
        put(root, id, version, told, &mut out);
        let got = out.into_measured();
        Some((got.facts.first()?.text.clone(), got.readings.first()?.value))
    }

    #[test]
    fn the_end_is_told_by_the_release_its_table_or_ours() {
        let (_folder, bare) = machine("== /etc/x\n");
        let day = |found: Option<(String, f64)>| found.map(|(day, _)| day);
        assert_eq!(end(&bare, "debian", "12", ""), Some(("2028-06-30".to_owned(), 146_022_400.0)));
        assert_eq!(end(&bare, "debian", "9", "").map(|(_, left)| left < 0.0), Some(true));
        assert_eq!(day(end(&bare, "rocky", "9.4", "")).as_deref(), Some("2032-05-31"));
        assert_eq!(day(end(&bare, "alpine", "3.20.1", "")).as_deref(), Some("2026-04-01"));
        assert_eq!(day(end(&bare, "fedora", "44", "2027-05-19")).as_deref(), Some("2027-05-19"));
        assert_eq!((day(end(&bare, "debian", "1", "")), day(end(&bare, "arch", "", "soon"))), (None, None));
        assert_eq!(day(end(&bare, "alpine", "3.2", "")), None, "3.2 is not 3.20");
        // distro-info-data 0.58.
        let (_folder, root) = machine(
            "== /usr/share/distro-info/ubuntu.csv\nversion,codename,series,created,release,eol,eol-server,eol-esm\n\
             24.04 LTS,Noble Numbat,noble,2023-10-12,2024-04-25,2029-06-01,2029-05-31,2034-04-25\n27.04,X,x,2026-10-16\n",
        );
        assert_eq!(day(end(&root, "ubuntu", "24.04", "")).as_deref(), Some("2029-06-01"));
        assert_eq!(day(end(&root, "ubuntu", "27.04", "")), None);
    }

    #[test]
    fn all_our_dates_are_dates() {
        assert!(ENDS.iter().all(|(.., day)| date(day).is_some()));
    }
}
