//! Makes an image of its manifest, or says all that is wrong with it.
//!
//! Job: prove what can be proved before anything runs. Every name is looked up, every port and device has exactly one
//! place, both ends of a connection have the same interface key, everybody is restarted by somebody, and each
//! component's manifest says the same as its code.
//!
//! It must never: stop at the first mistake, or compose an image in spite of one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use koboshi_core::ComponentId;
use koboshi_host::image::{Costs, Image, ImageComponent, PortEnd};
use koboshi_host::linked::Linked;
use koboshi_interface_kit::Interface;
use koboshi_interfaces::serial::Line;
use koboshi_runtime::describe::Side;

use crate::manifest::{self, ClockKind, ComponentManifest, ImageManifest, Instance};
use crate::margins::{Margins, Seat};
use crate::policy;
use crate::problem::{Problem, Problems, Rule, Severity, Whose, instead, source};
use crate::reader::{At, Reader};
use crate::registry::{Package, Wiring};

pub(crate) mod board;
mod description;
mod devices;
mod memory;
mod ports;
mod recovery;
mod rights;

pub(crate) use devices::{bits, reachable_speed, window};

/// A change of a manifest before it is composed.
pub type Change<'a> = &'a dyn Fn(&mut ImageManifest);

/// An image that fits together.
pub struct Composed {
    /// The image.
    pub image: Image,
    /// The clock that it wants.
    pub clock: ClockKind,
    /// What was read.
    pub manifest: ImageManifest,
    /// The components' manifests, in the order of the image's components.
    pub components: Vec<Rc<ComponentManifest>>,
    /// What somebody should know, though the image fits together; in the order of lines.
    pub warnings: Vec<Problem>,
    /// What recoveries may take, and what memory is used.
    pub(crate) margins: Margins,
    /// The groups, by number.
    pub(crate) groups: Vec<policy::Found>,
}

impl Composed {
    /// The line at which a component's first port ends.
    pub(crate) fn line_of(&self, component: ComponentId) -> Option<Line> {
        let wiring = Wiring {
            image: &self.manifest,
            connections: &self.image.connections,
            devices: &self.image.devices,
            groups: &self.groups,
            component: component.index(),
        };
        wiring.line(component.index(), 0)
    }
}

/// Composes the image that `text` describes, out of these packages. `name` is how problems call the manifest.
///
/// # Errors
/// [`Problems`]: all that is wrong.
pub fn compose(name: &str, text: &str, packages: &[Package]) -> Result<Composed, Problems> {
    compose_changed(name, text, packages, &|_| {})
}

/// Composes the image that `text` describes, after a change of what was read.
///
/// # Errors
/// [`Problems`]: all that is wrong.
pub fn compose_changed(name: &str, text: &str, packages: &[Package], change: Change<'_>) -> Result<Composed, Problems> {
    let mut reader = Reader::new(source(name, text), Whose::Image);
    let mut image = manifest::image(&mut reader, text);
    change(&mut image);
    if reader.unreadable() {
        return Err(Problems::sorted(reader.problems));
    }
    let read_whole = reader.problems.is_empty();
    let places = image.components.iter().enumerate().rev().map(|(at, part)| (part.name.value.as_str(), at)).collect();
    let mut composer = Composer {
        reader,
        image: &image,
        packages,
        places,
        parts: Vec::new(),
        others: Vec::new(),
        unknown: BTreeSet::new(),
    };
    let composed = composer.compose(read_whole);
    let components = composer.parts.iter().flatten().map(|part| Rc::clone(&part.manifest)).collect();
    if let Some((composed, ..)) = &composed
        && composer
            .reader
            .problems
            .iter()
            .chain(&composer.others)
            .all(|found| found.rule.severity() == Severity::Warning)
    {
        board::check(&mut composer.reader, &image, composed);
    }
    let mut problems = composer.reader.problems;
    problems.extend(composer.others);
    match composed {
        Some((composed, margins, groups))
            if problems.iter().all(|found| found.rule.severity() == Severity::Warning) =>
        {
            let clock = image.clock;
            let warnings = Problems::sorted(problems).0;
            Ok(Composed { image: composed, clock, manifest: image, components, warnings, margins, groups })
        }
        _ => {
            problems.retain(|found| found.rule.severity() == Severity::Error);
            Err(Problems::sorted(problems))
        }
    }
}

