//! What the kernel says of its clock where no service of time does: the first sample asks by itself, the next ones show
//! what was answered meanwhile, because a program costs a sample more than most of its sections.

use super::{Answer, Question, Who};
use crate::measure::command::Said;
use crate::measure::root::Root;
use crate::measure::time::{KERNEL, TIMESYNC, kernel_said};

pub(super) const QUESTION: Question = Question {
    name: "time",
    who: Who::Anybody,
    idle: |root| root.path(TIMESYNC).is_dir().then(|| "systemd-timesyncd says it".to_owned()),
    asked: KERNEL,
    from: "adjtimex, busybox or timedatectl",
    fresh: 600,
    read,
};

fn read(_: &Root, said: &Said) -> Option<Answer> {
    let clock = kernel_said(&String::from_utf8_lossy(&said.output))?;
    let mut answer = Answer::default();
    for (metric, value) in clock.values().into_iter().flatten() {
        answer.value(metric, "", value);
    }
    answer.fact("time.source", "", &clock.source);
    Some(answer)
}
