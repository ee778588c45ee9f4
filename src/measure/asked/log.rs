//! What the kernel wrote into its log: who was killed for want of memory, and what crashed; by `dmesg`.

use super::{Answer, Question, Who};
use crate::measure::command::Said;
use crate::measure::root::Root;
use crate::measure::text::lines;

pub(super) const QUESTION: Question = Question {
    name: "kernel.log",
    who: Who::Perhaps,
    idle: |_| None,
    asked: &[("/usr/bin/dmesg", &[]), ("/bin/dmesg", &[])],
    from: "dmesg",
    fresh: 600,
    read,
};

/// The most names that are shown; the last ones.
const MOST: usize = 8;

/// `[ 12.3] Out of memory: Killed process 77 (java) total-vm:...`, before Linux 5.0 `Kill process`; `x[7]: segfault at 0`.
fn read(_: &Root, said: &Said) -> Option<Answer> {
    let (mut victims, mut crashed, mut crashes) = (Vec::new(), Vec::new(), 0_u32);
    for line in lines(&said.output) {
        let line = String::from_utf8_lossy(line).into_owned();
        if let Some((_, rest)) = line.split_once("Killed process ") {
            let pid = rest.split([' ', ',']).next().unwrap_or_default();
            let name = rest.split_once('(').and_then(|(_, rest)| Some(rest.rsplit_once(')')?.0));
            // What follows the name may have parentheses of its own.
            let name = name.map(|name| name.split_once(") ").map_or(name, |(name, _)| name));
            victims.extend(name.map(|name| format!("{name}[{pid}]")));
        } else if let Some((head, _)) =
            line.split_once(": segfault at ").or_else(|| line.split_once(" general protection fault "))
        {
            crashes = crashes.saturating_add(1);
            let who = head.rsplit(['>', ' ']).find(|word| word.contains('[') && word.ends_with(']'));
            crashed.extend(who.or_else(|| head.rsplit(' ').next()).map(|who| who.trim_end_matches(':').to_owned()));
        }
    }
    let last = |mut names: Vec<String>| {
        names.dedup();
        names.drain(..names.len().saturating_sub(MOST));
        names.join(", ")
    };
    let mut answer = Answer::default();
    answer.value("kernel.crashes", "", f64::from(crashes));
    answer.fact("kernel.oom-victims", "", &last(victims));
    answer.fact("kernel.crashed", "", &last(crashed));
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{facts, values};
    use super::*;

    #[test]
    fn victims_and_crashes_of_real_kernels() {
        // Linux 6.1, 4.18 and a container's limit.
        let text = "[    0.0] Linux version 6.1.0\n\
            [  101.5] Out of memory: Killed process 4411 (java) total-vm:123kB, anon-rss:1kB (x) oom_score_adj:0\n\
            [  102.5] Memory cgroup out of memory: Killed process 77 (a b) (c) total-vm:1kB\n\
            [  103.5] Killed process 9 (mysqld), UID 27, total-vm:5kB\n\
            [  104.5] nginx[812]: segfault at 0 ip 00007f rsp 00007f error 4 in libc.so.6[7f+1]\n\
            [  105.5] traps: php-fpm[815] general protection fault ip:7f sp:7f error:0 in libc.so.6\n";
        assert_eq!(values(read, text), [("kernel.crashes".to_owned(), String::new(), 2.0)]);
        assert_eq!(
            facts(read, text),
            [
                ("kernel.oom-victims".to_owned(), String::new(), "java[4411], a b[77], mysqld[9]".to_owned()),
                ("kernel.crashed".to_owned(), String::new(), "nginx[812], php-fpm[815]".to_owned()),
            ]
        );
    }
}
