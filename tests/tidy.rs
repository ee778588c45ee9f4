//! The rules of the house, read from the source text. Each rule is a function from text to complaints, so that its
//! own test can show that it complains.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test helper may fail the test")]

use std::fs;
use std::path::{Path, PathBuf};

#[path = "support/source.rs"]
mod source;

use source::{crate_named, modules_named, shipped, test_modules, words};

const SERVICES: &[&str] =
    &["measure", "check", "wire", "config", "ssh", "store", "rule", "alert", "notify", "view", "web"];
/// Services that make up the probe: no crate behind the `server` feature.
const LEAN: &[&str] = &["model", "measure", "check", "wire"];
/// A crate that belongs to one service; `app` may adapt it nowhere.
const HOMES: &[(&str, &[&str])] = &[
    ("rusqlite", &["store"]),
    ("rustls", &["notify"]),
    ("png", &["notify"]),
    ("quick_xml", &["config"]),
    ("age", &["wire"]),
    ("ssh2", &["ssh"]),
    ("libssh2_sys", &["ssh"]),
    ("clap", &["app"]),
    // The frame is made in `view`; `app` puts its cells on a terminal.
    ("ratatui", &["view", "app"]),
    ("argon2", &["web"]),
    ("minijinja", &["web"]),
    ("hyper", &["app"]),
    ("tokio", &["app"]),
];
const MOST_LINES: usize = 600;

/// A source file of the crate: its path below `src/` and its text.
struct File {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, ending: &str) -> Vec<File> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let text = fs::read_to_string(&path).unwrap();
                found.push(File { path: path.strip_prefix(folder).unwrap().display().to_string(), text });
            }
        }
    }
    assert!(!found.is_empty(), "no *{ending} below {}", folder.display());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The source that is shipped: without files that are test modules as a whole, and what these consist of.
fn shipped_files(folder: &str) -> Vec<File> {
    let all = files_below(&root().join(folder), ".rs");
    let tests: Vec<String> = all.iter().flat_map(|file| test_modules(&file.path, &file.text)).collect();
    all.into_iter().filter(|file| !tests.iter().any(|test| belongs(&file.path, test))).collect()
}

/// Whether a file is a module or one inside of it.
fn belongs(path: &str, module: &str) -> bool {
    path == module || path.strip_prefix(module.trim_end_matches(".rs")).is_some_and(|rest| rest.starts_with('/'))
}

