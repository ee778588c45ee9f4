//! Thin pools, snapshots and the health of logical volumes, by `lvs`.

use super::{Answer, Question, Who};
use crate::measure::command::Said;
use crate::measure::folder::{Folder, names, shown};
use crate::measure::root::Root;
use crate::measure::text::lines;

pub(super) const QUESTION: Question = Question {
    name: "pool.lvm",
    who: Who::Root,
    idle,
    asked: &[("/usr/sbin/lvs", ARGUMENTS), ("/sbin/lvs", ARGUMENTS)],
    from: "lvs (of lvm2)",
    fresh: 600,
    read,
};
const ARGUMENTS: &[&str] =
    &["--noheadings", "--separator", "|", "-o", "vg_name,lv_name,lv_attr,data_percent,metadata_percent"];

/// The device mapper says without root whether a volume is one of LVM's.
fn idle(root: &Root) -> Option<String> {
    let is_volume = |name: &Vec<u8>| {
        let folder = Folder::open(root, format!("/sys/block/{}", shown(name)));
        folder.ok().and_then(|folder| folder.text("dm/uuid")).is_some_and(|uuid| uuid.starts_with("LVM-"))
    };
    let any = names(root, "/sys/block").iter().filter(|name| name.starts_with(b"dm-")).any(is_volume);
    (!any).then(|| "no active logical volumes".to_owned())
}

/// `  vg0|pool|twi-aotz--|45.12|10.01`.
fn read(_: &Root, said: &Said) -> Option<Answer> {
    let mut answer = Answer::default();
    for line in lines(&said.output) {
        let line = String::from_utf8_lossy(line).into_owned();
        let fields: Vec<&str> = line.trim().split('|').collect();
        let &[group, volume, attributes, data, metadata] = fields.as_slice() else { continue };
        let letter = |at: usize| attributes.as_bytes().get(at).copied().unwrap_or(b'-');
        let item = format!("{group}/{volume}");
        // Partial, failed, out of data, or read-only for want of metadata; then what a refresh or a repair mends.
        let alarm = match letter(8) {
            b'p' | b'F' | b'D' | b'M' | b'X' => 2.0,
            b'r' | b'm' | b'w' | b'E' => 1.0,
            _ => 0.0,
        };
        // A snapshot that ran full is lost.
        let lost = matches!(letter(4), b'I' | b'S');
        answer.value("lvm.alarm", &item, if lost { 2.0 } else { alarm });
        // A thin volume's share is of its own size, which says nothing of what is left.
        if matches!(letter(0), b't' | b's' | b'S') {
            for (metric, percent) in [("lvm.used", data), ("lvm.metadata.used", metadata)] {
                if let Some(percent) = percent.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent)) {
                    answer.value(metric, &item, (percent * 100.0).round() / 1e4);
                }
            }
        }
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::super::tests::values;
    use super::*;

    #[test]
    fn pools_snapshots_and_broken_volumes() {
        // lvm2 2.03.
        let text = "  vg0|pool|twi-aotz--|45.12|10.01\n  vg0|thin|Vwi-a-tz--|99.00|\n  vg0|root|-wi-ao----||\n\
                    \x20 vg0|old|swi-I-s---|100.00|\n  vg1|mirror|rwi-a-r-p-|100.00|\n  vg1|full|twi-aotzD-|100.00|33.20\n  odd\n";
        assert_eq!(
            values(read, text),
            [
                ("lvm.alarm", "vg0/pool", 0.0),
                ("lvm.used", "vg0/pool", 0.4512),
                ("lvm.metadata.used", "vg0/pool", 0.1001),
                ("lvm.alarm", "vg0/thin", 0.0),
                ("lvm.alarm", "vg0/root", 0.0),
                ("lvm.alarm", "vg0/old", 2.0),
                ("lvm.used", "vg0/old", 1.0),
                ("lvm.alarm", "vg1/mirror", 2.0),
                ("lvm.alarm", "vg1/full", 2.0),
                ("lvm.used", "vg1/full", 1.0),
                ("lvm.metadata.used", "vg1/full", 0.332),
            ]
            .map(|(metric, item, value)| (metric.to_owned(), item.to_owned(), value))
        );
    }
}
