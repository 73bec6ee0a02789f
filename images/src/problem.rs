//! What is wrong with a manifest: where, whose fault it is, and what would be right.
//!
//! The rule: every problem has a code, points at a place, and says what to write instead. All problems of a run are
//! shown, not only the first.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

/// A manifest's text, and the name that it goes by.
pub type Source = Arc<NamedSource<String>>;

/// A manifest's text under this name.
#[must_use]
pub fn source(name: &str, text: &str) -> Source {
    Arc::new(NamedSource::new(name, text.to_owned()).with_language("TOML"))
}

/// A place in a manifest.
#[derive(Clone, Debug)]
pub struct Place {
    /// The manifest.
    pub source: Source,
    /// The bytes of it.
    pub span: Range<usize>,
}

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The image cannot be composed.
    Error,
    /// The image is composed, and somebody should know.
    Warning,
}

impl Severity {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// The rule that a manifest breaks. Its code stays the same in every version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The file is a manifest of the kind that is wanted.
    NotAManifest,
    /// The file is TOML.
    Syntax,
    /// Every key is known.
    UnknownKey,
    /// Every key that must be there is there.
    MissingKey,
    /// Every value has the kind that its key wants.
    WrongKind,
    /// Every quantity can be read.
    Quantity,
    /// Every value is one of those that its key allows.
    Choice,
    /// Every number lies within its bounds.
    Bounds,
    /// Every name is used once.
    NameTwice,
    /// Every name that is referred to exists.
    UnknownName,
    /// Every port is joined.
    PortUnconnected,
    /// Every port is joined once.
    PortTwice,
    /// Both ends of a connection have the same interface key.
    Interface,
    /// A connection leads from the one who asks or produces to the one who serves or consumes.
    Direction,
    /// A device has one owner.
    DeviceTwice,
    /// A component gets every device that it needs, of the kind that it needs.
    Device,
    /// The clock of a serial interface can make the speed of its line.
    LineSpeed,
    /// A safe action writes registers that are there, as wide as they are.
    SafeAction,
    /// Two devices' registers, or a device's and the memory, do not lie in one place.
    Window,
    /// An interrupt number belongs to one source.
    InterruptTwice,
    /// A device has as many interrupt numbers as its driver has names for them.
    InterruptCount,
    /// Everybody is restarted by somebody.
    NobodyRestarts,
    /// A component is in one group only.
    GroupTwice,
    /// Escalation ends.
    Escalation,
    /// The restart manager has the rights that its groups need.
    Rights,
    /// The restart manager runs on the highest VCPU.
    ManagerVcpu,
    /// Nobody can keep those from running who restart or report it.
    Starved,
    /// `recover-within` is not shorter than a start.
    RecoverWithin,
    /// No operation's deadline is shorter than noticing a hang and recovering.
    Deadline,
    /// A component that fails at every start exceeds its group's intensity.
    Intensity,
    /// A line without flow control loses nothing while its driver recovers.
    ReceiverMargin,
    /// A device whose driver may be given up has a safe action.
    NoSafeAction,
    /// A component's manifest says the same as its code.
    Description,
    /// A component finds in the image what it is configured with.
    Configuration,
    /// A component fits into its memory.
    Memory,
    /// All components fit into the board's memory.
    BoardMemory,
    /// A board can give a component what the image gives it: interrupts that can be held back, pages of its own.
    Board,
    /// Every key that may sign packages is one, and is named once.
    SigningKey,
    /// What may take a component's place has a lowest version that is one, and names that are some.
    Swappable,
    /// An image fits into the tables of the kernel.
    TooMany,
}

impl Rule {
    /// All rules.
    pub const ALL: [Rule; 40] = [
        Rule::NotAManifest,
        Rule::Syntax,
        Rule::UnknownKey,
        Rule::MissingKey,
        Rule::WrongKind,
        Rule::Quantity,
        Rule::Choice,
        Rule::Bounds,
        Rule::NameTwice,
        Rule::UnknownName,
        Rule::PortUnconnected,
        Rule::PortTwice,
        Rule::Interface,
        Rule::Direction,
        Rule::DeviceTwice,
        Rule::Device,
        Rule::LineSpeed,
        Rule::SafeAction,
        Rule::Window,
        Rule::InterruptTwice,
        Rule::InterruptCount,
        Rule::NobodyRestarts,
        Rule::GroupTwice,
        Rule::Escalation,
        Rule::Rights,
        Rule::ManagerVcpu,
        Rule::Starved,
        Rule::RecoverWithin,
        Rule::Deadline,
        Rule::Intensity,
        Rule::ReceiverMargin,
        Rule::NoSafeAction,
        Rule::Description,
        Rule::Configuration,
        Rule::Memory,
        Rule::BoardMemory,
        Rule::Board,
        Rule::SigningKey,
        Rule::Swappable,
        Rule::TooMany,
    ];

