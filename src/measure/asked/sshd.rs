//! Whether root may log in with a password, by `sshd -T`, which knows all its files and defaults.

use super::{Answer, Question, Who};
use crate::measure::command::Said;
use crate::measure::root::Root;

pub(super) const QUESTION: Question = Question {
    name: "security.sshd",
    who: Who::Root,
    idle: |_| None,
    asked: &[("/usr/sbin/sshd", &["-T"])],
    from: "/usr/sbin/sshd",
    fresh: 6 * 3600,
    read,
};

fn read(_: &Root, said: &Said) -> Option<Answer> {
    let text = String::from_utf8_lossy(&said.output);
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).map(str::trim);
    let root = value("permitrootlogin")?;
    let by_word = ["passwordauthentication", "kbdinteractiveauthentication", "challengeresponseauthentication"]
        .iter()
        .any(|key| value(key) == Some("yes"));
    let mut answer = Answer::default();
    answer.value("security.sshd.root-password", "", f64::from(u8::from(root == "yes" && by_word)));
    answer.fact("security.sshd.root-login", "", root);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::super::tests::values;
    use super::*;

    #[test]
    fn root_with_a_password_and_with_a_key_only() {
        let open = |text: &str| values(read, text).first().map(|found| found.2);
        assert_eq!(open("port 22\npermitrootlogin yes\npasswordauthentication yes\n"), Some(1.0));
        assert_eq!(open("permitrootlogin without-password\npasswordauthentication yes\n"), Some(0.0));
        assert_eq!(
            open("permitrootlogin yes\npasswordauthentication no\nkbdinteractiveauthentication no\n"),
            Some(0.0)
        );
        assert_eq!(open("sshd: no hostkeys available -- exiting.\n"), None);
    }
}
