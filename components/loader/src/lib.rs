//! The loader: takes in a package piece by piece, judges it when it is whole, and asks for it to take a component's place.
//!
//! Rules kept here: a package is judged in this component's own memory, and it is the judged bytes that go to the kernel; so
//! nobody can change them in between. What the image expects comes with its configuration. A refusal is told in the gate's
//! own words, and whoever runs has noticed nothing.
//!
//! It must never: put into a component's place what the gate has not let in.
#![no_std]

use core::fmt::Write;

use heapless::{String, Vec};
use koboshi_interfaces::ComponentId;
use koboshi_interfaces::loading::{self, Package, Piece, Refused, Unable, Words};
use koboshi_package::{Carried, Expected, Kept, Port, PublicKey, Version, judge};
use koboshi_runtime::authority::{self, Command, Denied};
use koboshi_runtime::kit::wire::Str;
use koboshi_runtime::{Description, Exit, PortDescription, ServicePort, Side, Start, configuration};
use serde::{Deserialize, Serialize};

/// The loader, for the composer.
pub const DESCRIPTION: Description = Description {
    name: "loader",
    ports: &[PortDescription { name: "loading", side: Side::Offers, interface: &loading::INTERFACE }],
    devices: &[],
    interrupts: &[],
    kept: None,
};

/// The longest package, in bytes: it is judged as a whole.
pub const LONGEST: usize = 80 << 10;

/// The most keys that may sign.
pub const MAX_SIGNERS: usize = 16;

/// The most names of packages for one component.
pub const MAX_NAMES: usize = 8;

/// The most components whose place packages may take.
pub const MAX_PLACES: usize = 4;

/// The longest message of the gate that is told whole, in bytes.
const MESSAGE: usize = 480;

/// Bytes at the beginning of a package's code that stand at the beginning of its place; what follows fills the place's end.
pub const TABLE: usize = 16;

/// What the image expects of packages.
#[derive(Debug, Serialize, Deserialize)]
pub struct Setting<'a> {
    /// The platform's word in the manifests.
    pub platform: &'a str,
    /// The keys that may sign.
    pub signers: Vec<[u8; 32], MAX_SIGNERS>,
    /// The components whose place packages may take.
    #[serde(borrow)]
    pub places: Vec<Place<'a>, MAX_PLACES>,
}

/// What is expected of a package for one component.
#[derive(Debug, Serialize, Deserialize)]
pub struct Place<'a> {
    /// Which component.
    pub component: u8,
    /// The names of the packages that may come.
    #[serde(borrow)]
    pub names: Vec<&'a str, MAX_NAMES>,
    /// Its ports, in the order in which it opens them.
    #[serde(borrow)]
    pub ports: Vec<Port<'a>, { koboshi_package::MAX_PORTS }>,
    /// What it keeps.
    pub kept: Option<Kept<'a>>,
    /// No version below this one.
    pub lowest: Version,
    /// Bytes that there are for it.
    pub room: u32,
    /// Bytes of the place that its code is put into.
    pub size: u32,
}

/// One incarnation. What an earlier one had of a package is gone: whoever brings it is told so, and begins again.
pub async fn start(_: Start) -> Exit {
    let Some(setting) = configuration::<Setting<'static>>() else {
        return Exit::Unfit("it is not told what the image expects of packages");
    };
    let port = match ServicePort::open::<loading::Port>(0) {
        Ok(port) => port,
        Err(unfit) => return unfit,
    };
    let mut held = Held { package: None, bytes: Vec::new(), words: String::new() };
    match loading::serve(Loader { setting: &setting, held: &mut held }, port).await {}
}

/// What is here of a package.
struct Held {
    package: Option<Package>,
    bytes: Vec<u8, LONGEST>,
    /// Why one was refused last.
    words: String<MESSAGE>,
}

struct Loader<'a> {
    setting: &'a Setting<'static>,
    held: &'a mut Held,
}

