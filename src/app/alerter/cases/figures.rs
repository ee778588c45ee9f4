//! The figures of the design: how many mails a backlog and a mass of problems make.

use super::*;

#[test]
fn six_hours_of_200_hosts_are_at_most_one_mail() {
    let backlog = |value: &dyn Fn(i64) -> f64| {
        let mut field = Field::many(200);
        // Twelve samples a row: the collector was away too at times.
        for (row, (host, name)) in
            (0..6).flat_map(|row| (0..).zip(field.names()).map(move |it| (row, it))).collect::<Vec<_>>()
        {
            let samples = (row * 12..row * 12 + 12)
                .map(|n| field.sample(&name, n * 300 + host, &[("filesystem.used", value(n))]));
            let samples: Vec<Sample> = samples.collect();
            let visit = attempt(&name, row * 60 + 59, None);
            field.store.record(1, &visit, &samples).unwrap();
        }
        field.run(6 * 60)
    };
    assert_eq!(backlog(&|n| if (10..40).contains(&n) { 0.95 } else { 0.2 }), NONE, "an outage that is over");
    assert_eq!(backlog(&|n| if n > 10 { 0.95 } else { 0.2 }), ["[CRIT] 200 problems on 200 hosts"]);
    // Warning for two sweeps, well for two, and so on: 17 times each.
    assert!(backlog(&|n| if n % 4 < 2 { 0.85 } else { 0.2 }).len() <= 1, "flapping");
}

#[test]
fn a_digest_has_the_worst_first_200_lines_and_how_many_more() {
    let mut field = Field::many(230);
    for n in [0, 5] {
        for name in field.names() {
            field.disk(&name, n, if name == "h229" { 0.95 } else { 0.85 });
        }
    }
    assert_eq!(field.run(6), ["[CRIT] 230 problems on 230 hosts"]);
    let text = readable(&field.server.accepted[0].body);
    let lines: Vec<&str> =
        text.lines().skip(1).filter(|line| line.starts_with("WARN ") || line.starts_with("CRIT ")).collect();
    assert_eq!(lines.len(), 200);
    assert!(lines[0].starts_with("CRIT h229") && text.contains("and 30 more"), "{}", lines[0]);
}
