//! The main file and what it includes, read once, bounded, as one list of top-level elements.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::report::{At, Report, Source};
use super::schema;
use super::tree::{self, Node};
use crate::model::amount;
use crate::model::pattern;
use crate::model::suggest::did_you_mean;

const MAX_FILE: u64 = 4 * 1024 * 1024;
const MAX_FILES: usize = 1000;
const MAX_TOTAL: usize = 64 * 1024 * 1024;
const MAX_INCLUDES: usize = 8;

/// Reads everything; mistakes go to the report. With `draft`, that is taken for the text of the main file.
pub(super) fn read_all(main: &Path, draft: Option<&str>, report: &mut Report) -> Vec<Node> {
    let draft = draft.map(str::to_owned);
    let mut reader = Reader { report, draft, seen: Vec::new(), total: 0, out: Vec::new() };
    reader.file(main, None, 0);
    reader.out
}

struct Reader<'a> {
    report: &'a mut Report,
    draft: Option<String>,
    /// Device and inode of each file, so that a file cannot include itself by any name.
    seen: Vec<(u64, u64)>,
    total: usize,
    out: Vec<Node>,
}

impl Reader<'_> {
    fn fail(&mut self, named: Option<At>, path: &Path, text: &str) {
        let text = format!("{}: {text}", path.display());
        match named {
            Some(at) => self.report.error(at, text, ""),
            None => self.report.general(text),
        }
    }

    fn file(&mut self, path: &Path, named: Option<At>, depth: usize) {
        let (text, meta) = match read(path) {
            Ok((text, meta)) => (self.draft.take().unwrap_or(text), meta),
            Err(why) => return self.fail(named, path, &why),
        };
        let id = (meta.dev(), meta.ino());
        if self.seen.contains(&id) {
            return self.fail(named, path, "is included twice");
        }
        self.seen.push(id);
        self.total += text.len();
        if self.seen.len() > MAX_FILES || self.total > MAX_TOTAL {
            return self.fail(named, path, "there are over 1,000 files or 64 MiB of them");
        }
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        let private = meta.mode() & 0o077 == 0;
        let file = self.report.add_source(Source::new(path.to_owned(), folder, private, text.as_str().into()));
        let Some(root) = tree::parse(file, &text, self.report) else { return };
        if !self.is_root(&root) {
            return;
        }
        schema::examine(&root, self.report);
        for child in root.children {
            if child.name == "include" {
                self.include(path, &child, depth);
            } else {
                self.out.push(child);
            }
        }
    }

    fn is_root(&mut self, root: &Node) -> bool {
        if root.name != "fleet-health" {
            let mend = did_you_mean(&root.name, ["fleet-health"], "every file, included ones too, starts so");
            self.report.error(root.at, format!("the outermost element is <{}>, not <fleet-health>", root.name), mend);
            return false;
        }
        match root.attr("version") {
            Some(version) if version.value == "1" => {}
            Some(version) => {
                let text = format!("this program reads version 1, not \"{}\"", version.value);
                self.report.error(version.value_at, text, "write version=\"1\"");
            }
            None => self.report.error(root.at, "<fleet-health> has no version", "write version=\"1\""),
        }
        true
    }

    fn include(&mut self, from: &Path, node: &Node, depth: usize) {
        let Some(attr) = node.attr("file") else {
            return self.report.error(node.at, "<include> names no file", "write file=\"conf.d/*.xml\"");
        };
        if depth >= MAX_INCLUDES {
            return self.report.error(attr.value_at, "includes inside of includes, over 8 deep", "");
        }
        // Joined to the path as people typed it, so that errors name files as they know them.
        let path = from.parent().unwrap_or(Path::new("")).join(&attr.value);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        if folder.to_string_lossy().contains(['*', '?']) || name.is_empty() {
            let mend = "write it as conf.d/*.xml";
            return self.report.error(attr.value_at, "wildcards stand in the last part of an include only", mend);
        }
        if !name.contains(['*', '?']) {
            return self.file(&path, Some(attr.value_at), depth + 1);
        }
        match fitting(&folder, &name) {
            Ok(files) => {
                for file in files {
                    self.file(&file, Some(attr.value_at), depth + 1);
                }
            }
            Err(why) => self.fail(Some(attr.value_at), &folder, &why),
        }
    }
}

/// The files of a folder that fit, by name; hidden ones only where the pattern names the dot. A folder that is not
/// there holds none.
fn fitting(folder: &Path, name: &str) -> Result<Vec<PathBuf>, String> {
    let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = match std::fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let mut files = Vec::new();
    for entry in entries {
        let found = entry.map_err(|error| error.to_string())?.file_name();
        let Some(text) = found.to_str() else { continue };
        if pattern::matches(name, text) && (!text.starts_with('.') || name.starts_with('.')) {
            files.push(folder.join(text));
        }
        if files.len() > MAX_FILES {
            return Err("holds over 1,000 files that fit".to_owned());
        }
    }
    files.sort();
    Ok(files)
}

/// The text of a regular file, bounded before it is read; mode and text are of the same open file.
fn read(path: &Path) -> Result<(String, Metadata), String> {
    let said = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file; write one with: fleet init".to_owned(),
        _ => error.to_string(),
    };
    // Before opening: a pipe without a writer would hold us for ever.
    if !std::fs::metadata(path).map_err(said)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let file = File::open(path).map_err(said)?;
    let meta = file.metadata().map_err(said)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(said)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err("is over 4 MiB".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|&&b| b == b'\n').count() + 1;
        format!("line {line} is not UTF-8")
    })?;
    Ok((text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text), meta))
}

/// A path as typed in a file: `~/` is the home directory, and what is relative starts at the file's folder.
pub(super) fn resolve_path(folder: &Path, typed: &str) -> Result<PathBuf, amount::Wrong> {
    if typed.trim().is_empty() {
        return amount::wrong("the path is empty", "name a file");
    }
    if let Some(rest) = typed.strip_prefix("~/") {
        return match std::env::var_os("HOME") {
            Some(home) if !home.is_empty() => Ok(PathBuf::from(home).join(rest)),
            _ => amount::wrong("~ without HOME in the environment", "write the whole path"),
        };
    }
    let joined = folder.join(typed);
    // `./x` and `conf.d/../x` stay as they are: links make them mean what the system says.
    Ok(joined.components().collect())
}