impl Loader<'_> {
    fn place(&self, component: ComponentId) -> Result<&Place<'static>, Unable> {
        self.setting.places.iter().find(|place| place.component == component.0).ok_or(Unable::NoSuch)
    }

    /// How many bytes of the package are here.
    fn count(&self) -> u32 {
        self.held.bytes.len() as u32
    }

    /// Judges the package that is here, and puts it into its place if the gate lets it in.
    fn let_in(&self, package: Package, words: &mut String<MESSAGE>) -> Result<(), Refused> {
        if self.held.package != Some(package) {
            return Err(Refused::Unable(Unable::NotBegun));
        }
        if self.count() != package.bytes {
            return Err(Refused::Unable(Unable::NotWhole(self.count())));
        }
        let place = self.place(package.component).map_err(Refused::Unable)?;
        let signers: Vec<PublicKey, MAX_SIGNERS> = self.setting.signers.iter().map(|key| PublicKey(*key)).collect();
        let expected = Expected {
            signers: &signers,
            platform: self.setting.platform,
            names: &place.names,
            ports: &place.ports,
            kept: place.kept,
            lowest: place.lowest,
            room: place.room,
        };
        let mut refused = |why: koboshi_package::Refused<'_>| {
            // What does not fit is cut off.
            let _cut = write!(words, "{why}");
            let mut code = Str::new();
            let _fits = code.push_str(why.code());
            Refused::Gate(code)
        };
        let header = judge(&self.held.bytes, &expected).map_err(&mut refused)?;
        if header.carries(place.kept) != Some(Carried::AsItIs) {
            // What came after it would have to be judged by what it keeps, and nobody here remembers that.
            return Err(Refused::Unable(Unable::Migrates));
        }
        // It was opened before, to be judged.
        let code = koboshi_package::Package::open(&self.held.bytes).map_err(&mut refused)?.code;
        put(place, code).map_err(Refused::Unable)
    }
}

/// Puts code into the free place of a component, and asks for it to be used. What was there before is gone with the first byte, so
/// whatever can be seen to be wrong is seen before.
fn put(place: &Place<'_>, code: &[u8]) -> Result<(), Unable> {
    let target = authority::ComponentId(place.component);
    let words = code.split_at_checked(TABLE).filter(|(_, program)| program.len().is_multiple_of(size_of::<u32>()));
    let (table, program) = words.ok_or(Unable::NoProgram)?;
    let offset = (place.size as usize).checked_sub(program.len()).ok_or(Unable::TooLong(place.size))?;
    authority::put(target, 0, table).map_err(in_short)?;
    authority::put(target, offset as u32, program).map_err(in_short)?;
    // It keeps the same.
    let version = authority::Version::New { way_back: true };
    authority::command(target, Command::Swap(version)).map_err(in_short)
}

/// What the kernel says, in the interface's words.
fn in_short(denied: Denied) -> Unable {
    match denied {
        Denied::State(_) => Unable::Busy,
        Denied::Unknown | Denied::Right => Unable::Denied,
    }
}

impl loading::Server for Loader<'_> {
    async fn begin(&mut self, package: Package) -> Result<u32, Unable> {
        self.place(package.component)?;
        if package.bytes as usize > LONGEST {
            return Err(Unable::TooLong(LONGEST as u32));
        }
        if self.held.package != Some(package) {
            self.held.package = Some(package);
            self.held.bytes.clear();
        }
        Ok(self.count())
    }

    async fn piece(&mut self, piece: Piece) -> Result<u32, Unable> {
        let package = self.held.package.ok_or(Unable::NotBegun)?;
        // What is here already is here; what comes too early has to come again.
        let known = self.count().checked_sub(piece.at);
        let new = known.and_then(|known| piece.bytes.as_slice().get(known as usize..)).unwrap_or(&[]);
        if self.held.bytes.len() + new.len() <= package.bytes as usize {
            // There is room for as many as were announced.
            let _fits = self.held.bytes.extend_from_slice(new);
        }
        Ok(self.count())
    }

    async fn swap(&mut self, package: Package) -> Result<(), Refused> {
        let mut words = String::new();
        let done = self.let_in(package, &mut words);
        self.held.words = words;
        if matches!(done, Err(Refused::Gate(_))) {
            // Perhaps it was spoilt on its way: brought once more, it comes from its first byte on.
            self.held.package = None;
        }
        done
    }

    async fn words(&mut self, from: u16) -> Words {
        let mut part = Str::new();
        let rest = self.held.words.get(usize::from(from)..).unwrap_or("");
        // As much as there is room for.
        let _full = rest.chars().try_for_each(|letter| part.push(letter));
        Words(part)
    }
}
