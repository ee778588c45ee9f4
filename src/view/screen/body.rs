//! The lines of the pages that are read from top to bottom, and how many of them there is room for.

use super::rows::{self, Row};
use super::{Page, Screen, host, problems, services};

impl Screen {
    /// The lines of the page that is seen; none where it is a table or a chart.
    pub(super) fn lines(&self) -> Vec<Row> {
        let width = usize::from(self.size.width);
        let reads = || vec![Row::plain(" being read ...")];
        match self.pages.last() {
            Some(Page::Problems) => match &self.fleet {
                Some(fleet) => problems::rows(fleet, &self.filter, self.ended, self.now, width),
                None => reads(),
            },
            Some(Page::Services) => {
                self.snapshot().map_or_else(reads, |it| services::rows(it, &self.filter, self.now, width))
            }
            Some(Page::Host(name, reading)) => {
                let Some(snapshot) = self.snapshot() else { return reads() };
                let Some(row) = snapshot.host(name) else {
                    return vec![Row::plain(" this host is not in the configuration any more")];
                };
                let whole = self.host.as_deref().filter(|host| host.name == *name);
                let told = host::Told { row, whole, now: self.now, width };
                rows::with(host::rows(&told), &reading.only)
            }
            Some(Page::Problem(id, reading)) => {
                let Some(story) = self.story.as_deref().filter(|story| story.incident.id == *id) else {
                    return reads();
                };
                let open = self.snapshot().and_then(|it| {
                    let theirs = it.hosts.iter().flat_map(|host| &host.problems);
                    it.fleet.iter().chain(theirs).find(|problem| problem.incident.id == *id)
                });
                rows::with(problems::story(story, open, self.now, width), &reading.only)
            }
            _ => Vec::new(),
        }
    }

    /// How many lines of the page are seen at once.
    pub(super) fn body(&self) -> usize {
        usize::from(self.areas().body.height)
    }
}