fn ok(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

// --- rings ---

/// `store/sqlite/mod.rs` -> [store, sqlite].
fn module_of(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

fn ring_complaints(file: &File) -> Vec<String> {
    let module = module_of(&file.path);
    let Some(own) = module.first() else { return Vec::new() };
    let text = shipped(&file.text);
    let mut complaints = Vec::new();
    for (line, named) in modules_named(&text, &module) {
        let allowed = match own.as_str() {
            "app" => true,
            "model" => named == "model",
            service => named == "model" || named == service,
        };
        if !allowed && (SERVICES.contains(&named.as_str()) || named == "app" || named == "model") {
            complaints
                .push(format!("src/{}:{line}: {own} names {named}; only app may name several services", file.path));
        }
    }
    for (name, homes) in HOMES {
        if let Some(line) = crate_named(&text, name).filter(|_| !homes.contains(&own.as_str())) {
            complaints.push(format!("src/{}:{line}: {name} belongs to {}", file.path, homes.join(", ")));
        }
    }
    complaints
}

fn crate_complaints(file: &File, dependencies: &[Dependency]) -> Vec<String> {
    let module = module_of(&file.path);
    let own = module.first().map_or("", String::as_str);
    let text = shipped(&file.text);
    let mut complaints = Vec::new();
    for dependency in dependencies {
        let forbidden = match own {
            "model" => dependency.name != "chrono",
            own if LEAN.contains(&own) => dependency.optional,
            _ => false,
        };
        if let Some(line) = crate_named(&text, &dependency.name.replace('-', "_")).filter(|_| forbidden) {
            complaints.push(format!("src/{}:{line}: {own} must not name the crate {}", file.path, dependency.name));
        }
    }
    complaints
}

fn bin_complaints(file: &File) -> Vec<String> {
    let text = shipped(&file.text);
    let mut complaints: Vec<String> = modules_named(&text, &["bin".into(), file.path.clone()])
        .into_iter()
        .filter(|(_, named)| named != "app")
        .map(|(line, named)| format!("bin/{}:{line}: a program calls app, not {named}", file.path))
        .collect();
    if file.text.lines().count() > 15 {
        complaints.push(format!("bin/{}: more than 15 lines; logic belongs to src/app", file.path));
    }
    complaints
}

#[test]
fn rings_are_kept() {
    let dependencies = dependencies(&fs::read_to_string(root().join("Cargo.toml")).unwrap());
    let mut complaints = Vec::new();
    for file in shipped_files("src") {
        complaints.extend(ring_complaints(&file));
        complaints.extend(crate_complaints(&file, &dependencies));
    }
    for file in shipped_files("bin") {
        complaints.extend(bin_complaints(&file));
    }
    ok(complaints);
}

#[test]
fn every_folder_of_the_source_has_a_ring() {
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let known = ["lib.rs", "model", "app"].contains(&name.as_str()) || SERVICES.contains(&name.as_str());
        assert!(known, "src/{name} is no ring of ARCHITECTURE.md; name it in tests/tidy.rs");
    }
}

#[test]
fn the_ring_check_sees_every_way_to_name_a_service() {
    let sees = |path: &str, text: &str| {
        let file = File { path: path.into(), text: text.into() };
        !ring_complaints(&file).is_empty()
    };
    assert!(sees("store/mod.rs", "use crate::alert::step;"));
    assert!(sees("store/mod.rs", "use crate::{model::host, alert};"));
    assert!(sees("store/mod.rs", "fn f() { crate::wire::v1::decode(b\"\"); }"));
    assert!(sees("store/sqlite/mod.rs", "use super::super::notify;"));
    assert!(sees("store/sqlite/read.rs", "use super::super::super::{notify::x};"));
    assert!(sees("model/mod.rs", "use crate::store;"));
    assert!(sees("rule/mod.rs", "use crate::app::clock;"));
    assert!(sees("view/mod.rs", "use rusqlite::Connection;"));
    assert!(!sees("store/sqlite/mod.rs", "use super::Store; use crate::model::{sample, host}; use crate::store::x;"));
    assert!(!sees("store/mod.rs", "// crate::alert\nconst T: &str = \"crate::alert\";"));
    assert!(!sees("store/mod.rs", "#[cfg(test)]\nmod tests { use crate::alert; }"));
    assert!(!sees("app/mod.rs", "use crate::{store, alert, wire};"));
    let bin = File { path: "x.rs".into(), text: "fn main() { fleet_health::store::open() }".into() };
    assert!(!bin_complaints(&bin).is_empty());
    let lean = File { path: "wire/v1.rs".into(), text: "use base64::Engine;".into() };
    let optional = Dependency { name: "base64".into(), line: 1, optional: true, reason: true };
    assert!(!crate_complaints(&lean, &[optional]).is_empty());
    let model = File { path: "model/x.rs".into(), text: "use serde::Serialize;".into() };
    let serde = Dependency { name: "serde".into(), line: 1, optional: false, reason: true };
    assert!(!crate_complaints(&model, &[serde]).is_empty());
}

// --- what shipped code must not hold ---

fn word_complaints(file: &File) -> Vec<String> {
    let text = shipped(&file.text);
    let mut complaints = Vec::new();
    let mut say = |at: usize, what: &str| {
        let line = text[..at].matches('\n').count() + 1;
        complaints.push(format!("{}:{line}: {what} in shipped code", file.path));
    };
    for at in words(&text, "unsafe") {
        say(at, "unsafe");
    }
    for method in ["unwrap", "expect", "unwrap_err", "expect_err"] {
        for at in words(&text, method) {
            let called = text[at + method.len()..].trim_start().starts_with('(');
            if called && text[..at].trim_end().ends_with(['.', ':']) {
                say(at, method);
            }
        }
    }
    for makro in ["panic", "todo", "unimplemented", "dbg"] {
        for at in words(&text, makro) {
            if text[at + makro.len()..].starts_with('!') {
                say(at, makro);
            }
        }
    }
    for opening in ["#[allow(", "#![allow("] {
        for (at, _) in text.match_indices(opening) {
            let end = text[at..].find(']').map_or(text.len(), |end| at + end);
            if !text[at..end].contains("reason") {
                say(at, "an allow without its reason");
            }
        }
    }
    complaints
}

#[test]
fn shipped_code_does_not_panic_on_purpose() {
    let mut complaints = Vec::new();
    for folder in ["src", "bin"] {
        for file in shipped_files(folder) {
            complaints.extend(word_complaints(&file));
        }
    }
    ok(complaints);
}

#[test]
fn the_word_check_sees_what_it_looks_for() {
    let count = |text: &str| word_complaints(&File { path: "x.rs".into(), text: text.into() }).len();
    for bad in [
        "fn f() { x.unwrap(); }",
        "fn f() { x\n    .expect(\"y\"); }",
        "fn f() { Option::unwrap(x); }",
        "fn f() { panic!(\"a\") }",
        "fn f() { todo!() }",
        "fn f() { unsafe { x() } }",
        "#[allow(dead_code)] fn f() {}",
        "#[cfg(test)] mod t { fn a() {} } fn f() { x.unwrap() }",
        "const C: char = '\"'; fn f() { x.unwrap() }",
        "const S: &str = r#\"\"\"#; fn f<'a>() { x.unwrap() }",
    ] {
        assert_eq!(count(bad), 1, "{bad}");
    }
    for good in [
        "// x.unwrap()\nfn f() {}",
        "/* panic!() /* nested */ todo!() */ fn f() {}",
        "const S: &str = \"panic!() \\\" unsafe\";",
        "const S: &[u8] = br#\"x.unwrap() \" \"#;",
        "fn expect(&mut self) { self.unwrap_or(1) }",
        "#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }",
        "#[cfg(test)]\nuse std::thing;",
        "#[allow(dead_code, reason = \"why\")] fn f() {}",
    ] {
        assert_eq!(count(good), 0, "{good}");
    }
}

#[test]
fn only_modules_declared_for_tests_are_left_out() {
    let declares = |path: &str, text: &str| test_modules(path, text).join(" ");
    assert_eq!(declares("wire/v1.rs", "#[cfg(test)]\n#[path = \"v1_tests.rs\"]\nmod tests;\n"), "wire/v1_tests.rs");
    assert_eq!(declares("measure/mod.rs", "#[cfg(test)]\nmod tests;\n"), "measure/tests.rs measure/tests/mod.rs");
    assert_eq!(
        declares("wire/frame.rs", "    #[cfg(test)]\n    mod more;\n"),
        "wire/frame/more.rs wire/frame/more/mod.rs"
    );
    assert_eq!(declares("wire/v1.rs", "mod tests;\n#[cfg(test)]\nmod inline {\n}\n#[cfg(test)]\nuse x;\n"), "");
    assert!(belongs("a/sim.rs", "a/sim.rs") && belongs("a/sim/more.rs", "a/sim.rs"));
    assert!(!belongs("a/simple.rs", "a/sim.rs") && !belongs("a/b.rs", "a/sim.rs"));
}

// --- length ---

/// Lines before the tests at the end of the file.
fn own_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().position(|line| *line == "#[cfg(test)]").unwrap_or(lines.len())
}

