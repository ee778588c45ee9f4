//! Which series of a Prometheus endpoint are meant: `up`, `http_requests_total{code="200",method="get"}`.

/// A series that is asked for: its name, and labels that must fit; others may have any value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Name of the series.
    pub name: String,
    /// Labels and their values.
    pub labels: Vec<(String, String)>,
}

/// The most selectors of one check.
pub const MAX_SELECTORS: usize = 64;

/// Reads selectors, separated by spaces.
///
/// # Errors
/// A text that says where it is not understood.
pub fn selectors(text: &str) -> Result<Vec<Selector>, String> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if all.len() == MAX_SELECTORS {
            return Err(format!("over {MAX_SELECTORS} series"));
        }
        let (name, after) = word(rest);
        if name.is_empty() {
            return Err(format!("\"{rest}\" does not start with the name of a series"));
        }
        let (labels, after) = match after.strip_prefix('{') {
            Some(inside) => labels(inside)?,
            None => (Vec::new(), after),
        };
        if !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return Err(format!("\"{after}\" follows {name} without a space"));
        }
        all.push(Selector { name: name.to_owned(), labels });
        rest = after.trim_start();
    }
    Ok(all)
}

/// A name at the start, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':');
    let length = text.bytes().take_while(|b| fits(*b)).count();
    text.split_at(if text.starts_with(|c: char| c.is_ascii_digit()) { 0 } else { length })
}

/// Labels and what follows them.
pub type Labels<'a> = (Vec<(String, String)>, &'a str);

/// Labels up to `}`, as selectors and exposition lines write them, and what follows.
///
/// # Errors
/// A text that says where it is not understood.
pub fn labels(text: &str) -> Result<Labels<'_>, String> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((all, after));
        }
        if all.len() == 64 {
            return Err("over 64 labels".to_owned());
        }
        let (name, after) = word(rest);
        let quoted = after.trim_start().strip_prefix('=').and_then(|after| after.trim_start().strip_prefix('"'));
        let Some(quoted) = quoted.filter(|_| !name.is_empty()) else {
            return Err("labels are written as {name=\"value\"}".to_owned());
        };
        let (value, after) = string(quoted).ok_or_else(|| format!("the value of {name} has no closing quote"))?;
        all.push((name.to_owned(), value));
        rest = after.trim_start();
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start();
        } else if !rest.starts_with('}') {
            return Err(format!("after {name} comes neither , nor }}"));
        }
    }
}

/// Up to the closing quote, escapes undone.
fn string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels() {
        let all = selectors(r#"up  node_load1 a:b_total{code="200", path="/x y\"z"}"#).unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(all[2].labels, [("code".into(), "200".into()), ("path".into(), "/x y\"z".into())]);
        for bad in
            ["{a=\"b\"}", "9a", "up{", "up{a}", "up{a=b}", "up{a=\"b}", "up{a=\"b\" c=\"d\"}", "up{a=\"b\"}x", "a-b"]
        {
            assert!(selectors(bad).is_err(), "{bad}");
        }
        assert!(selectors(&"x ".repeat(65)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in r#"[a{}=",\\ é\n]{0,40}"#) {
            let _ = (selectors(&text), labels(&text));
        }
    }
}
