//! `prometheus`: chosen series of any exporter's text endpoint.

use super::http::fetch;
use super::{Check, Found, Occasion, Trouble};
use crate::model::sample::FaultKind;
use crate::model::series::{Selector, labels, selectors};

/// A node_exporter tells some 100 KiB, large applications some MiB.
const MAX_PAGE: usize = 8 << 20;

pub(super) struct Prometheus;

impl Check for Prometheus {
    fn kind(&self) -> &'static str {
        "prometheus"
    }

    fn look(&self, at: &Occasion, found: &mut Found) -> Result<(), Trouble> {
        let wanted = selectors(at.needed("series")?).map_err(Trouble::unsupported)?;
        let page = fetch(at, at.needed("url")?, "GET", MAX_PAGE)?;
        let answer = page.answer()?;
        if answer.status != 200 {
            return Err(Trouble::wrong(format!("status {}, not 200", answer.status)));
        }
        if answer.cut {
            found.fault(FaultKind::Cut, "the page is longer than 8 MiB; what follows was not read");
        }
        let missing = choose(&answer.body, &wanted, found);
        if missing.is_empty() {
            return Ok(());
        }
        Err(Trouble::Bad(FaultKind::Absent, format!("the endpoint has no {}", missing.join(", "))))
    }
}

/// Puts every series that fits; returns the names of what fits nothing.
fn choose(page: &[u8], wanted: &[Selector], found: &mut Found) -> Vec<String> {
    let text = String::from_utf8_lossy(page);
    let mut missing: Vec<bool> = wanted.iter().map(|_| true).collect();
    for line in text.lines() {
        let name = line.find(['{', ' ', '\t']).map_or(line, |end| &line[..end]);
        if !wanted.iter().any(|selector| selector.name == name) {
            continue;
        }
        let Some((pairs, value)) = sample(&line[name.len()..]) else { continue };
        for (selector, missing) in wanted.iter().zip(&mut missing) {
            let fits = selector.labels.iter().all(|label| pairs.contains(label));
            if selector.name == name && fits {
                // A quantile of nothing observed is NaN: the series is there, and has no value.
                found.put_part("prometheus.value", &part(name, &pairs), value);
                *missing = false;
                break;
            }
        }
    }
    wanted.iter().zip(missing).filter(|(_, missing)| *missing).map(|(selector, _)| selector.name.clone()).collect()
}

/// Labels and value of a line behind its name.
fn sample(rest: &str) -> Option<(Vec<(String, String)>, f64)> {
    let (pairs, rest) = match rest.trim_start().strip_prefix('{') {
        Some(inside) => labels(inside).ok()?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((pairs, value))
}

/// As it is written in the page, without the spaces that may differ.
fn part(name: &str, pairs: &[(String, String)]) -> String {
    if pairs.is_empty() {
        return name.to_owned();
    }
    let inside: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    format!("{name}{{{}}}", inside.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check::Order;

    const PAGE: &str = "# HELP up x\n# TYPE up gauge\nup 1\nnode_load1 0.25 1700000000000\n\
        http_requests_total{code=\"200\",path=\"/a b\"} 1e3\nhttp_requests_total{code=\"500\", path=\"/\"} 7\n\
        bad{x=\"y\" 3\nnothing NaN\nendless +Inf\ntemp{unit=\"c\"} -12.5\n\
        half_of_a_line";

    fn chosen(series: &str) -> (Vec<(String, f64)>, Vec<String>) {
        let mut found = Found::new(&Order { item: "app".into(), ..Order::default() });
        let missing = choose(PAGE.as_bytes(), &selectors(series).unwrap(), &mut found);
        (found.readings.into_iter().map(|r| (r.item, r.value)).collect(), missing)
    }

    #[test]
    fn series_are_chosen_by_name_and_labels() {
        let (found, missing) = chosen("up http_requests_total{code=\"500\"} temp");
        let expected = [
            ("app/up".to_owned(), 1.0),
            ("app/http_requests_total{code=\"500\",path=\"/\"}".to_owned(), 7.0),
            ("app/temp{unit=\"c\"}".to_owned(), -12.5),
        ];
        assert_eq!((found, missing), (expected.to_vec(), vec![]));
        assert_eq!(chosen("http_requests_total").0.len(), 2);
        assert_eq!(chosen("bad none").1, ["bad", "none"]);
        assert_eq!(chosen("nothing endless"), (vec![], vec![]), "there, without a value");
    }

    proptest::proptest! {
        #[test]
        fn any_page_is_read(page: Vec<u8>, line in r#"up[{}a="\\ ,0-9.e+-]{0,40}"#) {
            let mut found = Found::new(&Order::default());
            let wanted = selectors("up").unwrap();
            let _ = choose(&page, &wanted, &mut found);
            let _ = choose(line.as_bytes(), &wanted, &mut found);
        }
    }
}
