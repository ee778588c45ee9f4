//! Whether rules of a firewall are loaded, by `nft` (which shows those of iptables-nft too) or `iptables-save`.

use super::{Answer, Question, Who};
use crate::measure::command::Said;
use crate::measure::root::Root;
use crate::measure::text::lines;

pub(super) const QUESTION: Question = Question {
    name: "security.firewall",
    who: Who::Root,
    idle: |_| None,
    asked: &[
        ("/usr/sbin/nft", &["-s", "list", "ruleset"]),
        ("/sbin/nft", &["-s", "list", "ruleset"]),
        ("/usr/sbin/iptables-save", &[]),
        ("/sbin/iptables-save", &[]),
    ],
    from: "neither nft nor iptables-save",
    fresh: 3600,
    read,
};

fn read(_: &Root, said: &Said) -> Option<Answer> {
    let (mut rules, mut in_chain) = (0_u32, false);
    for line in lines(&said.output).map(<[u8]>::trim_ascii) {
        match line {
            _ if line.starts_with(b"-A ") => rules = rules.saturating_add(1),
            b"}" => in_chain = false,
            _ if line.starts_with(b"chain ") => in_chain = true,
            // Where the chain hangs, its policy, a remark.
            _ if line.starts_with(b"type ") || line.starts_with(b"policy ") || line.starts_with(b"comment ") => {}
            _ if in_chain => rules = rules.saturating_add(1),
            _ => {}
        }
    }
    let mut answer = Answer::default();
    answer.value("security.firewall.rules", "", f64::from(rules));
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::super::tests::values;
    use super::*;

    #[test]
    fn rules_of_both_programs() {
        let nft = "table inet filter {\n\tset allowed {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1 }\n\t}\n\tchain input {\n\
            \t\ttype filter hook input priority filter; policy drop;\n\t\tct state established accept\n\t\ttcp dport { 22, 80 } accept\n\t}\n\
            \tchain output {\n\t\ttype filter hook output priority 0; policy accept;\n\t}\n}\n";
        let iptables = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n";
        let count = |text: &str| values(read, text)[0].2;
        assert_eq!((count(nft), count(iptables), count("")), (2.0, 1.0, 0.0));
    }
}
