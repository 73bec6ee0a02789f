//! Where in the source an address of an image is: what a fault is told by.

use std::path::Path;

use koboshi_sh4::place::{Place, Places};
use koboshi_sh4::tools::Trouble;

/// Where in the source of a component an instruction comes from, by what its build has left in the image's folder. The
/// kernel's name is `kernel`. `None`: nothing of it lies at this address.
///
/// # Errors
/// There is no such component, or what was left of its build cannot be read.
pub fn place_of(folder: &Path, component: &str, pc: u32) -> Result<Option<Place>, Trouble> {
    Ok(Places::read(&folder.join(format!("{component}.elf")))?.at(pc))
}
