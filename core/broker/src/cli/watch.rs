//! Files whose changes are to be noticed. They are looked at now and then: that works on every file system, and also
//! where a link is put to another file, as orchestrators change certificates and secrets.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// What tells a file from what it was: its number, length and last change; nothing for a file that is not there.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// The files, as they were when they were last read.
#[derive(Debug)]
pub struct Watch {
    paths: Vec<PathBuf>,
    known: Vec<Stamp>,
    /// As they were at the last look, when that was something new: it may not be all yet.
    moving: Option<Vec<Stamp>>,
    looked: Instant,
}

impl Watch {
    /// Follows these files from now on.
    pub fn new(paths: Vec<PathBuf>, now: Instant) -> Self {
        let known = stamps(&paths);
        Self { paths, known, moving: None, looked: now }
    }

    /// Follows these from now on; those that it followed already, since when it did.
    pub fn follow(&mut self, paths: Vec<PathBuf>) {
        let known = paths.iter().map(|path| match self.paths.iter().position(|known| known == path) {
            Some(at) => self.known[at],
            None => stamp(path),
        });
        self.known = known.collect();
        self.paths = paths;
        self.moving = None;
    }

    /// They are about to be read, whatever they are.
    pub fn renew(&mut self) {
        self.known = stamps(&self.paths);
        self.moving = None;
    }

    /// Whether they are other files than before, and the same at two looks in a row: one that is still being written,
    /// or is one of several, gets its time.
    pub fn has_changed(&mut self, now: Instant) -> bool {
        if now.duration_since(self.looked) < INTERVAL {
            return false;
        }
        self.looked = now;
        let found = stamps(&self.paths);
        if found == self.known {
            self.moving = None;
            return false;
        }
        if self.moving.as_ref() != Some(&found) {
            self.moving = Some(found);
            return false;
        }
        self.known = found;
        self.moving = None;
        true
    }
}

fn stamp(path: &PathBuf) -> Stamp {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
}

fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    paths.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_change_counts_once_it_stands_still() {
        let folder = std::env::temp_dir().join(format!("ringmq-watch-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (first, second) = (folder.join("first"), folder.join("second"));
        fs::write(&first, "1").unwrap();
        let mut now = Instant::now();
        let mut watch = Watch::new(vec![first.clone(), second.clone()], now);
        let mut look = |watch: &mut Watch| {
            now += INTERVAL;
            watch.has_changed(now)
        };
        assert!(!look(&mut watch) && !look(&mut watch));
        fs::write(&first, "12").unwrap();
        assert!(!look(&mut watch), "it may still be written");
        fs::write(&second, "1").unwrap();
        assert!(!look(&mut watch), "so may another");
        assert!(look(&mut watch));
        assert!(!look(&mut watch), "and that was it");
        fs::remove_file(&second).unwrap();
        assert!(!look(&mut watch) && look(&mut watch), "that it is gone is a change too");
        // A link to another file of the same length.
        let (new, link) = (folder.join("new"), folder.join("link"));
        fs::write(&new, "12").unwrap();
        std::os::unix::fs::symlink(&new, &link).unwrap();
        fs::rename(&link, &first).unwrap();
        assert!(!look(&mut watch) && look(&mut watch));
        fs::write(&first, "123").unwrap();
        assert!(!look(&mut watch));
        fs::write(&first, "1234").unwrap();
        assert!(!look(&mut watch) && look(&mut watch));
        // What changed while it was read is seen, though the list of files is another by then.
        fs::write(&first, "12345").unwrap();
        watch.follow(vec![second.clone(), first.clone()]);
        assert!(!look(&mut watch) && look(&mut watch));
        fs::write(&first, "123456").unwrap();
        watch.renew();
        assert!(!look(&mut watch) && !look(&mut watch));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn looks_are_not_more_often_than_once_a_second() {
        let now = Instant::now();
        let mut watch = Watch::new(vec!["nowhere".into()], now);
        assert!(!watch.has_changed(now + INTERVAL / 2));
        assert_eq!(watch.looked, now);
    }
}
