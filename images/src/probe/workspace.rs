//! A cargo workspace, as cargo itself describes it, and the components that are its members.
//!
//! Job: find crates with a `component.toml` beside their `Cargo.toml`, and the Koboshi that they are built with. It must
//! never: write anything, or guess what cargo knows.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

/// Something that a person has to mend: what it is and whose, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What is wrong, and whose fault it is.
    pub(crate) what: String,
    /// What would be right.
    pub(crate) remedy: String,
}

impl Trouble {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Trouble { what: what.into(), remedy: remedy.into() }
    }
}

/// The cargo of this process's own build, where cargo runs it, or the one in the PATH.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// A component's manifest, as far as others have to know it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manifest {
    /// The package's name.
    pub(crate) package: String,
    /// Its ports.
    #[serde(default, rename = "port")]
    pub(crate) ports: Vec<Port>,
    /// Its devices.
    #[serde(default, rename = "device")]
    pub(crate) devices: Vec<Device>,
}

/// A port of a [`Manifest`].
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Port {
    pub(crate) offers: Option<String>,
    pub(crate) uses: Option<String>,
    pub(crate) interface: String,
    #[serde(default)]
    pub(crate) optional: bool,
}

/// A device of a [`Manifest`].
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) kind: String,
}

/// Reads a component's manifest.
pub(crate) fn manifest(path: &Path) -> Result<Manifest, Trouble> {
    let remedy = "mend it: components/sos/component.toml of Koboshi is a small example.";
    let text = std::fs::read_to_string(path)
        .map_err(|error| Trouble::new(format!("{} cannot be read: {error}.", path.display()), remedy))?;
    toml::from_str(&text)
        .map_err(|error| Trouble::new(format!("{} is no component's manifest:\n{error}", path.display()), remedy))
}

/// A crate of a workspace.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The crate's name.
    pub(crate) name: String,
    /// Where it lies.
    pub(crate) directory: PathBuf,
    /// Its version.
    pub(crate) version: String,
    /// What its library is called in code, if it has one.
    pub(crate) library: Option<String>,
    /// Where the `koboshi-runtime` lies that it is built with, if it is named by path.
    pub(crate) runtime: Option<PathBuf>,
}

impl Member {
    /// Where its component's manifest lies, if it is a component.
    pub(crate) fn manifest_path(&self) -> Option<PathBuf> {
        Some(self.directory.join("component.toml")).filter(|path| path.is_file())
    }
}

/// A component that is a member of a workspace.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    /// Its crate.
    pub(crate) member: Member,
    /// Its manifest.
    pub(crate) manifest: Manifest,
    /// Where that lies.
    pub(crate) path: PathBuf,
}

/// A workspace.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// Where its `Cargo.toml` lies.
    pub(crate) root: PathBuf,
    /// Where cargo builds it.
    pub(crate) target: PathBuf,
    /// Its crates.
    pub(crate) members: Vec<Member>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    version: String,
    manifest_path: PathBuf,
    dependencies: Vec<MetadataDependency>,
    targets: Vec<MetadataTarget>,
}

#[derive(Deserialize)]
struct MetadataDependency {
    name: String,
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct MetadataTarget {
    name: String,
    kind: Vec<String>,
}

impl Workspace {
    /// The workspace that a directory lies in; `None` if there is no `Cargo.toml` in it or above it.
    ///
    /// # Errors
    /// Cargo is missing, or cannot read the workspace.
    pub(crate) fn around(directory: &Path) -> Result<Option<Self>, Trouble> {
        let directory = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        if !directory.ancestors().any(|above| above.join("Cargo.toml").is_file()) {
            return Ok(None);
        }
        let mut metadata = cargo();
        metadata.args(["metadata", "--no-deps", "--format-version", "1", "--color", "never"]);
        let output = metadata.current_dir(&directory).output().map_err(|error| no_cargo(&error))?;
        let wrong = |text: &str| {
            Trouble::new(
                format!("cargo cannot read the workspace around {}:\n{}", directory.display(), text.trim_end()),
                "mend it: `cargo metadata` says the same.",
            )
        };
        if !output.status.success() {
            return Err(wrong(&String::from_utf8_lossy(&output.stderr)));
        }
        let found: Metadata = serde_json::from_slice(&output.stdout).map_err(|error| wrong(&error.to_string()))?;
        let member = |package: MetadataPackage| {
            let is_library = |target: &MetadataTarget| target.kind.iter().any(|kind| kind == "lib" || kind == "rlib");
            let library = package.targets.into_iter().find(is_library).map(|target| target.name.replace('-', "_"));
            let runtime = package.dependencies.into_iter().find(|dependency| dependency.name == "koboshi-runtime");
            Member {
                name: package.name,
                version: package.version,
                directory: package.manifest_path.parent().map(Path::to_owned).unwrap_or_default(),
                library,
                runtime: runtime.and_then(|dependency| dependency.path),
            }
        };
        Ok(Some(Workspace {
            root: found.workspace_root,
            target: found.target_directory,
            members: found.packages.into_iter().map(member).collect(),
        }))
    }

    /// The components among its members that are not Koboshi's own, whose packages are `built_in`.
    ///
    /// # Errors
    /// A manifest that cannot be read, or a package's name that is used twice.
    pub(crate) fn components(&self, built_in: &[&str]) -> Result<Vec<Component>, Trouble> {
        let mut components: Vec<Component> = Vec::new();
        for member in &self.members {
            let Some(path) = member.manifest_path() else { continue };
            let manifest = manifest(&path)?;
            let name = manifest.package.as_str();
            if built_in.contains(&name) {
                if member.name == format!("koboshi-{name}") {
                    continue;
                }
                return Err(Trouble::new(
                    format!("{} calls its package `{name}`, and so is one of Koboshi's own called.", path.display()),
                    "give it another name there, and in its DESCRIPTION.",
                ));
            }
            if let Some(first) = components.iter().find(|first| first.manifest.package == name) {
                return Err(Trouble::new(
                    format!("two packages are called `{name}`: {} and {}.", first.path.display(), path.display()),
                    "give one of them another name, there and in its DESCRIPTION.",
                ));
            }
            components.push(Component { member: member.clone(), manifest, path });
        }
        Ok(components)
    }
}

/// Cargo could not be started.
pub(crate) fn no_cargo(error: &std::io::Error) -> Trouble {
    Trouble::new(
        format!("cargo cannot be run: {error}."),
        "install Rust (https://rustup.rs), or put cargo into the PATH: components are built with it.",
    )
}
