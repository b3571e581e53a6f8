//! A bar on stderr for runs that take a while.

use std::collections::HashMap;
use std::fmt;
use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressDrawTarget, ProgressStyle};

use super::event::{Observer, RunEvent};
use super::report::Outcome;
use crate::error::{Error, human_bytes};

/// One line for each run on stderr: tasks done, the layer at work, bytes spilled.
///
/// It appears when a run has lasted half a second, and never where stderr is no terminal. The line of a run that is over
/// stays, with `done`, `failed`, `cancelled` or `timed out` at its end. It observes the runs of one runtime.
pub struct ProgressBar(Arc<Shared>);

struct Shared {
    lines: MultiProgress,
    delay: Duration,
    runs: Mutex<HashMap<u64, Run>>,
}

struct Run {
    start: Duration,
    total: u64,
    done: u64,
    layers: Vec<String>,
    /// The layer that reported last.
    layer: u32,
    spilled_bytes: u64,
    /// Made when the run has lasted long enough.
    line: Option<indicatif::ProgressBar>,
    /// Dropped with the run; wakes the thread that waits to show the line.
    _over: mpsc::Sender<()>,
}

const DELAY: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(200);
const TEMPLATE: &str = "[{bar:30}] {human_pos}/{human_len} tasks  {elapsed}  {msg}";

impl Default for ProgressBar {
    fn default() -> ProgressBar {
        ProgressBar::new()
    }
}

impl ProgressBar {
    /// A bar on stderr, which stays quiet if that is no terminal.
    pub fn new() -> ProgressBar {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        ProgressBar::on(target, DELAY)
    }

    fn on(target: ProgressDrawTarget, delay: Duration) -> ProgressBar {
        let lines = MultiProgress::with_draw_target(target);
        ProgressBar(Arc::new(Shared { lines, delay, runs: Mutex::default() }))
    }
}

impl Observer for ProgressBar {
    fn observe(&self, event: &RunEvent<'_>) {
        if self.0.lines.is_hidden() {
            return;
        }
        let mut runs = self.0.runs();
        match *event {
            RunEvent::Started { run, layers, at } => {
                let (over, wait) = mpsc::channel();
                let started = Run {
                    start: at,
                    total: layers.iter().map(|layer| layer.tasks).sum(),
                    done: 0,
                    layers: layers.iter().map(|layer| layer.name.clone()).collect(),
                    layer: 0,
                    spilled_bytes: 0,
                    line: None,
                    _over: over,
                };
                runs.insert(run, started);
                drop(runs);
                self.show_later(run, wait);
            }
            RunEvent::Progress { run, layer, done, at } => {
                let Some(known) = runs.get_mut(&run) else { return };
                let moved_on = known.layer != layer;
                known.layer = layer;
                known.done += done;
                if known.line.is_none() && at.saturating_sub(known.start) >= self.0.delay {
                    known.show(&self.0.lines, at.saturating_sub(known.start));
                } else if let Some(line) = &known.line {
                    line.set_position(known.done);
                    if moved_on {
                        line.set_message(known.message());
                    }
                }
            }
            RunEvent::Spilled { run, bytes, .. } => {
                let Some(known) = runs.get_mut(&run) else { return };
                known.spilled_bytes += bytes;
                if let Some(line) = &known.line {
                    line.set_message(known.message());
                }
            }
            RunEvent::Ended { run, error, .. } => {
                let ended = runs.remove(&run);
                drop(runs);
                if let Some(ended) = ended {
                    ended.finish(error);
                }
            }
            RunEvent::Task(_) | RunEvent::ReadBack { .. } => {}
        }
    }
}

impl ProgressBar {
    /// Shows the line of a run that gives no event for long: one that is busy with a few large tasks.
    fn show_later(&self, run: u64, over: mpsc::Receiver<()>) {
        let (shared, delay) = (Arc::downgrade(&self.0), self.0.delay);
        let wait = move || {
            if over.recv_timeout(delay) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let Some(shared) = shared.upgrade() else { return };
            let mut runs = shared.runs();
            if let Some(known) = runs.get_mut(&run) {
                known.show(&shared.lines, delay);
            }
        };
        // Without the thread the line appears with the next event: nothing is lost but promptness.
        drop(thread::Builder::new().name("chunkwise-progress".to_string()).spawn(wait));
    }
}

