//! What is shown while a task runs: a bar on a terminal, plain lines elsewhere, next to nothing with `--json`.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::Usage;

use super::environment;
use super::output::{safe_line, talk, talk_raw};
use super::{terminal, text};

/// Below so many columns the bar gives way to the message.
const MIDDLE_COLUMNS: u16 = 64;
/// Below so many columns the bar is short.
const WIDE_COLUMNS: u16 = 100;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// A bar that is redrawn, with lines above it.
    Live,
    /// A line for each thing that happens.
    Plain,
    /// Only what a person must know.
    Quiet,
}

/// The person's view of a running task, on stderr.
#[derive(Debug)]
pub(super) struct Screen {
    manner: Manner,
    bar: Option<ProgressBar>,
    layout: Option<Layout>,
    shown: Shown,
    below: Below,
    question: Option<String>,
}

/// The lines below the bar, which the bar reads when it is drawn.
#[derive(Debug, Clone, Default)]
struct Below(Arc<Mutex<Vec<String>>>);

impl Below {
    fn put(&self, lines: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lines;
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the bar says, kept for when it comes back after a question.
#[derive(Debug, Default)]
struct Shown {
    message: String,
    percent: Option<u8>,
    gauges: String,
    standing: Option<&'static str>,
    step: Option<String>,
}

impl Shown {
    /// What stands beside the bar: what is most in the way comes first.
    fn words(&self) -> String {
        let step = self.step.as_deref();
        let words = [self.standing, step, Some(self.message.as_str())];
        words.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

/// What is known of a running task at one moment.
#[derive(Debug, Default)]
pub(super) struct Moment {
    /// What it has used.
    pub(super) usage: Usage,
    /// How long it still takes, if anybody can tell.
    pub(super) left: Option<Duration>,
    /// Why it does not go on, or may not: `paused`.
    pub(super) standing: Option<&'static str>,
    /// Where in its plan it is: `step 2/5 sign`.
    pub(super) step: Option<String>,
}

impl Moment {
    /// The figures in a few words: `3.2s · 1.2G fuel · 12s left`.
    fn gauges(&self) -> String {
        let mut gauges = format!("{} · {} fuel", text::elapsed(self.usage.wall), text::fuel(self.usage.fuel));
        if let Some(left) = self.left {
            // Writing to a String cannot fail.
            let _ = write!(gauges, " · {} left", text::about(left));
        }
        gauges
    }
}

/// What the bar looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    room: Room,
    percent: bool,
}

/// How much room there is in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// For a name and a word.
    Narrow,
    /// For a few figures as well.
    Middle,
    /// For all.
    Wide,
}

impl Room {
    /// How much a terminal of so many columns has; without a terminal there is enough.
    pub(super) fn of(columns: Option<u16>) -> Self {
        match columns {
            Some(0..MIDDLE_COLUMNS) => Self::Narrow,
            Some(MIDDLE_COLUMNS..WIDE_COLUMNS) => Self::Middle,
            Some(WIDE_COLUMNS..) | None => Self::Wide,
        }
    }
}

impl Layout {
    fn template(self) -> &'static str {
        match (self.room, self.percent) {
            (Room::Wide, true) => "{bar:24} {percent:>3}%  {prefix}  {wide_msg}",
            (Room::Middle, true) => "{bar:10} {percent:>3}%  {prefix}  {wide_msg}",
            (Room::Wide | Room::Middle, false) => "{spinner} {prefix}  {wide_msg}",
            (Room::Narrow, true) => "{percent:>3}% {wide_msg}",
            (Room::Narrow, false) => "{spinner} {wide_msg}",
        }
    }

    fn style(self, below: &Below) -> ProgressStyle {
        let template = format!("{}\n{{below}}", self.template());
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let below = below.clone();
        // Nothing below makes no line.
        let style = style.with_key("below", move |_: &ProgressState, to: &mut dyn std::fmt::Write| {
            // What cannot be written now is drawn with the next tick.
            let _ = to.write_str(&below.lines().join("\n"));
        });
        style.progress_chars("━╸─").tick_strings(&["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", "⠿"])
    }
}

impl Screen {
    /// An empty screen.
    pub(super) fn new(manner: Manner) -> Self {
        Self { manner, bar: None, layout: None, shown: Shown::default(), below: Below::default(), question: None }
    }

    /// Whether it wants to be told of the time that passes.
    pub(super) fn is_live(&self) -> bool {
        self.manner == Manner::Live
    }

    /// Says what is being done before the task itself speaks.
    pub(super) fn begin(&mut self, doing: &str) {
        doing.clone_into(&mut self.shown.message);
        self.redraw();
    }

    /// Shows a line, unless little shall be shown.
    pub(super) fn line(&mut self, line: &str) {
        if self.manner != Manner::Quiet {
            self.say(line);
        }
    }

    /// Shows a line that the person must see.
    pub(super) fn say(&mut self, line: &str) {
        match (&self.bar, &self.question) {
            (Some(bar), _) => bar.suspend(|| talk(line)),
            (None, Some(question)) => {
                self.leave_line();
                talk(line);
                talk_raw(question);
            }
            (None, None) => talk(line),
        }
    }