#[test]
fn files_are_about_one_idea() {
    let files = shipped_files("src");
    let mut lengths: Vec<usize> = files.iter().map(|file| own_lines(&file.text)).collect();
    let long: Vec<String> = files
        .iter()
        .filter(|file| own_lines(&file.text) > MOST_LINES)
        .map(|file| {
            format!("src/{}: {} lines before its tests, at most {MOST_LINES}", file.path, own_lines(&file.text))
        })
        .collect();
    ok(long);
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= 160, "half of the files have more than {median} lines; the house wants about 120");
}

#[test]
fn tests_do_not_count_as_length() {
    assert_eq!(own_lines("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
    assert_eq!(own_lines("a\nb\nc\n"), 3);
}

// --- Cargo.toml and Cargo.lock ---

struct Dependency {
    name: String,
    line: usize,
    optional: bool,
    reason: bool,
}

/// The dependencies of a manifest. One sentence of comment stands above each, or above at most three that serve one
/// purpose together.
fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut found = Vec::new();
    let mut inside = false;
    let mut served = 3;
    for (number, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            inside = matches!(line, "[dependencies]" | "[dev-dependencies]" | "[build-dependencies]");
            served = 3;
        } else if line.is_empty() {
            served = 3;
        } else if let Some(comment) = line.strip_prefix('#') {
            served = if comment.trim().len() > 12 && comment.trim().ends_with(['.', '?', ':']) { 0 } else { 3 };
        } else if let Some((name, rest)) = line.split_once('=').filter(|_| inside) {
            served += 1;
            found.push(Dependency {
                name: name.trim().to_owned(),
                line: number + 1,
                optional: rest.contains("optional = true"),
                reason: served <= 3,
            });
        }
    }
    found
}