/// A component with all that is known of it; what is wrong with it was reported.
struct Part<'a> {
    instance: &'a Instance,
    package: &'a Package,
    linked: Linked,
    manifest: Rc<ComponentManifest>,
    /// Its manifest says the same as its code.
    agrees: bool,
}

/// A package's code and its manifest, and whether the two agree.
type ReadPackage = (Linked, Rc<ComponentManifest>, bool);

struct Composer<'a> {
    reader: Reader,
    image: &'a ImageManifest,
    packages: &'a [Package],
    /// Where the component of each name stands; the first one, if there are several.
    places: BTreeMap<&'a str, usize>,
    /// As many as the image has components, `None` where the package is unknown or its manifest cannot be read.
    parts: Vec<Option<Part<'a>>>,
    /// Problems of the components' own manifests.
    others: Vec<Problem>,
    /// Components that are mentioned and not there.
    unknown: BTreeSet<String>,
}

/// One end of a connection, found.
struct End {
    end: PortEnd,
    side: Side,
    interface: &'static Interface,
    forwards: bool,
}

impl<'a> Composer<'a> {
    fn compose(&mut self, read_whole: bool) -> Option<(Image, Margins, Vec<policy::Found>)> {
        let image = self.image;
        self.names_are_used_once("component", &image.components.iter().map(|part| &part.name).collect::<Vec<_>>());
        self.names_are_used_once("group", &image.groups.iter().map(|group| &group.name).collect::<Vec<_>>());
        // Where a name may mean two, what belongs to it cannot be said to be missing.
        let read_whole = read_whole && self.reader.problems.is_empty();
        if let Some(one_too_many) = image.components.get(koboshi_core::MAX_COMPONENTS) {
            self.reader.problem(
                Rule::TooMany,
                one_too_many.name.span.clone(),
                format!("an image has at most {} components", koboshi_core::MAX_COMPONENTS),
                "one too many",
                "take some out, or make two images.",
            );
            // Beyond this, components have no numbers.
            return None;
        }
        self.parts();
        let (connections, all_joined) = self.connections(read_whole);
        let devices = self.devices(read_whole);
        self.windows_lie_apart();
        let manager = self.manager();
        let rights = self.rights();
        let groups = self.groups(read_whole);
        self.manager_may_do_what_its_groups_need(manager, &rights, read_whole);
        self.whoever_restarts_is_not_starved(manager, &rights);
        if all_joined {
            self.whoever_reports_is_not_starved(manager, &rights, &connections);
        }
        self.recovery_is_no_shorter_than_a_start();
        let margins = Margins::of(image, &costs(image), &self.seats(), &connections, &groups);
        if all_joined {
            self.deadlines_outlast_recoveries(&margins);
        }
        if read_whole {
            self.components_fit_into_the_board(&margins);
        }
        self.intensities_can_be_exceeded();
        self.given_up_devices_are_made_safe(&groups);
        self.receivers_bear_recoveries(&margins);
        if self.reader.problems.iter().any(|found| found.rule.severity() == Severity::Error) || !self.others.is_empty()
        {
            return None;
        }
        let mut components = Vec::new();
        for (at, part) in self.parts.iter().enumerate() {
            let part = part.as_ref()?;
            let wiring = Wiring { image, connections: &connections, devices: &devices, groups: &groups, component: at };
            let configuration = match (part.package.configure)(&wiring) {
                Ok(configuration) => configuration,
                Err(missing) => {
                    self.reader.problem(
                        Rule::Configuration,
                        part.instance.name.span.clone(),
                        format!("`{}` cannot be configured: {missing}", part.instance.name.value),
                        "cannot be configured",
                        "join its ports as in images/host.toml.",
                    );
                    continue;
                }
            };
            components.push(ImageComponent {
                swappable: part.instance.swappable.as_ref().map(|swappable| swappable.value.rules),
                recover_within: part.instance.recover_within.as_ref().map(|bound| bound.value),
                name: part.instance.name.value.clone(),
                linked: part.linked.clone(),
                vcpu: part.instance.vcpu.value,
                respond_within: part.instance.respond_within.value,
                configuration,
                rights: rights.get(at).copied().unwrap_or_default(),
            });
        }
        Some((Image { components, connections, devices, manager, costs: costs(image) }, margins, groups))
    }