impl Shared {
    fn runs(&self) -> MutexGuard<'_, HashMap<u64, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    fn show(&mut self, lines: &MultiProgress, elapsed: Duration) {
        if self.line.is_some() {
            return;
        }
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let line = lines.add(indicatif::ProgressBar::new(self.total).with_style(style).with_elapsed(elapsed));
        line.set_position(self.done);
        line.set_message(self.message());
        line.enable_steady_tick(TICK);
        self.line = Some(line);
    }

    fn message(&self) -> String {
        let layer = self.layers.get(self.layer as usize).map_or("", String::as_str);
        format!("{layer}{}", self.spilled())
    }

    fn spilled(&self) -> String {
        match self.spilled_bytes {
            0 => String::new(),
            bytes => format!(", spilled {}", human_bytes(bytes)),
        }
    }

    fn finish(self, error: Option<&Error>) {
        let Some(line) = &self.line else { return };
        line.disable_steady_tick();
        line.set_position(self.done);
        let word = match Outcome::of(error) {
            Outcome::Finished => "done",
            other => other.word(),
        };
        line.abandon_with_message(format!("{word}{}", self.spilled()));
    }
}

impl fmt::Debug for ProgressBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProgressBar({} runs)", self.0.runs().len())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use indicatif::TermLike;

    use super::super::fixture::{layer, small_run};
    use super::super::report::RunReport;
    use super::*;
    use crate::error::ErrorKind;

    /// A terminal that keeps what is written to it.
    #[derive(Clone, Debug, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            100
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.write_str("\n")
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Screen {
        fn bar(&self, delay: Duration) -> ProgressBar {
            ProgressBar::on(ProgressDrawTarget::term_like_with_hz(Box::new(self.clone()), 255), delay)
        }

        fn text(&self) -> String {
            self.0.lock().unwrap().clone()
        }

        fn last_line(&self) -> String {
            let text = self.text();
            text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("").to_string()
        }
    }

    fn long_run(bar: &ProgressBar, error: Option<&Error>) {
        let at = Duration::from_millis;
        bar.observe(&RunEvent::Started { run: 4, layers: &[layer("parse", 1000), layer("sum", 1)], at: at(0) });
        bar.observe(&RunEvent::Progress { run: 4, layer: 0, done: 400, at: at(300) });
        bar.observe(&RunEvent::Spilled { run: 4, layer: 0, bytes: 5 << 20, at: at(400) });
        bar.observe(&RunEvent::Progress { run: 4, layer: 0, done: 600, at: at(600_000) });
        bar.observe(&RunEvent::Progress { run: 4, layer: 1, done: 1, at: at(600_100) });
        bar.observe(&RunEvent::Ended { run: 4, report: &RunReport::default(), error, at: at(600_200) });
    }

    #[test]
    fn the_template_is_one() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
    }

    #[test]
    fn a_short_run_shows_nothing() {
        let screen = Screen::default();
        small_run(&screen.bar(Duration::from_secs(600)), None);
        assert_eq!(screen.text(), "");
    }

    #[test]
    fn a_long_run_shows_tasks_layer_and_spill_and_stays_when_done() {
        let screen = Screen::default();
        let bar = screen.bar(Duration::from_secs(600));
        long_run(&bar, None);
        let text = screen.text();
        assert!(text.contains("1,000/1,001 tasks") && text.contains("parse, spilled 5 MiB"), "{text}");
        let last = screen.last_line();
        assert!(last.contains("1,001/1,001 tasks") && last.ends_with("done, spilled 5 MiB"), "{last}");
        assert_eq!(format!("{bar:?}"), "ProgressBar(0 runs)");
    }

    #[test]
    fn errors_and_cancellation_close_the_line() {
        for (kind, word) in [(ErrorKind::Task, "failed"), (ErrorKind::Cancelled, "cancelled")] {
            let screen = Screen::default();
            long_run(&screen.bar(Duration::from_secs(600)), Some(&Error::new(kind, "why")));
            let last = screen.last_line();
            assert!(last.ends_with(&format!("{word}, spilled 5 MiB")), "{last}");
        }
    }

    #[test]
    fn a_run_without_events_shows_its_line_all_the_same() {
        let screen = Screen::default();
        let bar = screen.bar(Duration::from_millis(1));
        bar.observe(&RunEvent::Started { run: 1, layers: &[layer("long", 1)], at: Duration::ZERO });
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !screen.text().contains("0/1 tasks") {
            assert!(std::time::Instant::now() < deadline, "no line: {}", screen.text());
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn no_terminal_no_line() {
        let bar = ProgressBar::on(ProgressDrawTarget::hidden(), Duration::ZERO);
        long_run(&bar, None);
        bar.observe(&RunEvent::Started { run: 1, layers: &[layer("long", 1)], at: Duration::ZERO });
        assert!(bar.0.runs().is_empty());
    }
}
