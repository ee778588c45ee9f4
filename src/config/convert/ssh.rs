//! The aliases of an ssh_config. All else that stands there is asked of ssh itself, each time.

use super::{Converted, escaped, is_name};

/// A host for each alias, in the order of the file.
pub fn aliases(text: &str) -> Converted {
    let mut out = Converted {
        text: "<ssh use-ssh-config=\"true\"/>\n".to_owned(),
        hosts: 0,
        left_out: Vec::new(),
        notes: vec!["address, port, user, keys and jumps of each are asked of ssh -G (use-ssh-config=)".to_owned()],
    };
    let mut seen: Vec<&str> = Vec::new();
    for line in text.lines() {
        let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
        match words.next().map(str::to_ascii_lowercase).as_deref() {
            Some("host") => {}
            Some("include") => {
                let files: Vec<&str> = words.collect();
                out.notes.push(format!("Include {} is not followed; convert it by itself", files.join(" ")));
                continue;
            }
            _ => continue,
        }
        for alias in words.map(|word| word.trim_matches('"')) {
            if alias.contains(['*', '?']) || alias.starts_with('!') || seen.contains(&alias) {
                continue;
            }
            seen.push(alias);
            if is_name(alias) {
                out.text.push_str(&format!("<host name=\"{}\"/>\n", escaped(alias)));
                out.hosts += 1;
            } else {
                out.left_out.push(format!("{alias}: a name has letters, digits, `.`, `_` and `-`"));
            }
        }
    }
    out
}
