//! Where something new goes: a checkout of Koboshi, a workspace of the user's own, or one that has yet to be made.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, InlineTable, Item, Table, Value};

use super::plan::Plan;
use super::{Refused, misused};
use crate::probe::workspace::{Component, Member, Trouble, Workspace};
use crate::registry;

/// What the crates that are made here depend on.
const NEEDED: [&str; 6] =
    ["koboshi-host", "koboshi-interface-kit", "koboshi-runtime", "postcard", "postcard-schema", "serde"];

/// Where something new goes.
pub(super) struct Site {
    /// The workspace's directory.
    pub(super) root: PathBuf,
    /// Its `Cargo.toml` as it is; `None` if it has yet to be made.
    before: Option<String>,
    manifest: DocumentMut,
    /// Where Koboshi lies.
    koboshi: PathBuf,
    /// What cargo says of it.
    workspace: Option<Workspace>,
}

/// Whether a checkout of Koboshi lies here.
fn is_koboshi(root: &Path) -> bool {
    root.join("images/host.toml").is_file() && root.join("components/runtime/Cargo.toml").is_file()
}

fn read_toml(path: &Path) -> Result<(String, DocumentMut), Trouble> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Trouble::new(format!("{} cannot be read: {error}.", path.display()), "make it readable."))?;
    let document = text
        .parse()
        .map_err(|error| Trouble::new(format!("{} is not TOML:\n{error}", path.display()), "mend it first."))?;
    Ok((text, document))
}

/// The directory of a path dependency in `[workspace.dependencies]`, from the workspace's directory.
fn path_of(manifest: &DocumentMut, dependency: &str) -> Option<PathBuf> {
    let dependencies = manifest.get("workspace")?.get("dependencies")?;
    Some(PathBuf::from(dependencies.get(dependency)?.get("path")?.as_str()?))
}

impl Site {
    /// The workspace around a directory, or a new one in it.
    pub(super) fn find(directory: &Path, koboshi: Option<&Path>) -> Result<Self, Refused> {
        let directory = std::path::absolute(directory).map_err(|error| {
            Trouble::new(format!("there is no present directory: {error}."), "name one with --in DIR.")
        })?;
        let there = std::fs::canonicalize(&directory).unwrap_or(directory);
        if there.exists() && !there.is_dir() {
            return Err(misused(format!("{} is no directory.", there.display()), "name one with --in DIR."));
        }
        let mut only_a_package = None;
        for above in there.ancestors() {
            let path = above.join("Cargo.toml");
            if !path.is_file() {
                continue;
            }
            let (before, manifest) = read_toml(&path)?;
            if manifest.get("workspace").is_some() {
                let workspace = Workspace::around(above)?;
                let koboshi = koboshi_of(above, &manifest, koboshi)?;
                return Ok(Site { root: above.to_owned(), before: Some(before), manifest, koboshi, workspace });
            }
            only_a_package = only_a_package.or(Some(path));
        }
        if let Some(path) = only_a_package {
            return Err(misused(
                format!("{} is the Cargo.toml of one crate, and of no workspace.", path.display()),
                "add `[workspace]` to it, or name a directory outside with --in DIR.",
            ));
        }
        let manifest = DocumentMut::new();
        let koboshi = koboshi_of(&there, &manifest, koboshi)?;
        Ok(Site { root: there, before: None, manifest, koboshi, workspace: None })
    }

    /// Its crates.
    pub(super) fn members(&self) -> &[Member] {
        self.workspace.as_ref().map_or(&[], |workspace| &workspace.members)
    }

    /// The components among them that are not Koboshi's own.
    pub(super) fn components(&self) -> Result<Vec<Component>, Trouble> {
        let own = registry::packages();
        let built_in: Vec<&str> = own.iter().map(|package| package.name).collect();
        self.workspace.as_ref().map_or(Ok(Vec::new()), |workspace| workspace.components(&built_in))
    }

    fn is_koboshi(&self) -> bool {
        self.root == self.koboshi
    }

    /// Whether it is the present directory.
    pub(super) fn is_here(&self) -> bool {
        std::env::current_dir().is_ok_and(|here| here == self.root)
    }