#[test]
fn every_dependency_says_why() {
    let found = dependencies(&fs::read_to_string(root().join("Cargo.toml")).unwrap());
    assert!(found.len() > 10, "the manifest was not understood");
    let silent: Vec<String> = found
        .iter()
        .filter(|dependency| !dependency.reason)
        .map(|dependency| format!("Cargo.toml:{}: {} lacks a sentence that says why", dependency.line, dependency.name))
        .collect();
    ok(silent);
}

#[test]
fn the_manifest_check_sees_a_silent_dependency() {
    let found = dependencies("[dependencies]\na = \"1\"\n# Needed for this and that.\nb = \"1\"\n\nc = \"1\"\n");
    let reasons: Vec<bool> = found.iter().map(|dependency| dependency.reason).collect();
    assert_eq!(reasons, [false, true, false]);
}

/// Versions of a package in a lock file.
fn locked(lock: &str, name: &str) -> Vec<Vec<u64>> {
    let mut found = Vec::new();
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        if line == format!("name = \"{name}\"")
            && let Some(version) = lines.next().and_then(|line| line.strip_prefix("version = \""))
        {
            found.push(numbers(version));
        }
    }
    found
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '"', '+', '-']).map_while(|part| part.parse().ok()).collect()
}

fn under_floor(lock: &str, name: &str, floor: &str) -> bool {
    let versions = locked(lock, name);
    versions.is_empty() || versions.iter().any(|version| *version < numbers(floor))
}

#[test]
fn no_library_is_under_its_floor() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let floors = [
        ("libssh2-sys", "0.3.4", "CVE-2026-55200, CVE-2026-55199, CVE-2025-15661: writes before login"),
        ("ssh2", "0.9.6", "the first over that libssh2-sys"),
        ("quick-xml", "0.41.0", "RUSTSEC-2026-0194, RUSTSEC-2026-0195"),
        ("openssl-src", "300.5.0", "OpenSSL 3.5 brings mlkem768x25519"),
        ("rustls", "0.23.46", "the oldest that was examined"),
    ];
    let low: Vec<String> = floors
        .iter()
        .filter(|(name, floor, _)| under_floor(&lock, name, floor))
        .map(|(name, floor, why)| format!("Cargo.lock: {name} must be there and at least {floor}: {why}"))
        .collect();
    ok(low);
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let rusqlite = manifest.lines().find(|line| line.starts_with("rusqlite")).unwrap_or_default();
    assert!(rusqlite.contains("\"bundled\""), "rusqlite must bundle SQLite: the system's may have the WAL-reset bug");
    let ssh2 = manifest.lines().find(|line| line.starts_with("ssh2")).unwrap_or_default();
    assert!(ssh2.contains("vendored-openssl"), "ssh2 must vendor OpenSSL");
}