    /// Shows how far the task is.
    pub(super) fn progress(&mut self, message: &str, percent: Option<u8>) {
        match self.manner {
            Manner::Live => {
                self.shown.message = safe_line(message);
                self.shown.percent = percent;
                self.redraw();
            }
            Manner::Plain => {
                let place = percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent}%"));
                self.say(&labelled(&place, message));
            }
            Manner::Quiet => {}
        }
    }

    /// Shows what the task has used, whether it goes on, and that the program is alive.
    pub(super) fn tick(&mut self, moment: &Moment) {
        self.shown.gauges = moment.gauges();
        self.shown.standing = moment.standing;
        self.shown.step = moment.step.as_deref().map(safe_line);
        self.redraw();
        if let Some(bar) = &self.bar {
            bar.tick();
        }
    }

    /// Shows these lines below the bar from the next tick on: safe ones, that fit.
    pub(super) fn below(&mut self, lines: Vec<String>) {
        self.below.put(lines);
    }

    /// Puts a question below everything else, where the answer is typed. The bar goes away meanwhile; what stood below it
    /// stays above the question, for whoever decides.
    pub(super) fn ask(&mut self, question: &str) {
        self.clear();
        for line in self.below.lines() {
            talk(&line);
        }
        let question = format!("{} ", safe_line(question));
        talk_raw(&question);
        self.question = Some(question);
    }

    /// The question has its answer: the person's Enter has ended the line.
    pub(super) fn answered(&mut self) {
        self.question = None;
        self.redraw();
    }

    /// The question needs no answer any more, if there is one.
    pub(super) fn withdraw(&mut self, why: &str) {
        if self.question.take().is_some() {
            talk_raw("\n");
            self.say(why);
            self.redraw();
        }
    }

    /// Shows a line that the person must see, and that makes the question needless.
    pub(super) fn say_instead(&mut self, line: &str) {
        if self.question.is_some() {
            self.withdraw(line);
        } else {
            self.say(line);
        }
    }

    /// Removes the bar.
    pub(super) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.layout = None;
    }

    /// Gets away from the line that a question stands on.
    fn leave_line(&self) {
        talk_raw(if self.manner == Manner::Live && environment::can_redraw() { "\r\u{1b}[K" } else { "\n" });
    }

    fn redraw(&mut self) {
        if self.manner != Manner::Live || self.question.is_some() {
            return;
        }
        let layout = Layout { room: Room::of(environment::columns()), percent: self.shown.percent.is_some() };
        let bar = self.bar.get_or_insert_with(|| ProgressBar::with_draw_target(Some(100), terminal::target()));
        if self.layout != Some(layout) {
            bar.set_style(layout.style(&self.below));
            self.layout = Some(layout);
        }
        bar.set_position(self.shown.percent.unwrap_or(0).into());
        bar.set_prefix(self.shown.gauges.clone());
        // In front, where a narrow terminal shows it too.
        bar.set_message(self.shown.words());
    }
}

/// A line with its origin in front, all origins flush right: `  out | …`.
pub(super) fn labelled(label: &str, text: &str) -> String {
    format!("{label:>6} | {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_is_a_valid_template() {
        for room in [Some(1), Some(MIDDLE_COLUMNS), Some(WIDE_COLUMNS), None].map(Room::of) {
            for percent in [true, false] {
                assert!(ProgressStyle::with_template(Layout { room, percent }.template()).is_ok());
            }
        }
    }

    #[test]
    fn the_time_left_is_shown_when_it_is_known() {
        let usage = Usage { fuel: 1_200_000_000, wall: Duration::from_millis(3_250), ..Usage::default() };
        let known = Moment { usage, left: Some(Duration::from_millis(12_300)), standing: None, step: None };
        assert_eq!(known.gauges(), "3.2s · 1.2G fuel · 12s left");
        assert_eq!(Moment { left: None, ..known }.gauges(), "3.2s · 1.2G fuel");
    }

    #[test]
    fn what_is_in_the_way_comes_before_the_step_and_that_before_the_message() {
        let shown = Shown { message: "signing".into(), step: Some("step 2/5 sign".into()), ..Shown::default() };
        assert_eq!(shown.words(), "step 2/5 sign · signing");
        assert_eq!(Shown { standing: Some("paused"), ..shown }.words(), "paused · step 2/5 sign · signing");
    }

    #[test]
    fn origins_are_flush_right() {
        assert_eq!(labelled("out", "x"), "   out | x");
        assert_eq!(labelled("45%", "reading"), "   45% | reading");
    }

    #[test]
    fn without_a_terminal_there_is_no_bar() {
        for manner in [Manner::Plain, Manner::Quiet] {
            let mut screen = Screen::new(manner);
            screen.begin("loading");
            screen.tick(&Moment::default());
            assert!(screen.bar.is_none(), "{manner:?}");
        }
    }
}
