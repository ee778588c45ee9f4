//! An inventory of Ansible as people write it: `[group]`, `[group:vars]`, `[group:children]`.

use super::inventory::{Inventory, Variables};

/// Reads it.
///
/// # Errors
/// The line that is none of it.
pub fn read(text: &str) -> Result<Inventory, String> {
    let mut out = Inventory::default();
    let (mut group, mut kind) = (String::from("ungrouped"), String::new());
    for (n, line) in text.lines().enumerate() {
        let words = words(line);
        let Some(first) = words.first() else { continue };
        if let Some(head) = line.trim().strip_prefix('[') {
            let Some((name, _)) = head.split_once(']') else {
                return Err(format!("line {}: [ without ]; write [group], [group:vars] or [group:children]", n + 1));
            };
            let (name, what) = name.split_once(':').unwrap_or((name, ""));
            (group, kind) = (name.trim().to_owned(), what.trim().to_owned());
            if !Inventory::is_everything(&group) && kind != "vars" {
                out.group(&group);
            }
            continue;
        }
        match kind.as_str() {
            "" => {
                let name = ranged(first);
                let (name, port) = match name.rsplit_once(':') {
                    Some((name, port)) if port.parse::<u16>().is_ok() => (name.to_owned(), Some(port.to_owned())),
                    _ => (name, None),
                };
                let host = out.host(&name);
                host.variables.extend(port.map(|port| ("ansible_port".to_owned(), port)));
                host.variables.extend(words.iter().skip(1).filter_map(|word| variable(word)));
                if !Inventory::is_everything(&group) && !out.group(&group).hosts.contains(&name) {
                    out.group(&group).hosts.push(name);
                }
            }
            "children" => {
                out.group(first);
                if !Inventory::is_everything(&group) {
                    out.group(&group).children.push(first.clone());
                }
            }
            "vars" => {
                let found: Variables = variable(line.trim()).into_iter().collect();
                if Inventory::is_everything(&group) {
                    out.all.extend(found);
                } else {
                    out.group(&group).variables.extend(found);
                }
            }
            other => return Err(format!("line {}: no section of an inventory is named :{other}", n + 1)),
        }
    }
    out.spread();
    jumps(text, &mut out);
    Ok(out)
}

/// A way over bastions stands in arguments of ssh there.
fn jumps(text: &str, out: &mut Inventory) {
    if text.contains("ProxyJump") || text.contains("ProxyCommand") {
        out.notes.push("ProxyJump in arguments of ssh was left out; name bastions by jump=".to_owned());
    }
}

/// `web[01:50]` as we write it.
fn ranged(name: &str) -> String {
    let inside = name.split_once('[').and_then(|(before, rest)| Some((before, rest.split_once(']')?)));
    match inside {
        Some((before, (range, after))) => format!("{before}[{}]{after}", range.replacen(':', "-", 1)),
        None => name.to_owned(),
    }
}

fn variable(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let bare = |quote: char| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
    Some((name.to_owned(), bare('"').or(bare('\'')).unwrap_or(value).to_owned()))
}

/// The words of a line; quotes keep spaces together, and a comment ends it.
fn words(line: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let (mut open, mut inside) = (None, false);
    for c in line.trim().chars() {
        match (c, open) {
            (c, Some(quote)) if c == quote => open = None,
            ('"' | '\'', None) => open = Some(c),
            (c, None) if c.is_whitespace() => inside = false,
            ('#' | ';', None) if !inside => break,
            (c, _) => {
                if !inside {
                    all.push(String::new());
                    inside = true;
                }
                all.last_mut().into_iter().for_each(|word| word.push(c));
            }
        }
    }
    all
}
