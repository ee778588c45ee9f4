//! `file`: files by pattern, how many, how large, how old.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

use super::{Check, Found, Occasion, Trouble, glob};
use crate::model::sample::FaultKind;

pub(super) struct File;

impl Check for File {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn look(&self, at: &Occasion, found: &mut Found) -> Result<(), Trouble> {
        let path = at.needed("path")?;
        let mut sum = Sum::default();
        let all = glob::expand(at, path, found)?;
        let wild = path.contains(['*', '?']);
        for file in all {
            match fs::metadata(&file) {
                Ok(meta) => sum.add(&meta, at.now),
                // Gone since it was listed: not a fault.
                Err(_) if wild => {}
                Err(error) => return Err(glob::said(path, &error)),
            }
        }
        sum.put(found);
        // Without a file there is no age, and a rule of it would be silent for ever: the job that has never run, or
        // whose files somebody cleared away.
        if sum.count == 0 && at.order.attribute("empty") != Some("ok") {
            return Err(Trouble::Bad(FaultKind::Absent, format!("nothing fits {path}")));
        }
        Ok(())
    }
}

#[derive(Default)]
struct Sum {
    count: u64,
    size: u64,
    largest: u64,
    newest: Option<i64>,
    oldest: Option<i64>,
}

impl Sum {
    /// Counts regular files and folders named by the pattern; only files have a size.
    fn add(&mut self, meta: &Metadata, now: i64) {
        self.count += 1;
        if meta.is_file() {
            self.size = self.size.saturating_add(meta.len());
            self.largest = self.largest.max(meta.len());
        }
        // A stamp from the future is of now.
        let age = now.saturating_sub(meta.mtime()).max(0);
        self.newest = Some(self.newest.map_or(age, |newest| newest.min(age)));
        self.oldest = Some(self.oldest.map_or(age, |oldest| oldest.max(age)));
    }

    #[allow(clippy::cast_precision_loss, reason = "ages in seconds are small")]
    fn put(&self, found: &mut Found) {
        found.whole("file.count", self.count);
        found.whole("file.size", self.size);
        found.whole("file.largest", self.largest);
        if let (Some(newest), Some(oldest)) = (self.newest, self.oldest) {
            found.put("file.age", newest as f64);
            found.put("file.age.oldest", oldest as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::run::tests::look;
    use std::time::{Duration, SystemTime};

    fn write(path: &std::path::Path, size: usize, age: u64) {
        let file = fs::File::create(path).unwrap();
        file.set_len(size as u64).unwrap();
        #[allow(clippy::disallowed_methods, reason = "a stamp for a file")]
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    }

    #[test]
    fn count_size_and_age_by_pattern() {
        let root = tempfile::tempdir().unwrap();
        for (name, size, age) in [("a.tar", 10, 100), ("b.tar", 20, 5000), ("c.txt", 99, 1), (".d.tar", 99, 1)] {
            write(&root.path().join(name), size, age);
        }
        let (found, result) = look(&File, &[("path", "/*.tar")], root.path());
        assert_eq!(result, Ok(()));
        let value = |metric: &str| found.readings.iter().find(|r| r.metric == metric).unwrap().value;
        assert_eq!((value("file.count"), value("file.size"), value("file.largest")), (2.0, 30.0, 20.0));
        assert!((100.0..200.0).contains(&value("file.age")) && value("file.age.oldest") >= 5000.0);
        let (found, result) = look(&File, &[("path", "/*.zip")], root.path());
        assert_eq!(result, Err(Trouble::Bad(FaultKind::Absent, "nothing fits /*.zip".into())));
        assert_eq!((found.readings[0].metric.as_str(), found.readings[0].value), ("file.count", 0.0));
        let (found, result) = look(&File, &[("path", "/*.zip"), ("empty", "ok")], root.path());
        assert_eq!((found.readings.len(), result), (3, Ok(())), "a folder of mistakes should be empty");
        let (_, result) = look(&File, &[("path", "/none")], root.path());
        assert!(matches!(result, Err(Trouble::Bad(FaultKind::Absent, _))));
    }
}
