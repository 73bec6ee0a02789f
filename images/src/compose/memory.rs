//! Everything that components keep fits into what the board gives them.

use super::Composer;
use crate::margins::Margins;
use crate::problem::Rule;
use crate::units::Quantity;

impl Composer<'_> {
    /// The sum of all that is named in `koboshi report` fits into `[memory]`.
    pub(super) fn components_fit_into_the_board(&mut self, margins: &Margins) {
        let Some(memory) = &self.image.memory else { return };
        let total = margins.memory_total();
        if total <= memory.size.value {
            return;
        }
        let largest = margins.memory.iter().zip(&self.image.components).max_by_key(|(use_, _)| use_.total());
        let (largest, bytes) = largest.map_or(("?", 0), |(use_, part)| (part.name.value.as_str(), use_.total()));
        self.reader.problem(
            Rule::BoardMemory,
            memory.size.span.clone(),
            format!("the components need {total} bytes, and the board gives {}", memory.size.value),
            "too little",
            format!(
                "write at least `size = \"{} KiB\"`, or give less to the largest: `{largest}` has {}.",
                total.div_ceil(1 << 10),
                Quantity::Memory.write(bytes)
            ),
        );
    }
}
