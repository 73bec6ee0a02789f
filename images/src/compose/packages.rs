//! Packages that may come while an image runs: whether any could be let in.

use super::Composer;
use crate::problem::Rule;

impl Composer<'_> {
    /// A component that may be swapped, and nobody who may sign: no package would ever be let in.
    pub(super) fn somebody_may_sign_for_whoever_is_swappable(&mut self) {
        if !self.image.signers.is_empty() {
            return;
        }
        let swappable =
            self.image.components.iter().find_map(|part| Some((&part.name.value, part.swappable.as_ref()?)));
        let Some((name, swappable)) = swappable else { return };
        self.reader.problem(
            Rule::Swappable,
            swappable.span.clone(),
            format!("`{name}` is swappable, and nobody may sign a package for this image"),
            "no package would be let in",
            "name the keys that may sign at the top, as in `packages-signed-by = [\"koboshi-ed25519:...\"]`; \
             `koboshi key new` makes one.",
        );
    }
}
