use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::measure::Past;

type Read = fn(&Root, &Said) -> Option<Answer>;

fn said(text: &[u8]) -> Said {
    Said { output: text.to_vec(), status: Some(0), ..Said::default() }
}

/// What a reader makes of a text.
pub(super) fn values(read: Read, text: &str) -> Vec<(String, String, f64)> {
    read(&Root::default(), &said(text.as_bytes())).unwrap_or_default().values
}

pub(super) fn facts(read: Read, text: &str) -> Vec<(String, String, String)> {
    read(&Root::default(), &said(text.as_bytes())).unwrap_or_default().facts
}

/// A machine with a controller of its board and a program that speaks for it.
fn board(script: &str) -> (tempfile::TempDir, Root) {
    let folder = tempfile::tempdir().unwrap();
    for place in ["dev", "usr/bin", "proc"] {
        std::fs::create_dir_all(folder.path().join(place)).unwrap();
    }
    std::fs::write(folder.path().join("dev/ipmi0"), "").unwrap();
    let program = folder.path().join("usr/bin/ipmitool");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let root = Root::at(folder.path());
    (folder, root)
}

fn shown(root: &Root, answers: Option<Answers>, now: i64) -> (Vec<(String, f64)>, Vec<FaultKind>) {
    let mut out = Out::beside(None, &Arc::new(Past { now, answers, ..Past::default() }));
    show(root, "ipmi", &mut out);
    let got = out.into_measured();
    (
        got.readings.into_iter().map(|r| (format!("{} {}", r.metric, r.item), r.value)).collect(),
        got.faults.iter().map(|fault| fault.kind).collect(),
    )
}

#[test]
fn an_answer_is_asked_for_kept_shown_with_its_age_and_asked_for_again() {
    let (_folder, root) = board("[ \"$*\" = 'sdr elist all' ] && echo 'Fan1 | 30h | ok | 7.1 | 4920 RPM'");
    assert_eq!(shown(&root, None, 100), (vec![], vec![FaultKind::Absent]));
    let first = ask_questions(&root, None, 100, &mut |_| {}).unwrap();
    assert_eq!(Answers::parse(&first.bytes()), Some(first.clone()));
    let expected = [("fan.speed ipmi/Fan1", 4920.0), ("ipmi.alarm ipmi/Fan1", 0.0), ("probe.answer.age ipmi", 50.0)];
    let expected = expected.map(|(name, value)| (name.to_owned(), value)).to_vec();
    assert_eq!(shown(&root, Some(first.clone()), 150), (expected, vec![]));
    assert!(!questions_wait(&root, Some(&first), 699) && questions_wait(&root, Some(&first), 700));
    assert_eq!(ask_questions(&root, Some(&first), 699, &mut |_| {}), None);
    assert!(questions_wait(&root, Some(&first), 99), "a clock that went back");
}

#[test]
fn a_program_that_fails_gives_no_values_and_says_so() {
    let (_folder, root) = board("exit 1");
    let answers = ask_questions(&root, None, 100, &mut |_| {});
    assert_eq!(shown(&root, answers, 100), (vec![], vec![FaultKind::Malformed]));
}

/// It died of a closed pipe, which looked like a failure, and on a host with sudo like a refusal.
#[test]
fn an_answer_that_is_too_long_is_cut_and_says_so() {
    let (_folder, root) =
        board("head -c 2000000 /dev/zero | tr '\\0' x; echo; echo 'Fan1 | 30h | ok | 7.1 | 4920 RPM'");
    let mut answers = ask_questions(&root, None, 100, &mut |_| {}).unwrap();
    assert_eq!(Answers::parse(&answers.bytes()), Some(answers.clone()));
    let (values, faults) = shown(&root, Some(answers.clone()), 100);
    assert_eq!((values[0].1, faults), (4920.0, vec![FaultKind::Cut]));
    for (_, answer) in &mut answers.0 {
        (answer.cut, answer.lacks) = (false, "a part is not known".to_owned());
    }
    assert_eq!(Answers::parse(&answers.bytes()), Some(answers.clone()));
    assert_eq!(shown(&root, Some(answers), 100).1, [FaultKind::Malformed]);
}

#[test]
fn what_is_not_there_is_absent_and_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::at(folder.path());
    let names: Vec<String> = ask_questions(&root, None, 1, &mut |_| {})
        .map(|answers| answers.0)
        .unwrap_or_default()
        .into_iter()
        .map(|it| it.0)
        .collect();
    // Looked at without a program, and without a /proc.
    assert_eq!(names, ["reboot.services"]);
    assert_eq!(shown(&root, None, 1), (vec![], vec![FaultKind::Absent]));
}

proptest! {
    #[test]
    fn any_output_is_an_answer_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for question in QUESTIONS {
            let answer = (question.read)(&Root::at("/nowhere"), &said(&bytes));
            prop_assert!(answer.unwrap_or_default().values.iter().all(|(.., value)| value.is_finite()));
        }
        let _ = Answers::parse(&bytes);
    }
}
