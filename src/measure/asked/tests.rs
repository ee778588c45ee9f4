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

/// Each ten minutes one more was left behind.
#[test]
fn what_was_left_behind_is_not_joined_by_another_and_says_that_it_hangs() {
    let (folder, root) = board("exit 1");
    let asked = folder.path().join("asked");
    let program = folder.path().join("usr/bin/ipmitool");
    std::fs::write(&program, format!("#!/bin/sh\necho x >>{}\nexit 1\n", asked.display())).unwrap();
    #[allow(clippy::disallowed_methods, reason = "one that is stuck")]
    let mut stuck = std::process::Command::new("/bin/sleep").arg("600").spawn().unwrap();
    let left = command::mark(stuck.id()).unwrap();
    let hung = Answer { at: 100, left: left.clone(), ..none(FaultKind::Hung) };
    let mut answers = Answers(vec![("ipmi".to_owned(), hung)]);
    for round in 1..3 {
        answers = ask_questions(&root, Some(&answers), 100 + round * 600, &mut |_| {}).unwrap();
        assert_eq!(
            answers.of("ipmi").map(|answer| (answer.at, answer.left.clone())),
            Some((100 + round * 600, left.clone()))
        );
        assert_eq!(shown(&root, Some(answers.clone()), 2000), (vec![], vec![FaultKind::Hung]));
    }
    assert!(!asked.exists());
    assert_eq!(Answers::parse(&answers.bytes()), Some(answers.clone()));
    stuck.kill().unwrap();
    stuck.wait().unwrap();
    let answers = ask_questions(&root, Some(&answers), 2000, &mut |_| {}).unwrap();
    assert_eq!(std::fs::read_to_string(&asked).unwrap(), "x\n");
    assert_eq!(shown(&root, Some(answers), 2000), (vec![], vec![FaultKind::Malformed]));
}

/// Two that hang took all the time of each round, because they always came first.
#[test]
fn the_oldest_answer_is_asked_for_first() {
    let names = |answers: &Answers| by_age(answers).iter().map(|question| question.name).collect::<Vec<_>>();
    let listed: Vec<&str> = QUESTIONS.iter().map(|question| question.name).collect();
    assert_eq!(names(&Answers::default()), listed);
    let at = |name: &str, at| (name.to_owned(), Answer { at, ..none(FaultKind::Hung) });
    let order = names(&Answers(vec![at(listed[0], 700), at(listed[1], 600)]));
    assert_eq!(order, [&listed[2..], &[listed[1], listed[0]]].concat());
}

/// A hung disk or a dead controller was "not as expected", and so was what sudo refused.
#[test]
fn what_hangs_is_told_as_hung_and_what_is_refused_as_denied() {
    let (_folder, root) = board("exit 0");
    let heard = |kind: io::ErrorKind| ipmi::QUESTION.heard(&root, Err(kind.into()), FaultKind::Denied);
    let kind = |kind| {
        let (answered, answer) = heard(kind);
        let answers = Answers(vec![("ipmi".to_owned(), Answer { at: 100, ..answer })]);
        assert!(!answered);
        shown(&root, Some(answers), 150).1
    };
    assert_eq!(kind(io::ErrorKind::TimedOut), [FaultKind::Hung]);
    assert_eq!(kind(io::ErrorKind::PermissionDenied), [FaultKind::Denied]);
    assert_eq!(kind(io::ErrorKind::NotFound), [FaultKind::Malformed]);
    let older = br#"[{"of":"ipmi","at":100,"denied":true,"failed":false,"values":[],"facts":[],"since":0}]"#;
    assert_eq!(Answers::parse(older), None, "it is asked for again");
}

/// Every status passed where more was said than is kept: the end of an output that broke off in an error is no answer.
#[test]
fn a_long_output_that_ends_with_an_error_is_no_answer() {
    let (_folder, root) = board("exit 0");
    let heard = |cut, status| {
        let output = b"Fan1 | 30h | ok | 7.1 | 4920 RPM\n".to_vec();
        ipmi::QUESTION.heard(&root, Ok(Said { output, cut, status, ..Said::default() }), FaultKind::Denied).0
    };
    assert_eq!([heard(true, Some(1)), heard(true, None), heard(true, Some(0))], [false, true, true]);
    assert_eq!([heard(false, Some(1)), heard(false, None), heard(false, Some(0))], [false, false, true]);
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
        (answer.cut, answer.silent) = (false, Some(FaultKind::Malformed));
        "a part is not known".clone_into(&mut answer.lacks);
    }
    assert_eq!(Answers::parse(&answers.bytes()), Some(answers.clone()));
    let (values, faults) = shown(&root, Some(answers), 100);
    assert_eq!((values[0].1, faults), (4920.0, vec![FaultKind::Malformed]));
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