#[test]
fn the_floor_check_sees_an_old_library() {
    let lock = "[[package]]\nname = \"libssh2-sys\"\nversion = \"0.3.3\"\n";
    assert!(under_floor(lock, "libssh2-sys", "0.3.4"));
    assert!(under_floor(lock, "not-there", "0.1.0"));
    assert!(!under_floor(&lock.replace("0.3.3", "0.3.10"), "libssh2-sys", "0.3.4"));
}

// --- migrations ---

fn migration_complaints(names: &[String]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let number = name.split_once('_').map_or("", |(number, _)| number);
        if number != format!("{:04}", index + 1) {
            complaints
                .push(format!("sql: {name} should be number {:04}: migrations have no gaps and no doubles", index + 1));
        }
    }
    complaints
}

#[test]
fn migrations_are_numbered_without_gaps() {
    for folder in fs::read_dir(root().join("sql")).into_iter().flatten() {
        let folder = folder.unwrap().path();
        let mut names: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".sql") && name != "schema.sql")
            .collect();
        names.sort();
        assert!(!names.is_empty(), "{} holds no migration", folder.display());
        ok(migration_complaints(&names));
    }
}

#[test]
fn the_migration_check_sees_gaps_and_doubles() {
    let complaints =
        |names: &[&str]| migration_complaints(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    assert!(complaints(&["0001_start.sql", "0002_more.sql"]).is_empty());
    assert!(!complaints(&["0001_start.sql", "0003_more.sql"]).is_empty());
    assert!(!complaints(&["0001_start.sql", "0001_more.sql"]).is_empty());
    assert!(!complaints(&["1_start.sql"]).is_empty());
}

// --- mutants ---

/// The files that a patch changes, each with the texts that it wants to find there.
fn wanted(patch: &str) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    let mut file = String::new();
    for line in patch.lines() {
        match (line.strip_prefix("--- a/"), line.split_at_checked(1)) {
            (Some(path), _) => file = path.to_owned(),
            (_, Some(("@", _))) => out.push((file.clone(), String::new())),
            (_, Some((" " | "-", text))) => {
                if let Some((_, wanted)) = out.last_mut() {
                    wanted.push_str(&format!("{text}\n"));
                }
            }
            _ => {}
        }
    }
    out
}

#[test]
fn mutants_fit_the_source() {
    let mut complaints = Vec::new();
    for patch in files_below(&root().join("scripts/mutants"), ".patch") {
        let wanted = wanted(&patch.text);
        assert!(!wanted.is_empty(), "{} changes nothing", patch.path);
        for (file, text) in wanted {
            if !fs::read_to_string(root().join(&file)).unwrap_or_default().contains(&text) {
                complaints.push(format!("{}: {file} has changed; make the patch anew, then: make mutants", patch.path));
            }
        }
    }
    ok(complaints);
}

// --- documents ---

#[test]
fn every_cause_is_explained_for_people() {
    let text = fs::read_to_string(root().join("docs/causes.md")).unwrap();
    let silent: Vec<String> = fleet_health::model::cause::Cause::ALL
        .iter()
        .filter(|cause| !text.contains(&format!("| `{}` |", cause.word())))
        .map(|cause| format!("docs/causes.md: no line for `{}`", cause.word()))
        .collect();
    ok(silent);
}

/// Relative links of a Markdown text.
fn links(text: &str) -> Vec<String> {
    text.match_indices("](")
        .filter_map(|(at, _)| text[at + 2..].split([')', '#']).next())
        .filter(|link| !link.is_empty() && !link.contains(':'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut complaints = Vec::new();
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"] {
        let text = fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        complaints.extend(
            links(&text)
                .into_iter()
                .filter(|link| !root().join(link).exists())
                .map(|link| format!("{name}: {link} is not there")),
        );
    }
    ok(complaints);
    assert_eq!(links("see [a](b.md), [c](docs/d.md#e) and [f](#g)"), ["b.md", "docs/d.md"]);
}