    fn names_are_used_once(&mut self, what: &str, names: &[&At<String>]) {
        let mut first: BTreeMap<&str, Range<usize>> = BTreeMap::new();
        for name in names {
            if let Some(before) = first.get(name.value.as_str()) {
                let problem = self.reader.problem(
                    Rule::NameTwice,
                    name.span.clone(),
                    format!("two {what}s are called `{}`", name.value),
                    "the second one",
                    "give one of them another name.",
                );
                problem.other = Some((before.clone(), "the first one".to_owned()));
            } else {
                first.insert(&name.value, name.span.clone());
            }
        }
    }

    /// What is known of each component, for the sums.
    fn seats(&self) -> Vec<Option<Seat<'_>>> {
        self.parts
            .iter()
            .map(|part| part.as_ref().map(|part| Seat { linked: &part.linked, manifest: &part.manifest }))
            .collect()
    }

    /// Looks up the packages, and compares each one's manifest with its code: once, however many components it makes.
    fn parts(&mut self) {
        let mut read: BTreeMap<&str, Option<ReadPackage>> = BTreeMap::new();
        for instance in &self.image.components {
            let wanted = &instance.package;
            let Some(package) = self.packages.iter().find(|package| package.name == wanted.value) else {
                let names: Vec<&str> = self.packages.iter().map(|package| package.name).collect();
                self.reader.problem(
                    Rule::UnknownName,
                    wanted.span.clone(),
                    format!("there is no package `{}`", wanted.value),
                    "unknown package",
                    instead(&wanted.value, names),
                );
                self.parts.push(None);
                continue;
            };
            let found = read.entry(package.name).or_insert_with(|| {
                let linked = (package.linked)();
                let whose = Whose::Component(package.name.to_owned());
                let mut reader = Reader::new(source(package.manifest_path, package.manifest), whose);
                let manifest = manifest::component(&mut reader, package.manifest);
                // What could not be read would differ from the code for that alone.
                if let Some(manifest) = manifest.as_ref().filter(|_| reader.problems.is_empty()) {
                    description::agrees(&mut reader, package, manifest, &linked);
                }
                let agrees = reader.problems.is_empty();
                self.others.append(&mut reader.problems);
                manifest.map(|manifest| (linked, Rc::new(manifest), agrees))
            });
            self.parts.push(found.as_ref().map(|(linked, manifest, agrees)| Part {
                instance,
                package,
                linked: linked.clone(),
                manifest: Rc::clone(manifest),
                agrees: *agrees,
            }));
        }
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// Says so at the first place only, and not where one that could not be read may be meant: one mistake is one problem.
    fn unknown_component(&mut self, name: &str, span: Range<usize>) {
        if self.image.components_unread || !self.unknown.insert(name.to_owned()) {
            return;
        }
        let names: Vec<&str> = self.places.keys().copied().collect();
        self.reader.problem(
            Rule::UnknownName,
            span,
            format!("there is no component `{name}` in this image"),
            "unknown component",
            instead(name, names),
        );
    }

    /// Splits `component.part`, and finds the component.
    fn split<'t>(&mut self, text: &'t At<String>, what: &str) -> Option<(usize, &'t str)> {
        let Some((component, part)) = text.value.split_once('.') else {
            self.reader.problem(
                Rule::UnknownName,
                text.span.clone(),
                format!("`{}` does not name a {what}", text.value),
                format!("no {what}"),
                format!("write it as `component.{what}`, with a point between the two names."),
            );
            return None;
        };
        let Some(at) = self.place_of(component) else {
            self.unknown_component(component, text.span.clone());
            return None;
        };
        Some((at, part))
    }
}

/// What things cost in this image.
fn costs(image: &ImageManifest) -> Costs {
    let usual = Costs::default();
    let cost = |given: &Option<At<u64>>, usual| given.as_ref().map_or(usual, |cost| cost.value);
    Costs {
        turn: cost(&image.costs.turn, usual.turn),
        start: cost(&image.costs.start, usual.start),
        quantum: cost(&image.costs.quantum, usual.quantum),
    }
}
