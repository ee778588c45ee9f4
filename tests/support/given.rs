//! Which stats files ever left a probe, and which are stored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::run::sqlite3;

/// The names in a probe's recorded output: `file NAME LENGTH DIGEST`, with any bytes around it.
pub fn given(log: &Path) -> BTreeSet<String> {
    let bytes = std::fs::read(log).unwrap_or_default();
    let mut names = BTreeSet::new();
    for at in bytes.windows(5).enumerate().filter(|(_, window)| window == b"file ").map(|(at, _)| at) {
        let Some(end) = bytes[at..].iter().position(|&byte| byte == b'\n') else { continue };
        let Ok(line) = std::str::from_utf8(&bytes[at..at + end]) else { continue };
        let words: Vec<&str> = line.split(' ').collect();
        if let [_, name, length, digest] = words[..]
            && name.ends_with(".age")
            && length.parse::<u64>().is_ok()
            && digest.len() == 64
        {
            names.insert(name.to_owned());
        }
    }
    names
}

/// How often each stats file of a host is stored, by the name that it had in the spool.
pub fn stored(database: &Path, host: &str) -> BTreeMap<String, usize> {
    let sql = format!(
        "select substr(boot.name, 1, 8) || '-' || printf('%010d', sequence) || '.age', count(*) from sample \
         join boot on boot.id = sample.boot join host on host.id = sample.host where host.name = '{host}' group by 1"
    );
    sqlite3(database, &sql).into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect()
}
