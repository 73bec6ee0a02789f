//! Whether a board can give an image's components what the image gives them: without building anything.

use koboshi_host::image::Image;
use koboshi_sh4::tools::Trouble;

use crate::interrupts::{Line, Mask};
use crate::line_end::LineEnd;
use crate::request::Request;
use crate::{interrupts, layout, line_end, pages};

/// Where in an image something does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// In no single place.
    Image,
    /// The address of this device.
    Device(usize),
    /// Of this device the interrupt in this place.
    Interrupt(usize, usize),
}

/// What does not fit, and where.
#[derive(Clone, Debug)]
pub struct Unfit {
    /// Where.
    pub spot: Spot,
    /// What, and what would be right.
    pub trouble: Trouble,
}

impl Unfit {
    pub(crate) fn new(spot: Spot, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Unfit { spot, trouble: Trouble::new(what, remedy) }
    }
}

impl From<Trouble> for Unfit {
    fn from(trouble: Trouble) -> Self {
        Unfit { spot: Spot::Image, trouble }
    }
}

impl From<Unfit> for Trouble {
    fn from(unfit: Unfit) -> Self {
        unfit.trouble
    }
}

/// Says what of an image its board cannot have: all that a build would say before it compiles anything. Programs and folders of the
/// request do not matter.
///
/// # Errors
/// The first thing that does not fit.
pub fn fits(request: &Request<'_>) -> Result<(), Unfit> {
    judged(request).map(|_| ())
}

/// What is known of an image that fits.
pub(crate) struct Fitting {
    /// The image, with both sides of a line's end joined.
    pub(crate) image: Image,
    pub(crate) ends: Vec<LineEnd>,
    pub(crate) masks: Vec<Mask>,
    pub(crate) lines: Vec<Line>,
}

/// [`fits`], and what was found on the way.
pub(crate) fn judged(request: &Request<'_>) -> Result<Fitting, Unfit> {
    let (image, ends) = line_end::joined(request.image, &request.devices)?;
    let request = &Request { image: &image, ..request.clone() };
    layout::check(request)?;
    pages::are_apart(request)?;
    let (masks, lines) = interrupts::lines(request)?;
    Ok(Fitting { image, ends, masks, lines })
}
