//! A directory of .eml files, each written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{Channel, Class, Parcel, Refusal, Say, Session, Setup};
use crate::model::spec::ChannelSpec;

pub struct Directory;

struct Writer;

impl Channel for Directory {
    fn name(&self) -> &'static str {
        "directory"
    }

    fn recipients(&self, channel: &ChannelSpec) -> Option<Vec<String>> {
        match channel {
            ChannelSpec::Directory(path) => Some(vec![path.to_string_lossy().into_owned()]),
            _ => None,
        }
    }

    fn open(&self, _setup: &Setup<'_>, _say: Say<'_>) -> Result<Box<dyn Session>, Refusal> {
        Ok(Box::new(Writer))
    }

    fn reach(&self, setup: &Setup<'_>, _say: Say<'_>) -> Result<(), Refusal> {
        let ChannelSpec::Directory(path) = setup.channel else { return Ok(()) };
        // It is made with the first mail, in what is there already.
        let there = path.ancestors().find(|place| place.exists()).unwrap_or(path);
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        let error = match rustix::fs::access(there, access) {
            _ if !there.is_dir() => rustix::io::Errno::NOTDIR,
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let text = format!("{}: {error}; make it a directory that this user may write to", there.display());
        Err(Refusal { class: Class::Configuration, stage: "write", text })
    }
}

fn write(folder: &Path, parcel: &Parcel<'_>) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let name: String = parcel
        .message_id
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "@.-".contains(c) { c } else { '-' })
        .collect();
    // The same mail again replaces itself: a directory never shows a mail twice.
    let (hidden, target) = (folder.join(format!(".{name}.part")), folder.join(format!("{name}.eml")));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&hidden)?;
    file.write_all(parcel.bytes)?;
    file.sync_all()?;
    fs::rename(&hidden, &target)?;
    File::open(folder)?.sync_all()
}

impl Session for Writer {
    fn send(&mut self, parcel: &Parcel<'_>, say: Say<'_>) -> Result<(), Refusal> {
        say(&format!("write {}/{}.eml", parcel.recipient, parcel.message_id));
        write(Path::new(parcel.recipient), parcel).map_err(|error| Refusal {
            class: Class::Configuration,
            stage: "write",
            text: format!("{}: {error}; make it a directory that this user may write to", parcel.recipient),
        })
    }

    fn close(&mut self, _say: Say<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let recipient = folder.path().join("mail").to_string_lossy().into_owned();
        let parcel = Parcel { recipient: &recipient, message_id: "1@x", bytes: b"A: b\r\n\r\nc\r\n" };
        for _ in 0..2 {
            Writer.send(&parcel, &mut |_| {}).unwrap();
        }
        let names: Vec<_> = fs::read_dir(&recipient).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["1@x.eml"]);
        let parcel = Parcel { recipient: "/proc/none", ..parcel };
        assert_eq!(Writer.send(&parcel, &mut |_| {}).unwrap_err().class, Class::Configuration);
    }
}
