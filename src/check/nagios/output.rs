//! What plugins print: the guidelines of Nagios, and Checkmk's local lines.

/// The most values of one output.
const MAX_VALUES: usize = 128;
/// The most local lines.
const MAX_LINES: usize = 64;

/// Severity as plugins count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

impl State {
    pub fn of_code(code: i32) -> Option<Self> {
        [Self::Ok, Self::Warning, Self::Critical, Self::Unknown].into_iter().find(|state| *state as i32 == code)
    }
}

/// A label and its value, times in seconds, sizes in bytes.
type Value = (String, f64);

/// An output in Nagios's form.
pub(super) struct Said {
    pub text: String,
    pub values: Vec<Value>,
}

/// `text | values`, then lines of text, then after another `|` lines of values.
pub(super) fn nagios(output: &str) -> Said {
    let mut lines = output.lines();
    let first = lines.next().unwrap_or_default();
    let (text, first_values) = first.split_once('|').unwrap_or((first, ""));
    let mut values = String::from(first_values);
    let mut told = false;
    for line in lines {
        let more = if told { Some(line) } else { line.split_once('|').map(|(_, more)| more) };
        if let Some(more) = more {
            told = true;
            values.push(' ');
            values.push_str(more);
        }
    }
    Said { text: text.trim().to_owned(), values: perfdata(&values) }
}

/// `'label'=value[UOM];warn;crit;min;max`, separated by spaces. What is not understood is passed over.
fn perfdata(text: &str) -> Vec<Value> {
    let mut values = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && values.len() < MAX_VALUES {
        let Some((label, after)) = label(rest) else { break };
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        let (body, next) = after.split_at(end);
        if let Some(value) = body.split(';').next().and_then(measured) {
            values.push((label, value));
        }
        rest = next.trim_start();
    }
    values
}

/// A label, quoted or not, up to its `=`, and what follows.
fn label(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let (label, after) = text.split_once('=')?;
        // A word without a value before it is passed over.
        let label = label.rsplit(char::is_whitespace).next().unwrap_or(label);
        return (!label.is_empty()).then(|| (label.to_owned(), after));
    };
    let mut label = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('\'')?;
        label.push_str(part);
        // Two quotes stand for one.
        match after.strip_prefix('\'') {
            Some(more) => {
                label.push('\'');
                rest = more;
            }
            None => return after.strip_prefix('=').map(|after| (label, after)),
        }
    }
}

/// A number with its unit, in base units; percentages and counts as they are.
fn measured(text: &str) -> Option<f64> {
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || b"+-.eE".contains(b)).count();
    let (number, unit) = text.split_at(digits);
    let value: f64 = number.parse().ok()?;
    let factor = match unit {
        "" | "%" | "c" | "s" | "B" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        "KB" | "kB" => 1024.0,
        "MB" => 1_048_576.0,
        "GB" => 1_073_741_824.0,
        "TB" => 1_099_511_627_776.0,
        // Whatever else plugins invent is at least a number.
        _ => 1.0,
    };
    let value = value * factor;
    value.is_finite().then_some(value)
}

/// One local line of Checkmk.
pub(super) struct Local {
    pub state: State,
    pub name: String,
    pub text: String,
    pub values: Vec<Value>,
}

/// `0 "Name of service" label=value;warn;crit|label=value text`; `P` lets the levels decide.
pub(super) fn checkmk(output: &str) -> Vec<Local> {
    output.lines().filter_map(local).take(MAX_LINES).collect()
}

fn local(line: &str) -> Option<Local> {
    let (state, rest) = line.trim().split_once(' ')?;
    let rest = rest.trim_start();
    let (name, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => rest.split_once(' ')?,
    };
    let rest = rest.trim_start();
    let (metrics, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut values = Vec::new();
    let mut worst = State::Ok;
    for metric in metrics.split('|').filter(|metric| *metric != "-").take(MAX_VALUES) {
        let Some((label, body)) = metric.split_once('=') else { continue };
        let mut fields = body.split(';');
        let Some(value) = fields.next().and_then(measured) else { continue };
        let (warning, critical) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        worst = worst.max(match (beyond(value, warning), beyond(value, critical)) {
            (_, true) => State::Critical,
            (true, false) => State::Warning,
            (false, false) => State::Ok,
        });
        values.push((label.to_owned(), value));
    }
    let state = match state {
        "P" => worst,
        digit => State::of_code(digit.parse().ok()?)?,
    };
    (!name.is_empty()).then(|| Local { state, name: name.to_owned(), text: text.trim().to_owned(), values })
}

/// Whether a value is at or over `upper`, or outside of `lower:upper`.
fn beyond(value: f64, level: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    match level.split_once(':') {
        Some((lower, upper)) => {
            number(lower).is_some_and(|lower| value < lower) || number(upper).is_some_and(|upper| value >= upper)
        }
        None => number(level).is_some_and(|upper| value >= upper),
    }
}

/// Words between spaces; quotes keep spaces inside of one.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => all.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    all.extend(word);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_of_the_guidelines() {
        let said = nagios(
            "LOAD OK - 0.1 | load1=0.100;1;2;0; 'disk /var'=50%;80;90\nmore\nlong | 'it''s'=12ms\nx=3KB y=U z\n",
        );
        assert_eq!(said.text, "LOAD OK - 0.1");
        let expected = [("load1", 0.1), ("disk /var", 50.0), ("it's", 0.012), ("x", 3072.0)];
        assert_eq!(said.values, expected.map(|(label, value)| (label.to_owned(), value)));
        assert_eq!(nagios("").values, []);
        assert_eq!(nagios("x | junk a=1").values, [("a".to_owned(), 1.0)]);
        assert_eq!(nagios("x | 'open=1").values, []);
    }

    #[test]
    fn local_lines() {
        let lines = checkmk(
            "0 Backup age=30;60;90|size=5MB all well\nP \"Queue length\" n=50;10;100 many\nP Low n=1;5:10;0:20 few\n\
             2 Dead - no answer\njunk\n9 x - y\n",
        );
        let states: Vec<(State, &str)> = lines.iter().map(|line| (line.state, line.name.as_str())).collect();
        let expected = [
            (State::Ok, "Backup"),
            (State::Warning, "Queue length"),
            (State::Warning, "Low"),
            (State::Critical, "Dead"),
        ];
        assert_eq!(states, expected);
        assert_eq!(lines[0].values[1], ("size".to_owned(), 5_242_880.0));
        assert_eq!((lines[0].text.as_str(), lines[3].text.as_str()), ("all well", "no answer"));
    }

    #[test]
    fn arguments_with_quotes() {
        assert_eq!(words(r#"-w 5  -m 'a b' "c"d '' "#), ["-w", "5", "-m", "a b", "cd", ""]);
    }

    proptest::proptest! {
        #[test]
        fn any_output_is_read(text in r#"[a0-9'"|=;:.\n %msKP-]{0,80}"#, any in ".{0,80}") {
            for text in [text, any] {
                let said = nagios(&text);
                proptest::prop_assert!(said.values.len() <= MAX_VALUES);
                let _ = (checkmk(&text), words(&text));
            }
        }
    }
}
