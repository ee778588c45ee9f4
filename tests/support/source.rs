//! Reads Rust source as far as the rules of the house need it: without comments, texts and tests.

/// The source with comments, string and character literals blanked out and every `#[cfg(test)]` item removed.
/// Line breaks stay, so that line numbers do.
pub fn shipped(source: &str) -> String {
    without_tests(&without_texts(source))
}

/// Blanks comments and literals.
pub fn without_texts(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = vec![b' '; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let end = skip_text(bytes, at);
        if end == at {
            out[at] = bytes[at];
            at += 1;
        } else {
            for place in at..end.min(bytes.len()) {
                if bytes[place] == b'\n' {
                    out[place] = b'\n';
                }
            }
            at = end;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The end of the comment or literal that starts at `at`, or `at` when none does.
fn skip_text(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let after_name = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        let mut depth = 0;
        let mut place = at;
        while place < bytes.len() {
            if bytes[place..].starts_with(b"/*") {
                depth += 1;
                place += 2;
            } else if bytes[place..].starts_with(b"*/") {
                depth -= 1;
                place += 2;
                if depth == 0 {
                    return place;
                }
            } else {
                place += 1;
            }
        }
        return place;
    }
    if rest[0] == b'"' {
        return end_of_quoted(bytes, at);
    }
    if !after_name && (rest.starts_with(b"b\"") || rest.starts_with(b"c\"")) {
        return end_of_quoted(bytes, at + 1);
    }
    if !after_name {
        let prefix = usize::from(rest.starts_with(b"br") || rest.starts_with(b"cr"));
        if rest.get(prefix) == Some(&b'r') {
            let hashes = rest[prefix + 1..].iter().take_while(|&&b| b == b'#').count();
            if rest.get(prefix + 1 + hashes) == Some(&b'"') {
                let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
                let start = at + prefix + 2 + hashes;
                let end = bytes[start..].windows(close.len()).position(|window| window == close);
                return end.map_or(bytes.len(), |end| start + end + close.len());
            }
        }
    }
    if rest[0] == b'\'' {
        // A character ends with a quote after one character or an escape; a lifetime does not.
        if rest.get(1) == Some(&b'\\') {
            let end = rest[2..].iter().skip(1).position(|&b| b == b'\'');
            return end.map_or(at, |end| at + end + 4);
        }
        let length = std::str::from_utf8(&rest[1..rest.len().min(5)])
            .or_else(|error| std::str::from_utf8(&rest[1..1 + error.valid_up_to()]))
            .ok()
            .and_then(|text| text.chars().next())
            .map_or(1, char::len_utf8);
        if rest.get(1 + length) == Some(&b'\'') {
            return at + length + 2;
        }
    }
    at
}

fn end_of_quoted(bytes: &[u8], quote: usize) -> usize {
    let mut place = quote + 1;
    while place < bytes.len() {
        match bytes[place] {
            b'\\' => place += 2,
            b'"' => return place + 1,
            _ => place += 1,
        }
    }
    place
}

/// Removes what stands under `#[cfg(test)]`; expects [`without_texts`] to have run.
fn without_tests(source: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(found) = rest.find(MARK) {
        out.push_str(&rest[..found]);
        let item = &rest[found..];
        let mut depth = 0;
        let mut end = item.len();
        for (at, letter) in item.char_indices().skip(MARK.len()) {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(letter, '}' | ';') {
                end = at + 1;
                break;
            }
        }
        out.extend(item[..end].chars().filter(|&letter| letter == '\n'));
        rest = &item[end..];
    }
    out.push_str(rest);
    out
}

/// The top-level modules of this crate that a file names: `crate::x`, `fleet_health::x`, `use crate::{x, y}` and
/// `super::super::x` that climbs to the root. `module` is the file's own path of modules.
pub fn modules_named(shipped: &str, module: &[String]) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for root in ["crate", "fleet_health"] {
        for at in words(shipped, root) {
            after_root(shipped, at + root.len(), &mut named);
        }
    }
    for at in words(shipped, "super") {
        if shipped[..at].ends_with("super::") {
            continue;
        }
        let mut end = at + "super".len();
        let mut climbs = 1;
        while shipped[end..].starts_with("::super") {
            climbs += 1;
            end += "::super".len();
        }
        if climbs >= module.len() {
            after_root(shipped, end, &mut named);
        }
    }
    named.sort();
    named
}

/// Collects the names that follow the root of the crate at `at`: `::x` or `::{x::y, z}`.
fn after_root(source: &str, at: usize, named: &mut Vec<(usize, String)>) {
    let Some(rest) = source[at..].strip_prefix("::") else { return };
    let line = source[..at].matches('\n').count() + 1;
    let Some(group) = rest.strip_prefix('{') else {
        named.push((line, name(rest)));
        return;
    };
    let mut depth = 0;
    let mut fresh = true;
    for (place, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            letter if fresh && (letter.is_alphanumeric() || letter == '_') => {
                named.push((line, name(&group[place..])));
                fresh = false;
            }
            _ => {}
        }
    }
}

fn name(text: &str) -> String {
    text.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// Where `word` stands as a word of its own.
pub fn words(source: &str, word: &str) -> Vec<usize> {
    let part = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    source
        .match_indices(word)
        .map(|(at, _)| at)
        .filter(|&at| !part(source[..at].chars().next_back()) && !part(source[at + word.len()..].chars().next()))
        .collect()
}

/// Where a crate is named at the start of a path: `name::`, but not `x::name::`.
pub fn crate_named(shipped: &str, name: &str) -> Option<usize> {
    words(shipped, name)
        .into_iter()
        .find(|&at| {
            let before = shipped[..at].trim_end();
            let path = before.ends_with("::") && !before.ends_with(" ::");
            let whole =
                shipped[..at].ends_with("use ") && shipped[at + name.len()..].trim_start().starts_with([';', ' ']);
            !path && (shipped[at + name.len()..].starts_with("::") || whole)
        })
        .map(|at| shipped[..at].matches('\n').count() + 1)
}

/// Files that are modules for tests only: `#[cfg(test)] mod name;`, with or without a `#[path]`. `path` is the file that
/// declares them, below `src/`.
pub fn test_modules(path: &str, source: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let stem = path.trim_end_matches(".rs").rsplit('/').next().unwrap_or_default();
    let own = if matches!(stem, "mod" | "lib") { folder.to_owned() } else { join(folder, stem) };
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for at in lines.iter().enumerate().filter(|(_, line)| **line == "#[cfg(test)]").map(|(at, _)| at) {
        let given = lines.get(at + 1).and_then(|line| line.strip_prefix("#[path = \"")?.strip_suffix("\"]"));
        let declared = lines.get(at + 1 + usize::from(given.is_some())).copied().unwrap_or_default();
        let Some(name) = declared.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) else { continue };
        match given {
            Some(given) => found.push(join(folder, given)),
            None => found.extend([join(&own, &format!("{name}.rs")), join(&own, &format!("{name}/mod.rs"))]),
        }
    }
    found
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
