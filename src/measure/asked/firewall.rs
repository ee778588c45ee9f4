//! Whether rules of a firewall are loaded, by `nft` (which shows those of iptables-nft too, but none of the older
//! iptables) or `iptables-save`.

use std::io;
use std::time::Duration;

use super::{Answer, Question, Who};
use crate::measure::command::{self, Said};
use crate::measure::privileged::{self, Right};
use crate::measure::root::Root;
use crate::measure::text::lines;
use crate::model::sample::FaultKind;

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

/// Names of tables of the older iptables, which only root may read; the file is there while the kernel has its module. The
/// second program is either one.
const OLDER: [(&str, [&str; 2]); 2] = [
    ("/proc/net/ip_tables_names", ["/usr/sbin/iptables-legacy-save", "/usr/sbin/iptables-save"]),
    ("/proc/net/ip6_tables_names", ["/usr/sbin/ip6tables-legacy-save", "/usr/sbin/ip6tables-save"]),
];
const PATIENCE: Duration = Duration::from_secs(10);

fn read(root: &Root, said: &Said) -> Option<Answer> {
    let mut answer = Answer::default();
    let rules = Some(rules(&said.output)).filter(|rules| *rules > 0).or_else(|| older(root, &mut answer));
    if let Some(rules) = rules {
        answer.value("security.firewall.rules", "", f64::from(rules));
    }
    Some(answer)
}

/// How many rules of the older iptables there are; `None` where that cannot be known, and the answer says why.
fn older(root: &Root, answer: &mut Answer) -> Option<u32> {
    let mut count = 0_u32;
    for (names, programs) in OLDER {
        let names = match root.read(names) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Ok(names) if names.is_empty() => continue,
            names => names.ok(),
        };
        let mut lacks = |kind, why: &str| {
            answer.silent = Some(kind);
            answer.lacks = format!("there may be rules of the older iptables, which nft does not show: {why}");
        };
        // Those of the newer iptables are called iptables-save too, and show none of these: what names no table is no answer.
        let program = command::find(root, &programs).filter(|program| names.is_some() || *program == programs[0]);
        let Some(program) = program else {
            let kind = if names.is_some() { FaultKind::Malformed } else { FaultKind::Denied };
            lacks(kind, "iptables-legacy-save, run as root, would");
            return None;
        };
        let shows = |said: &Said| {
            let table = |name: &[u8]| lines(&said.output).any(|line| line.strip_prefix(b"*") == Some(name));
            said.cut || names.iter().all(|names| lines(names).all(table))
        };
        match privileged::run(root, program, &[], PATIENCE) {
            Ok(said) if said.status == Some(0) && shows(&said) => {
                answer.cut |= said.cut;
                count = count.saturating_add(rules(&said.output));
            }
            Ok(_) => {
                lacks(FaultKind::Malformed, &format!("{program} does not either; iptables-legacy-save would"));
                return None;
            }
            Err(error) => {
                let refused = privileged::right(root) != Right::Root;
                match error.kind() {
                    io::ErrorKind::TimedOut => lacks(FaultKind::Hung, &format!("{program} did not answer")),
                    io::ErrorKind::PermissionDenied if refused => {
                        lacks(FaultKind::Denied, &privileged::denied(program, &[]));
                    }
                    _ => lacks(FaultKind::Malformed, &format!("{program}: {error}")),
                }
                answer.left = command::left(&error);
                return None;
            }
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
            (answer.values.first().map(|(.., count)| *count), answer.silent)
        };
        assert_eq!(ask(), (Some(0.0), None));
        let names = folder.path().join("proc/net/ip_tables_names");
        std::fs::write(&names, "").unwrap();
        assert_eq!(ask(), (Some(0.0), None), "a module without tables");
        std::fs::write(&names, "nat\nfilter\n").unwrap();
        let unknown = (None, Some(FaultKind::Malformed));
        assert_eq!(ask(), unknown, "and no program that shows them");
        std::fs::create_dir_all(folder.path().join("usr/sbin")).unwrap();
        let install = |name: &str, script: &str| {
            let program = folder.path().join("usr/sbin").join(name);
            std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        if !rustix::process::geteuid().is_root() {
            install("iptables-legacy-save", "exit 1");
            assert_eq!(ask(), (None, Some(FaultKind::Denied)));
            return;
        }
        // Where only the newer iptables is there, its program has the name too, and shows no table of these.
        let warning = "echo '# Warning: iptables-legacy tables present, use iptables-legacy-save to see them' >&2";
        install("iptables-save", warning);
        assert_eq!(ask(), unknown, "one that shows others");
        install("iptables-save", "echo '*filter'; echo '-A INPUT -j DROP'; echo COMMIT");
        assert_eq!(ask(), unknown, "one that shows a part");
        install("iptables-save", "echo '*nat'; echo COMMIT; echo '*filter'; echo COMMIT");
        assert_eq!(ask(), (Some(0.0), None), "tables without rules");
        install(
            "iptables-legacy-save",
            "echo '*nat'; echo '*filter'; echo '-A INPUT -j DROP'; echo '-A OUTPUT -j DROP'",
        );
        assert_eq!(ask(), (Some(2.0), None));
        install("iptables-legacy-save", "echo '*nat'; echo '*filter'; yes -- '-A INPUT -j DROP' | head -n 100000");
        let long = read(&root, &Said::default()).unwrap_or_default();
        assert!(long.cut && long.silent.is_none() && long.values.len() == 1, "the end of more than is kept");
        install("iptables-legacy-save", "exit 3");
        assert_eq!(ask(), unknown);
    }
}
