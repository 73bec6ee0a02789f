//! What is to be written: all of it, or nothing.
//!
//! The rule: a file that is there is never written over, except the workspace's `Cargo.toml`, which gets lines added. If
//! anything fails half way, what was written is taken back.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Refused, misused};
use crate::probe::workspace::Trouble;

/// A file that is to be made.
struct New {
    path: String,
    text: String,
    about: String,
}

/// A file that is to be changed.
struct Change {
    path: String,
    before: String,
    after: String,
    about: String,
}

/// What is to be written into a workspace. Paths are from its root.
pub(super) struct Plan {
    root: PathBuf,
    new: Vec<New>,
    changes: Vec<Change>,
    members: Vec<String>,
    crates: Vec<String>,
}

impl Plan {
    pub(super) fn new(root: &Path) -> Self {
        Plan { root: root.to_owned(), new: Vec::new(), changes: Vec::new(), members: Vec::new(), crates: Vec::new() }
    }

    /// A file to be made.
    pub(super) fn add(&mut self, path: &str, text: String, about: &str) {
        self.new.push(New { path: path.to_owned(), text, about: about.to_owned() });
    }

    /// A file to be changed, from what was read of it.
    pub(super) fn change(&mut self, path: &str, before: String, after: String, about: &str) {
        if before != after {
            self.changes.push(Change { path: path.to_owned(), before, after, about: about.to_owned() });
        }
    }

    /// The workspace gets this crate as a member.
    pub(super) fn member(&mut self, directory: &str, krate: &str) {
        self.members.push(directory.to_owned());
        self.crates.push(krate.to_owned());
    }

    /// The crates that the workspace gets.
    pub(super) fn crates(&self) -> &[String] {
        &self.crates
    }

    /// The members that the workspace gets.
    pub(super) fn members(&self) -> &[String] {
        &self.members
    }

    /// Nothing of what is to be made is there.
    pub(super) fn check(&self) -> Result<(), Refused> {
        for file in &self.new {
            let path = self.root.join(&file.path);
            if path.symlink_metadata().is_ok() {
                return Err(misused(
                    format!("{} is there already; nothing was written.", path.display()),
                    "choose another name, or move it away.",
                ));
            }
        }
        Ok(())
    }

    /// All files, with what they are.
    pub(super) fn list(&self) -> String {
        let new = self.new.iter().map(|file| (&file.path, file.about.clone()));
        let changed = self.changes.iter().map(|file| (&file.path, format!("changed: {}", file.about)));
        let files: Vec<(&String, String)> = changed.chain(new).collect();
        let width = files.iter().map(|(path, _)| path.len()).max().unwrap_or(0);
        files.iter().map(|(path, about)| format!("  {}\n", format!("{path:width$}  {about}").trim_end())).collect()
    }

    /// Writes everything, or nothing.
    pub(super) fn write(&self) -> Result<(), Trouble> {
        let mut done = Done::default();
        let written = self.write_into(&mut done);
        if written.is_err() {
            done.take_back();
        }
        written.map_err(|(path, error)| {
            Trouble::new(
                format!("{} cannot be written: {error}; nothing was written.", path.display()),
                "make the directory writable, or name another one with --in DIR.",
            )
        })
    }

    fn write_into(&self, done: &mut Done) -> Result<(), (PathBuf, std::io::Error)> {
        for file in &self.new {
            let path = self.root.join(&file.path);
            done.new_file(&path, &file.text).map_err(|error| (path, error))?;
        }
        for file in &self.changes {
            let path = self.root.join(&file.path);
            done.changed_file(&path, file).map_err(|error| (path, error))?;
        }
        Ok(())
    }
}

/// What was written so far.
#[derive(Default)]
struct Done {
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
    changed: Vec<(PathBuf, String)>,
}

impl Done {
    fn new_file(&mut self, path: &Path, text: &str) -> std::io::Result<()> {
        if let Some(parent) = path.parent() {
            let missing: Vec<&Path> = parent.ancestors().take_while(|above| !above.exists()).collect();
            for directory in missing.into_iter().rev() {
                fs::create_dir(directory)?;
                self.directories.push(directory.to_owned());
            }
        }
        let mut file = fs::File::create_new(path)?;
        self.files.push(path.to_owned());
        file.write_all(text.as_bytes())
    }

    fn changed_file(&mut self, path: &Path, change: &Change) -> std::io::Result<()> {
        if fs::read_to_string(path)? != change.before {
            return Err(std::io::Error::other("somebody else changes it at the same time"));
        }
        self.changed.push((path.to_owned(), change.before.clone()));
        fs::write(path, &change.after)
    }

    /// What cannot be taken back has to stay: there is nobody else to do it.
    fn take_back(&self) {
        for (path, before) in &self.changed {
            let _ = fs::write(path, before);
        }
        for path in &self.files {
            let _ = fs::remove_file(path);
        }
        for path in self.directories.iter().rev() {
            let _ = fs::remove_dir(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;

    #[test]
    fn what_fails_half_way_is_taken_back() {
        let root = tempfile::tempdir().expect("a directory can be made");
        std::fs::write(root.path().join("Cargo.toml"), "before").expect("a file can be written");
        let mut plan = Plan::new(root.path());
        plan.add("a/b/one", "1".to_owned(), "");
        plan.change("Cargo.toml", "before".to_owned(), "after".to_owned(), "");
        plan.change("not-there", "x".to_owned(), "y".to_owned(), "");
        let Err(trouble) = plan.write() else { panic!("a file that is not there was changed") };
        assert!(trouble.what.contains("not-there cannot be written"), "{}", trouble.what);
        let left: Vec<_> = std::fs::read_dir(root.path()).expect("it is there").flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(std::fs::read_to_string(root.path().join("Cargo.toml")).expect("it is there"), "before");
    }
}
