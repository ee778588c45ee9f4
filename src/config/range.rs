//! `web[01-50]`: one line for many hosts, expanded in name and address together.

use crate::model::amount::{Wrong, wrong};

/// The most hosts of a configuration, and so of one range.
pub(super) const MAX_HOSTS: usize = 10_000;

/// The texts that a pattern stands for: itself where it has no `[`; each of `[01-03,07]` otherwise.
pub(super) fn expand(text: &str) -> Result<Vec<String>, Wrong> {
    let Some((before, rest)) = text.split_once('[') else {
        if text.contains(']') {
            return wrong(format!("\"{text}\": ] without ["), "write a range as web[01-50]");
        }
        return Ok(vec![text.to_owned()]);
    };
    let Some((inside, after)) = rest.split_once(']') else {
        return wrong(format!("\"{text}\": [ without ]"), "write a range as web[01-50]");
    };
    if after.contains(['[', ']']) || inside.contains('[') {
        return wrong(format!("\"{text}\" has several ranges"), "write one range in a name, such as web[01-50]");
    }
    let mut all = Vec::new();
    for part in inside.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Some(low), Some(high)) = (small(first), small(last)) else {
            let mend = if inside.contains(':') {
                "write an IPv6 address without brackets"
            } else {
                "write a range as web[01-50] or web[1-3,7]"
            };
            return wrong(format!("\"[{inside}]\" is not a range of numbers"), mend);
        };
        if low > high {
            return wrong(format!("the range {part} runs backwards"), format!("write it as {last}-{first}"));
        }
        if (high - low) as usize + 1 + all.len() > MAX_HOSTS {
            return wrong(format!("the range {part} has over {MAX_HOSTS} hosts"), "write a smaller one");
        }
        let width = if first.starts_with('0') { first.len() } else { 0 };
        all.extend((low..=high).map(|n| format!("{before}{n:0width$}{after}")));
    }
    Ok(all)
}

fn small(text: &str) -> Option<u32> {
    (text.len() <= 9 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_keep_their_zeros() {
        assert_eq!(expand("web[08-10].x").unwrap(), ["web08.x", "web09.x", "web10.x"]);
        assert_eq!(expand("web[9-11,20]").unwrap(), ["web9", "web10", "web11", "web20"]);
        assert_eq!(expand("plain").unwrap(), ["plain"]);
        for bad in
            ["[", "a]", "a[1", "a[]", "a[x-y]", "a[3-1]", "a[1-2][3-4]", "a[0-99999]", "a[1-99999999999]", "[::1]"]
        {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in r"[a\[\]0-9,\-]{0,20}") {
            if let Ok(all) = expand(&text) {
                proptest::prop_assert!(all.len() <= MAX_HOSTS);
            }
        }
    }
}
