//! Whether rules of a firewall are loaded, by `nft` (which shows those of iptables-nft too, but none of the older
//! iptables) or `iptables-save`.

use std::time::Duration;

use super::{Answer, Question, Who};
use crate::measure::command::{self, Said};
use crate::measure::privileged::{Right, right};
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

/// Tables of the older iptables, which only root may read; the file is there while the kernel has its module.
const OLDER: [(&str, [&str; 2]); 2] = [
    ("/proc/net/ip_tables_names", ["/usr/sbin/iptables-legacy-save", "/usr/sbin/iptables-save"]),
    ("/proc/net/ip6_tables_names", ["/usr/sbin/ip6tables-legacy-save", "/usr/sbin/ip6tables-save"]),
];
const PATIENCE: Duration = Duration::from_secs(10);

fn read(root: &Root, said: &Said) -> Option<Answer> {
    let mut answer = Answer::default();
    match Some(rules(&said.output)).filter(|rules| *rules > 0).or_else(|| older(root)) {
        Some(rules) => answer.value("security.firewall.rules", "", f64::from(rules)),
        None => {
            "there may be rules of the older iptables, which nft does not show; iptables-legacy-save, run as root, does"
                .clone_into(&mut answer.lacks);
        }
    }
    Some(answer)
}

/// How many rules of the older iptables there are; `None` where that cannot be known.
fn older(root: &Root) -> Option<u32> {
    let mut count = 0_u32;
    for (names, programs) in OLDER {
        match root.read(names) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Ok(names) if names.is_empty() => {}
            Ok(_) if right(root) == Right::Root => {
                let program = command::find(root, &programs)?;
                let said = command::run(root, program, &[], PATIENCE).ok().filter(|said| said.status == Some(0))?;
                count = count.saturating_add(rules(&said.output));
            }
            _ => return None,
        }
    }
    Some(count)
}

fn rules(text: &[u8]) -> u32 {
    let (mut rules, mut in_chain) = (0_u32, false);
    for line in lines(text).map(<[u8]>::trim_ascii) {
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
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::machine;

    #[test]
    fn rules_of_both_programs() {
        let nft = "table inet filter {\n\tset allowed {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1 }\n\t}\n\tchain input {\n\
            \t\ttype filter hook input priority filter; policy drop;\n\t\tct state established accept\n\t\ttcp dport { 22, 80 } accept\n\t}\n\
            \tchain output {\n\t\ttype filter hook output priority 0; policy accept;\n\t}\n}\n";
        let iptables = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n";
        let count = |text: &str| rules(text.as_bytes());
        assert_eq!((count(nft), count(iptables), count("")), (2, 1, 0));
    }

    /// Such a host showed 0.
    #[test]
    fn rules_of_the_older_iptables_are_not_none() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, root) = machine("== /proc/net/dev\n");
        let ask = || {
            let answer = read(&root, &Said::default()).unwrap_or_default();
            (answer.values.first().map(|(.., count)| *count), answer.lacks.is_empty())
        };
        assert_eq!(ask(), (Some(0.0), true));
        let names = folder.path().join("proc/net/ip_tables_names");
        std::fs::write(&names, "").unwrap();
        assert_eq!(ask(), (Some(0.0), true), "a module without tables");
        std::fs::write(&names, "nat\nfilter\n").unwrap();
        assert_eq!(ask(), (None, false), "and no program that shows them");
        let program = folder.path().join("usr/sbin/iptables-legacy-save");
        std::fs::create_dir_all(program.parent().unwrap()).unwrap();
        std::fs::write(&program, "#!/bin/sh\necho '*filter'; echo '-A INPUT -j DROP'; echo '-A OUTPUT -j DROP'\n")
            .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let expected = if rustix::process::geteuid().is_root() { (Some(2.0), true) } else { (None, false) };
        assert_eq!(ask(), expected);
    }
}
