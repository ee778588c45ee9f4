//! Machines that another program already knows, as `<group>` and `<host>` lines: an inventory of Ansible (its INI form, or
//! what `ansible-inventory --list` prints), or the aliases of an ssh_config.

use std::fmt::Write as _;

mod ini;
mod inventory;
mod listed;
mod ssh;

use inventory::Inventory;

/// What a list of machines became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// Lines for config.xml; ends with a line break.
    pub text: String,
    /// How many lines of hosts there are; one may stand for a range.
    pub hosts: usize,
    /// Hosts that were left out, and why.
    pub left_out: Vec<String>,
    /// What else a person should know.
    pub notes: Vec<String>,
}

/// Reads a list of machines, whatever its form is.
///
/// # Errors
/// What it is instead, or where it cannot be understood, and what to do.
pub fn convert(text: &str) -> Result<Converted, String> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let first = |line: &str| line.split([' ', '\t', '=']).next().unwrap_or_default().to_ascii_lowercase();
    match lines().next() {
        None => Err("no machine is named in it".to_owned()),
        Some(line) if line.starts_with('{') => Ok(written(&listed::read(text)?)),
        Some(line) if line == "---" || line.ends_with(':') => Err(
            "this looks like YAML, which Ansible itself reads best: ansible-inventory -i FILE --list | fleet config convert -"
                .to_owned(),
        ),
        Some(_) if lines().any(|line| matches!(first(line).as_str(), "host" | "match"))
            && !text.contains("ansible_") =>
        {
            Ok(ssh::aliases(text))
        }
        Some(_) => Ok(written(&ini::read(text)?)),
    }
}

/// Groups with their hosts. A host is in one group of ours, the innermost that names it first; of others it gets a label.
fn written(inventory: &Inventory) -> Converted {
    let mut out = Converted { text: String::new(), hosts: 0, left_out: Vec::new(), notes: inventory.notes.clone() };
    let tops: Vec<usize> = (0..inventory.groups.len()).filter(|n| inventory.parent(*n).is_none()).collect();
    for group in tops {
        put(inventory, group, 0, &mut out);
    }
    for (n, host) in inventory.hosts.iter().enumerate() {
        if inventory.home(n).is_none() {
            line(inventory, n, 0, &mut out);
        }
        if !is_name(&host.name) {
            out.left_out.push(format!("{}: a name has letters, digits, `.`, `_` and `-`", host.name));
        }
    }
    out
}

fn put(inventory: &Inventory, group: usize, depth: usize, out: &mut Converted) {
    let Some(it) = inventory.groups.get(group) else { return };
    let hosts: Vec<usize> = (0..inventory.hosts.len()).filter(|n| inventory.home(*n) == Some(group)).collect();
    let inner: Vec<usize> = (0..inventory.groups.len()).filter(|n| inventory.parent(*n) == Some(group)).collect();
    let gap = "  ".repeat(depth);
    let before = out.text.len();
    let _ = writeln!(out.text, "{gap}<group name=\"{}\">", inventory::named(&it.name));
    let filled = out.text.len();
    hosts.into_iter().for_each(|host| line(inventory, host, depth + 1, out));
    inner.into_iter().for_each(|group| put(inventory, group, depth + 1, out));
    if out.text.len() == filled {
        // Of nobody.
        out.text.truncate(before);
    } else {
        let _ = writeln!(out.text, "{gap}</group>");
    }
}

fn line(inventory: &Inventory, host: usize, depth: usize, out: &mut Converted) {
    let Some(it) = inventory.hosts.get(host).filter(|it| is_name(&it.name)) else { return };
    let mut text = format!("{}<host name=\"{}\"", "  ".repeat(depth), escaped(&it.name));
    for (name, value) in inventory.attributes(host) {
        let _ = write!(text, " {name}=\"{}\"", escaped(&value));
    }
    let _ = writeln!(out.text, "{text}/>");
    out.hosts += 1;
}

/// A name, or a range of names.
fn is_name(text: &str) -> bool {
    let fits = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let ranged = || {
        let (before, rest) = text.split_once('[')?;
        let (inside, after) = rest.split_once(']')?;
        Some(fits(before) && fits(after) && inside.chars().all(|c| c.is_ascii_digit() || c == '-'))
    };
    !text.is_empty() && (fits(text) || ranged().unwrap_or(false))
}

fn escaped(text: &str) -> String {
    let safe: String = text.chars().filter(|c| !c.is_control()).collect();
    safe.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
