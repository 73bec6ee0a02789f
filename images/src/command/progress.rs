//! How far the build of a board's image is: on a terminal one line that is drawn anew, else a line for each part.
//!
//! The rule: nothing of it goes to the standard output, and nothing is shown of a build that had nothing to do.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use koboshi_board::Step;

/// Shows it, from the first step on.
pub(super) struct Progress {
    began: Instant,
    bar: Option<ProgressBar>,
    /// Parts of which it was said that they are begun, where each one gets a line.
    begun: usize,
}

impl Progress {
    pub(super) fn new() -> Self {
        Progress { began: Instant::now(), bar: None, begun: 0 }
    }

    fn bar(&mut self) -> &ProgressBar {
        self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
                .with_elapsed(self.began.elapsed());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        })
    }

    /// Shows what is done now.
    pub(super) fn show(&mut self, step: Step<'_>) {
        let is_drawn = !self.bar().is_hidden();
        match step {
            _ if is_drawn => self.bar().set_message(in_words(step)),
            Step::Waits => eprintln!("{}", in_words(step)),
            Step::Part { made, of, name, .. } if made >= self.begun => {
                self.begun = made + 1;
                eprintln!("building {} of {of}: {name} (after {} s)", made + 1, self.began.elapsed().as_secs());
            }
            Step::Part { .. } => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn in_words(step: Step<'_>) -> String {
    match step {
        Step::Waits => "waiting for another build of this image".to_owned(),
        Step::Part { made, of, name, doing } => format!("building {} of {of}: {name}, {doing}", made + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_with_its_place_among_all() {
        let step = Step::Part { made: 2, of: 7, name: "driver", doing: "linking" };
        assert_eq!(in_words(step), "building 3 of 7: driver, linking");
    }
}
