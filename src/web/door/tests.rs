use super::*;

#[test]
fn a_name_that_nobody_has_costs_the_same_and_says_the_same() {
    let hash = Secret::new(password::hash("correct horse").unwrap());
    let door = Door::new(Keys { users: vec![("ops".into(), hash)], ..Keys::default() });
    let attempt = |user, password| {
        let now = DateTime::from_timestamp(1_789_992_000, 0).unwrap();
        door.sign_in(&Attempt { peer: "10.0.0.1".parse().unwrap(), user, password, now }, "/")
    };
    let wrong = attempt("ops", "x").unwrap_err();
    // The right password of somebody else under a name of nobody: it was looked at, and it opens nothing.
    assert_eq!(attempt("nobody", "correct horse").unwrap_err(), wrong);
    assert_eq!(wrong.status, 401);
    assert_eq!(attempt("ops", "correct horse").unwrap().status, 303);
}

#[test]
fn who_waits_for_too_many_others_is_sent_away() {
    let door = Door::new(Keys::default());
    door.busy.store(AT_ONCE, Ordering::Release);
    let now = DateTime::from_timestamp(1_789_992_000, 0).unwrap();
    let attempt = Attempt { peer: "10.0.0.1".parse().unwrap(), user: "a", password: "b", now };
    assert_eq!(door.sign_in(&attempt, "/").unwrap_err().status, 503);
    assert_eq!(door.busy.load(Ordering::Acquire), AT_ONCE);
}
