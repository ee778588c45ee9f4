//! What the board's own controller measures and judges, by `ipmitool`.

use super::{Answer, Question, Who};
use crate::measure::command::Said;
use crate::measure::root::Root;
use crate::measure::text::lines;

const DEVICES: [&str; 3] = ["/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0"];

pub(super) const QUESTION: Question = Question {
    name: "ipmi",
    who: Who::Root,
    idle: |root| {
        let there = DEVICES.iter().any(|device| root.path(device).exists());
        (!there).then(|| "/dev/ipmi0: no controller of the board, or its driver is not loaded".to_owned())
    },
    asked: &[("/usr/bin/ipmitool", &["sdr", "elist", "all"]), ("/usr/sbin/ipmitool", &["sdr", "elist", "all"])],
    from: "ipmitool",
    fresh: 600,
    read,
};

/// Words of a sensor without limits that tell of trouble; the graver ones.
const BROKEN: [&str; 6] = ["failure detected", "ac lost", "fault", "non-redundant", "redundancy lost", "uncorrectable"];
/// The lighter ones.
const WORN: [&str; 3] = ["predictive", "redundancy degraded", "battery low"];

/// `Inlet Temp       | 04h | ok  |  7.1 | 23 degrees C`.
fn read(_: &Root, said: &Said) -> Option<Answer> {
    let mut answer = Answer::default();
    let mut names: Vec<String> = Vec::new();
    for line in lines(&said.output) {
        let line = String::from_utf8_lossy(line).into_owned();
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let &[name, number, state, _, reading] = fields.as_slice() else { continue };
        // `ns`: nothing is plugged in there.
        if state == "ns" || name.is_empty() {
            continue;
        }
        // Boards give the sensors of two processors one name.
        let twice = names.iter().any(|other| other == name);
        let item = if twice { format!("ipmi/{name} {number}") } else { format!("ipmi/{name}") };
        names.push(name.to_owned());
        let mut words = reading.split(' ');
        let value = words.next().and_then(|word| word.parse::<f64>().ok()).filter(|value| value.is_finite());
        let unit = words.collect::<Vec<_>>().join(" ");
        match (value, unit.as_str()) {
            (Some(value), "degrees C") => answer.value("temperature", &item, value),
            (Some(value), "RPM") if value >= 0.0 => answer.value("fan.speed", &item, value),
            (Some(value), "Watts") if value >= 0.0 => answer.value("power.draw", &item, value),
            _ => {}
        }
        let said = reading.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        let alarm = match state {
            "cr" | "nr" => 2.0,
            _ if value.is_none() && says(&BROKEN) => 2.0,
            "nc" => 1.0,
            _ if value.is_none() && says(&WORN) => 1.0,
            _ => 0.0,
        };
        answer.value("ipmi.alarm", &item, alarm);
    }
    (!names.is_empty()).then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::super::tests::values;
    use super::*;

    #[test]
    fn a_board_of_two_processors_with_a_dead_supply() {
        // ipmitool 1.8.18, as servers of Dell answer.
        let text = "Inlet Temp       | 04h | ok  |  7.1 | 23 degrees C\nTemp             | 0Eh | ok  |  3.1 | 41 degrees C\n\
            Temp             | 0Fh | cr  |  3.2 | 96 degrees C\nFan1 RPM         | 30h | ok  |  7.1 | 4920 RPM\n\
            Fan9 RPM         | 38h | ns  |  7.1 | No Reading\nPwr Consumption  | 77h | nc  |  7.1 | 168 Watts\n\
            Status           | 85h | ok  | 10.1 | Presence detected\n\
            Status           | 86h | ok  | 10.2 | Presence detected, Power Supply AC lost\n\
            PS Redundancy    | 74h | ok  |  7.1 | Redundancy Degraded\n";
        assert_eq!(
            values(read, text),
            [
                ("temperature", "ipmi/Inlet Temp", 23.0),
                ("ipmi.alarm", "ipmi/Inlet Temp", 0.0),
                ("temperature", "ipmi/Temp", 41.0),
                ("ipmi.alarm", "ipmi/Temp", 0.0),
                ("temperature", "ipmi/Temp 0Fh", 96.0),
                ("ipmi.alarm", "ipmi/Temp 0Fh", 2.0),
                ("fan.speed", "ipmi/Fan1 RPM", 4920.0),
                ("ipmi.alarm", "ipmi/Fan1 RPM", 0.0),
                ("power.draw", "ipmi/Pwr Consumption", 168.0),
                ("ipmi.alarm", "ipmi/Pwr Consumption", 1.0),
                ("ipmi.alarm", "ipmi/Status", 0.0),
                ("ipmi.alarm", "ipmi/Status 86h", 2.0),
                ("ipmi.alarm", "ipmi/PS Redundancy", 1.0),
            ]
            .map(|(metric, item, value)| (metric.to_owned(), item.to_owned(), value))
        );
    }
}
