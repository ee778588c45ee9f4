//! Which programs stand behind served TCP ports, by `ss`: a plain user is shown its own only.

use std::collections::BTreeMap;

use super::{Answer, Question, Who};
use crate::measure::command::Said;
use crate::measure::root::Root;
use crate::measure::text::lines;
use crate::model::sample::FaultKind;

pub(super) const QUESTION: Question = Question {
    name: "port",
    who: Who::Partly,
    idle: |_| None,
    asked: &[("/usr/bin/ss", ARGUMENTS), ("/usr/sbin/ss", ARGUMENTS), ("/sbin/ss", ARGUMENTS), ("/bin/ss", ARGUMENTS)],
    from: "ss (of iproute2)",
    fresh: 600,
    read,
};
const ARGUMENTS: &[&str] = &["-Hlntp"];
/// The most ports that are named.
const MOST: usize = 64;

/// `LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=1,fd=3))`.
fn read(_: &Root, said: &Said) -> Option<Answer> {
    let mut ports: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    let mut answer = Answer::default();
    for line in lines(&said.output) {
        let line = String::from_utf8_lossy(line).into_owned();
        let port = line.split_whitespace().nth(3).and_then(|local| local.rsplit_once(':')?.1.parse().ok());
        let Some(port) = port else { continue };
        let names = ports.entry(port).or_default();
        let Some((_, users)) = line.split_once("users:(") else {
            answer.silent = Some(FaultKind::Denied);
            continue;
        };
        for user in users.split("(\"").skip(1) {
            if let Some((name, _)) = user.split_once("\",pid=")
                && !names.iter().any(|other| other == name)
            {
                names.push(name.to_owned());
            }
        }
    }
    for (port, names) in ports.iter().filter(|(_, names)| !names.is_empty()).take(MOST) {
        answer.fact("port.process", &format!("tcp/{port}"), &names.join(", "));
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::super::tests::facts;
    use super::*;

    #[test]
    fn programs_behind_ports() {
        // iproute2 6.1.
        let text = "LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"sshd\",pid=812,fd=3))\n\
            LISTEN 0 511 *:80 *:* users:((\"nginx\",pid=9,fd=6),(\"nginx\",pid=8,fd=6),(\"a b\",pid=7,fd=6))\n\
            LISTEN 0 128 [::]:22 [::]:* users:((\"sshd\",pid=812,fd=4))\nLISTEN 0 5 127.0.0.1:9 0.0.0.0:*\nodd\n";
        let fact = |item: &str, text: &str| ("port.process".to_owned(), item.to_owned(), text.to_owned());
        assert_eq!(facts(read, text), [fact("tcp/22", "sshd"), fact("tcp/80", "nginx, a b")]);
        let said = |text: &str| Said { output: text.as_bytes().to_vec(), status: Some(0), ..Said::default() };
        let partly = |text: &str| {
            read(&Root::default(), &said(text)).is_some_and(|answer| answer.silent == Some(FaultKind::Denied))
        };
        assert!(partly(text) && !partly(text.lines().next().unwrap_or_default()));
    }
}
