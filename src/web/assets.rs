//! Files that pages need: compiled in, named by their content, packed once at start.

use flate2::Compression;

use super::response::{Answer, Response, Trouble, pack, stamp};

/// A file that is compiled in.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// As templates name it: `style.css`.
    pub name: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
}

#[derive(Debug)]
struct Ready {
    file: File,
    url: String,
    packed: Vec<u8>,
}

/// Every file, ready to be sent.
#[derive(Debug)]
pub struct Assets(Vec<Ready>);

impl Assets {
    /// Names and packs them.
    #[must_use]
    pub fn new(files: &[File]) -> Self {
        let ready = files.iter().map(|file| {
            let (stem, ending) = file.name.rsplit_once('.').unwrap_or((file.name, "bin"));
            let url = format!("/static/{stem}-{}.{ending}", stamp(file.bytes));
            Ready { file: *file, url, packed: pack(file.bytes, Compression::best()) }
        });
        Self(ready.collect())
    }

    /// Where a file is served: it changes with the content, so browsers may keep it for ever.
    #[must_use]
    pub fn url(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|ready| ready.file.name == name).map(|ready| ready.url.as_str())
    }

    /// The file at a path.
    ///
    /// # Errors
    /// 404.
    pub fn serve(&self, path: &str) -> Answer {
        let found = self.0.iter().find(|ready| ready.url == path);
        let ready = found.ok_or_else(|| Trouble::missing("there is no such file; load the page again"))?;
        let mut response = Response::new(200, ready.file.kind, ready.file.bytes)
            .with("cache-control", "public, max-age=31536000, immutable");
        response.packed = Some(ready.packed.clone());
        Ok(response)
    }

    /// What all of them weigh on the line, packed.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.0.iter().map(|ready| ready.packed.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_the_name_that_their_content_gives_them() {
        let assets = Assets::new(&[File { name: "a.css", kind: "text/css", bytes: b"body{}" }]);
        let url = assets.url("a.css").unwrap();
        assert!(url.starts_with("/static/a-") && url.ends_with(".css") && url.len() == 30, "{url}");
        let served = assets.serve(url).unwrap();
        assert!(served.header("cache-control").unwrap().contains("immutable"));
        assert_eq!(assets.serve("/static/a.css").unwrap_err().status, 404);
        assert!(assets.url("b.css").is_none());
        assert!(assets.weight() > 0);
    }
}