    /// How the command is called here.
    pub(super) fn command(&self) -> &'static str {
        if self.is_koboshi() { "cargo koboshi" } else { "koboshi" }
    }

    /// How these crates are tested: all there are, in a workspace that has no others.
    pub(super) fn test(&self, crates: &[String]) -> String {
        let others = if self.before.is_some() { crates } else { &[] };
        others.iter().fold("cargo test".to_owned(), |command, krate| format!("{command} -p {krate}"))
    }

    /// No crate of this name is there, neither as a member nor as a dependency.
    pub(super) fn is_free(&self, krate: &str, name: &str) -> Result<(), Refused> {
        let dependencies = self.manifest.get("workspace").and_then(|workspace| workspace.get("dependencies"));
        let is_dependency = dependencies.is_some_and(|all| all.get(krate).is_some()) || NEEDED.contains(&krate);
        let member = self.members().iter().find(|member| member.name == krate);
        let place = match member {
            Some(member) => format!("in {}", member.directory.display()),
            None if is_dependency => "among the dependencies".to_owned(),
            None => return Ok(()),
        };
        let remedy = format!("choose another name than `{name}`.");
        Err(misused(format!("there is a crate `{krate}` already, {place}."), remedy))
    }

    /// What stands in `[package]` of a new crate, and behind it: as much as the workspace says for all.
    pub(super) fn package(&self) -> String {
        let workspace = self.manifest.get("workspace");
        let for_all = |key: &str| match (&self.before, workspace) {
            (None, _) => matches!(key, "version" | "edition" | "publish"),
            (_, Some(workspace)) => workspace.get("package").is_some_and(|package| package.get(key).is_some()),
            _ => false,
        };
        let is_2024 = self.before.is_none()
            || workspace
                .and_then(|workspace| workspace.get("package")?.get("edition")?.as_str())
                .is_some_and(|edition| edition == "2024");
        let mut text = String::new();
        for (key, otherwise) in [
            ("version", Some("\"0.1.0\"")),
            ("edition", Some("\"2024\"")),
            ("rust-version", None),
            ("license", None),
            ("publish", Some("false")),
        ] {
            if for_all(key) && (key != "edition" || is_2024) {
                text.push_str(&format!("{key}.workspace = true\n"));
            } else if let Some(value) = otherwise {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        if workspace.is_some_and(|workspace| workspace.get("lints").is_some()) {
            text.push_str("\n[lints]\nworkspace = true\n");
        }
        text
    }

    /// The workspace's own files: its members, and what they depend on.
    pub(super) fn plan(&self, plan: &mut Plan) -> Result<(), Refused> {
        let mut manifest = self.manifest.clone();
        if self.before.is_none() {
            manifest = fresh();
        }
        self.add_members(&mut manifest, plan.members())?;
        self.add_dependencies(&mut manifest)?;
        let Some(before) = &self.before else {
            plan.add("Cargo.toml", manifest.to_string(), "the workspace");
            if let Ok(lock) = std::fs::read_to_string(self.koboshi.join("Cargo.lock")) {
                plan.add("Cargo.lock", lock, "the versions that Koboshi is tested with");
            }
            plan.add(".gitignore", "/target\n".to_owned(), "");
            return Ok(());
        };
        plan.change("Cargo.toml", before.clone(), manifest.to_string(), "members, and what they depend on");
        Ok(())
    }

    fn wrong_shape(&self, what: &str) -> Refused {
        Refused::Wrong(Trouble::new(
            format!("`{what}` in {} is not what cargo takes.", self.root.join("Cargo.toml").display()),
            "mend it first.",
        ))
    }

    fn add_members(&self, manifest: &mut DocumentMut, new: &[String]) -> Result<(), Refused> {
        let members = manifest["workspace"]["members"].or_insert(Item::Value(Value::Array(toml_edit::Array::new())));
        let Some(members) = members.as_array_mut() else { return Err(self.wrong_shape("workspace.members")) };
        for member in new {
            let parent = Path::new(member).parent().map(|parent| format!("{}/*", parent.display()));
            let covers = |pattern: &str| pattern == member || Some(pattern) == parent.as_deref();
            if !members.iter().filter_map(Value::as_str).any(covers) {
                push_line(members, member);
            }
        }
        Ok(())
    }

    fn add_dependencies(&self, manifest: &mut DocumentMut) -> Result<(), Refused> {
        let (_, koboshi) = read_toml(&self.koboshi.join("Cargo.toml"))?;
        let Some(theirs) = koboshi.get("workspace").and_then(|workspace| workspace.get("dependencies")) else {
            return Err(self.wrong_shape("workspace.dependencies"));
        };
        let workspace = manifest["workspace"].as_table_mut().ok_or_else(|| self.wrong_shape("workspace"))?;
        let ours = workspace.entry("dependencies").or_insert(Item::Table(Table::new()));
        let Some(ours) = ours.as_table_like_mut() else { return Err(self.wrong_shape("workspace.dependencies")) };
        for name in NEEDED.iter().filter(|name| !ours.contains_key(name)).collect::<Vec<_>>() {
            let Some(theirs) = theirs.get(name) else { continue };
            let item = match theirs.get("path").and_then(Item::as_str) {
                Some(path) => {
                    let mut table = InlineTable::new();
                    table.insert("path", self.koboshi.join(path).display().to_string().into());
                    Item::Value(Value::InlineTable(table))
                }
                None => theirs.clone(),
            };
            ours.insert(name, item);
        }
        Ok(())
    }
}

/// A new workspace's manifest.
fn fresh() -> DocumentMut {
    let text = "[workspace]\nresolver = \"3\"\nmembers = [\n]\n\n[workspace.package]\nversion = \"0.1.0\"\n\
                edition = \"2024\"\npublish = false\n\n[workspace.dependencies]\n\n\
                # Where a panic comes from, and no more: builds are quicker.\n[profile.dev]\n\
                debug = \"line-tables-only\"\n";
    text.parse().unwrap_or_default()
}

/// Adds a value at the end of an array, on a line of its own if the others have one; what was there stays as it was.
fn push_line(array: &mut toml_edit::Array, text: &str) {
    let raw = |raw: Option<&toml_edit::RawString>| raw.and_then(|raw| raw.as_str()).unwrap_or_default().to_owned();
    let mut trailing = raw(Some(array.trailing()));
    let last = array.len().checked_sub(1);
    if let Some(last) = last.and_then(|last| array.get_mut(last)) {
        // Without a comma behind it, what follows the last value belongs to it.
        trailing.insert_str(0, &raw(last.decor().suffix()));
        last.decor_mut().set_suffix("");
    }
    let first = array.get(0).map(|first| raw(first.decor().prefix()));
    let indent = first.as_deref().and_then(|prefix| prefix.rsplit_once('\n')).map(|(_, indent)| indent.to_owned());
    let lines = trailing.contains('\n') || indent.is_some();
    let mut value = Value::from(text);
    if !lines {
        value.decor_mut().set_prefix(if last.is_some() { " " } else { "" });
        array.push_formatted(value);
        return;
    }
    // A comment behind the last value stays behind it.
    let (before, end) = trailing.rsplit_once('\n').unwrap_or((&trailing, ""));
    value.decor_mut().set_prefix(format!("{before}\n{}", indent.unwrap_or_else(|| "    ".to_owned())));
    let end = format!("\n{end}");
    array.push_formatted(value);
    array.set_trailing(end);
    array.set_trailing_comma(true);
}

/// Where Koboshi lies: where it is said to, where the workspace has it already, or where this command was built.
fn koboshi_of(root: &Path, manifest: &DocumentMut, said: Option<&Path>) -> Result<PathBuf, Refused> {
    if is_koboshi(root) {
        return Ok(root.to_owned());
    }
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let runtime = path_of(manifest, "koboshi-runtime").map(|runtime| real(&root.join(runtime)));
    let used = runtime.as_deref().and_then(|runtime| runtime.ancestors().nth(2)).map(Path::to_owned);
    if let Some(said) = said {
        let found = real(said);
        if !is_koboshi(&found) {
            return Err(misused(
                format!("{} is no checkout of Koboshi.", said.display()),
                "name the directory with Koboshi's Cargo.toml, with --koboshi PATH.",
            ));
        }
        return match used {
            Some(used) if used != found => Err(misused(
                format!("this workspace is built with the Koboshi in {}.", used.display()),
                "leave --koboshi out, or change the paths in its Cargo.toml first.",
            )),
            _ => Ok(found),
        };
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(real);
    match used.or(built) {
        Some(found) if is_koboshi(&found) => Ok(found),
        found => Err(misused(
            format!("Koboshi's sources are not in {}.", found.unwrap_or_default().display()),
            "say where a checkout of them lies, with --koboshi PATH.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::push_line;

    #[track_caller]
    fn becomes(before: &str, after: &str) {
        let mut manifest: toml_edit::DocumentMut = format!("members = {before}\n").parse().expect("TOML");
        push_line(manifest["members"].as_array_mut().expect("an array"), "new");
        assert_eq!(manifest.to_string(), format!("members = {after}\n"));
    }

    #[test]
    fn a_member_is_added_and_the_others_keep_their_lines_and_comments() {
        becomes("[]", "[\"new\"]");
        becomes("[\n]", "[\n    \"new\",\n]");
        becomes("[\"a\", \"b\"]", "[\"a\", \"b\", \"new\"]");
        becomes("[\n  \"a\", # first\n  \"b\", # second\n]", "[\n  \"a\", # first\n  \"b\", # second\n  \"new\",\n]");
        becomes("[\n    \"a\",\n    \"b\"\n]", "[\n    \"a\",\n    \"b\",\n    \"new\",\n]");
    }
}