    /// The rule's code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Rule::NotAManifest => "koboshi::not-a-manifest",
            Rule::Syntax => "koboshi::syntax",
            Rule::UnknownKey => "koboshi::unknown-key",
            Rule::MissingKey => "koboshi::missing-key",
            Rule::WrongKind => "koboshi::wrong-kind",
            Rule::Quantity => "koboshi::quantity",
            Rule::Choice => "koboshi::choice",
            Rule::Bounds => "koboshi::bounds",
            Rule::NameTwice => "koboshi::name-twice",
            Rule::UnknownName => "koboshi::unknown-name",
            Rule::PortUnconnected => "koboshi::port-unconnected",
            Rule::PortTwice => "koboshi::port-twice",
            Rule::Interface => "koboshi::interface",
            Rule::Direction => "koboshi::direction",
            Rule::DeviceTwice => "koboshi::device-twice",
            Rule::Device => "koboshi::device",
            Rule::LineSpeed => "koboshi::line-speed",
            Rule::SafeAction => "koboshi::safe-action",
            Rule::Window => "koboshi::window",
            Rule::InterruptTwice => "koboshi::interrupt-twice",
            Rule::InterruptCount => "koboshi::interrupt-count",
            Rule::NobodyRestarts => "koboshi::nobody-restarts",
            Rule::GroupTwice => "koboshi::group-twice",
            Rule::Escalation => "koboshi::escalation",
            Rule::Rights => "koboshi::rights",
            Rule::ManagerVcpu => "koboshi::manager-vcpu",
            Rule::Starved => "koboshi::starved",
            Rule::RecoverWithin => "koboshi::recover-within",
            Rule::Deadline => "koboshi::deadline",
            Rule::Intensity => "koboshi::intensity",
            Rule::ReceiverMargin => "koboshi::receiver-margin",
            Rule::NoSafeAction => "koboshi::no-safe-action",
            Rule::Description => "koboshi::description",
            Rule::Configuration => "koboshi::configuration",
            Rule::Memory => "koboshi::memory",
            Rule::BoardMemory => "koboshi::board-memory",
            Rule::Board => "koboshi::board",
            Rule::SigningKey => "koboshi::signing-key",
            Rule::Swappable => "koboshi::swappable",
            Rule::TooMany => "koboshi::too-many",
        }
    }

    /// How much it matters if the rule is broken.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Rule::Intensity | Rule::ReceiverMargin | Rule::NoSafeAction => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

// `ALL` leaves none out.
const _: () = {
    assert!(Rule::TooMany as usize + 1 == Rule::ALL.len());
    let mut at = 0;
    while at < Rule::ALL.len() {
        assert!(Rule::ALL[at] as usize == at);
        at += 1;
    }
};

/// Whose fault a problem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Whoever wrote the image's manifest.
    Image,
    /// Whoever wrote this component.
    Component(String),
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The rule that is broken.
    pub rule: Rule,
    /// What is wrong.
    pub message: String,
    /// Whose fault it is.
    pub whose: Whose,
    /// What would be right.
    pub remedy: String,
    /// Where; the text says what is there.
    pub at: Place,
    /// What stands there.
    pub label: String,
    /// Another place in the same manifest that belongs to it.
    pub other: Option<(Range<usize>, String)>,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.rule.code()))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.rule.severity() {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(match &self.whose {
            Whose::Image => format!("{}\nWhose fault: the image manifest's.", self.remedy),
            Whose::Component(name) => format!("{}\nWhose fault: component package `{name}`'s.", self.remedy),
        }))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.at.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let main = LabeledSpan::new_primary_with_span(Some(self.label.clone()), self.at.span.clone());
        let other = self.other.iter().map(|(span, text)| LabeledSpan::new_with_span(Some(text.clone()), span.clone()));
        Some(Box::new(std::iter::once(main).chain(other)))
    }
}

impl Problem {
    /// What stands before it in its manifest.
    fn before(&self) -> &[u8] {
        let text = self.at.source.inner().as_bytes();
        text.get(..self.at.span.start).unwrap_or(text)
    }

    /// The line of its manifest on which it is, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        1 + self.before().iter().filter(|byte| **byte == b'\n').count()
    }

    /// The column in that line at which it begins, in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        let line = self.before().rsplit(|byte| *byte == b'\n').next().unwrap_or(&[]);
        1 + String::from_utf8_lossy(line).chars().count()
    }

    /// Everything about it in three lines of plain text.
    #[must_use]
    pub fn plain(&self) -> String {
        let whose = match &self.whose {
            Whose::Image => "the image".to_owned(),
            Whose::Component(name) => format!("package {name}"),
        };
        let (name, line) = (self.at.source.name(), self.line());
        let warning = match self.rule.severity() {
            Severity::Error => "",
            Severity::Warning => " (warning)",
        };
        format!(
            "{}{warning}: {name}:{line}: {}\n  fault: {whose}\n  right: {}",
            self.rule.code(),
            self.message,
            self.remedy
        )
    }
}

/// All that is wrong, in the order of the manifests' lines. There is at least one.
#[derive(Clone, Debug)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Sorted by manifest and line, so that a person can go through it from the top.
    #[must_use]
    pub fn sorted(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| {
            (a.at.source.name(), a.at.span.start, a.rule).cmp(&(b.at.source.name(), b.at.span.start, b.rule))
        });
        Problems(problems)
    }

    /// The report for a terminal (in colour) or a file.
    #[must_use]
    pub fn render(&self, colour: bool, width: usize) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
        let mut text = String::new();
        for problem in &self.0 {
            // Writing into a String cannot fail; if it ever does, the plain text is there.
            if handler.render_report(&mut text, problem).is_err() {
                text.push_str(&problem.plain());
            }
            text.push('\n');
        }
        text
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                out.write_str("\n")?;
            }
            out.write_str(&problem.plain())?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The nearest of these names, if one is near enough to have been meant.
pub(crate) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().max(wrong.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// What to write instead of a wrong name: the nearest one, or all.
pub(crate) fn instead<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(wrong, names.clone()) {
        return format!("did you mean `{name}`?");
    }
    let all: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if all.is_empty() { "there is none to choose from.".to_owned() } else { format!("there is {}.", all.join(", ")) }
}
