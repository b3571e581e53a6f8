//! Runs as spans and events of `tracing`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{Level, Span, debug, field, info, info_span, trace, warn};

use super::event::{Observer, RunEvent};
use super::report::Outcome;

/// The target of all spans and events.
const TARGET: &str = "chunkwise";

/// Gives each run a span `run` at level `INFO`, with events inside it: its layers, spills and read-backs at `DEBUG`, its
/// tasks at `TRACE`, its end at `INFO`, or `WARN` with the error. The target of all is `chunkwise`.
///
/// Spans and events go to the subscriber of the thread that reports, as `tracing` has it.
#[derive(Default)]
pub struct TracingObserver {
    runs: Mutex<HashMap<u64, Traced>>,
}

struct Traced {
    span: Span,
    layers: Vec<String>,
}

impl TracingObserver {
    /// An observer of no run yet.
    pub fn new() -> TracingObserver {
        TracingObserver::default()
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<u64, Traced>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `event` inside the run's span with the name of the layer, outside the lock: a subscriber may be slow.
    fn inside(&self, run: u64, layer: u32, event: impl FnOnce(&str)) {
        let found = self.runs().get(&run).map(|traced| {
            let name = traced.layers.get(layer as usize).cloned().unwrap_or_default();
            (traced.span.clone(), name)
        });
        match found {
            Some((span, layer)) => span.in_scope(|| event(&layer)),
            None => event(""),
        }
    }
}

impl Observer for TracingObserver {
    fn wants_tasks(&self) -> bool {
        tracing::enabled!(target: TARGET, Level::TRACE)
    }

    fn observe(&self, event: &RunEvent<'_>) {
        match *event {
            RunEvent::Started { run, layers, .. } => {
                let tasks: u64 = layers.iter().map(|layer| layer.tasks).sum();
                let span = info_span!(
                    target: TARGET,
                    "run",
                    run,
                    layers = layers.len(),
                    tasks,
                    outcome = field::Empty,
                    elapsed_ms = field::Empty,
                    spilled_bytes = field::Empty,
                    peak_accounted_bytes = field::Empty,
                );
                span.in_scope(|| {
                    for layer in layers {
                        let (tasks, origin) = (layer.tasks, layer.origin);
                        debug!(target: TARGET, layer = %layer.name, tasks, %origin, members = ?layer.members, "layer");
                    }
                });
                let layers = layers.iter().map(|layer| layer.name.clone()).collect();
                self.runs().insert(run, Traced { span, layers });
            }
            RunEvent::Task(task) => self.inside(task.run, task.layer, |layer| {
                let elapsed_us = task.elapsed().as_micros() as u64;
                let (index, member, thread) = (task.index, task.member, task.thread);
                let (bytes_in, bytes_out) = (task.bytes_in, task.bytes_out);
                trace!(target: TARGET, layer, index, member, thread, elapsed_us, bytes_in, bytes_out, "task");
            }),
            RunEvent::Spilled { run, layer, bytes, .. } => {
                self.inside(run, layer, |layer| debug!(target: TARGET, layer, bytes, "spilled"));
            }
            RunEvent::ReadBack { run, layer, bytes, .. } => {
                self.inside(run, layer, |layer| debug!(target: TARGET, layer, bytes, "read back"));
            }
            RunEvent::Ended { run, report, error, .. } => {
                let ended = self.runs().remove(&run);
                let span = ended.map_or_else(Span::none, |traced| traced.span);
                let outcome = Outcome::of(error);
                let elapsed_ms = report.elapsed.as_millis() as u64;
                span.record("outcome", outcome.word());
                span.record("elapsed_ms", elapsed_ms);
                span.record("spilled_bytes", report.spilled_bytes);
                span.record("peak_accounted_bytes", report.peak_accounted_bytes);
                let (tasks, outcome) = (report.tasks, outcome.word());
                span.in_scope(|| match error {
                    None => info!(target: TARGET, tasks, elapsed_ms, "{outcome}"),
                    Some(error) => warn!(target: TARGET, tasks, elapsed_ms, %error, "{outcome}"),
                });
            }
            RunEvent::Progress { .. } => {}
        }
    }
}

impl fmt::Debug for TracingObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TracingObserver({} runs)", self.runs().len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber, subscriber};

    use super::super::fixture::small_run;
    use super::*;
    use crate::error::{Error, ErrorKind};

    /// A subscriber that writes lines.
    #[derive(Clone)]
    struct Lines {
        text: Arc<Mutex<String>>,
        most: Level,
        spans: Arc<AtomicU64>,
    }

    impl Lines {
        fn new(most: Level) -> Lines {
            Lines { text: Arc::default(), most, spans: Arc::default() }
        }

        fn line(&self, begin: String, fields: impl FnOnce(&mut Fields)) {
            let mut line = Fields(begin);
            fields(&mut line);
            *self.text.lock().unwrap() += &format!("{}\n", line.0);
        }
    }

    struct Fields(String);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.0 += &format!(" {}={value:?}", field.name());
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= self.most
        }

        fn new_span(&self, attributes: &Attributes<'_>) -> Id {
            let id = self.spans.fetch_add(1, Ordering::Relaxed) + 1;
            self.line(format!("span {id}"), |fields| attributes.record(fields));
            Id::from_u64(id)
        }

        fn record(&self, id: &Id, values: &Record<'_>) {
            self.line(format!("record {}", id.into_u64()), |fields| values.record(fields));
        }

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            self.line(format!("  {} {}", event.metadata().target(), event.metadata().level()), |fields| {
                event.record(fields)
            });
        }

        fn enter(&self, id: &Id) {
            self.line(format!("enter {}", id.into_u64()), |_| {});
        }

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_run_is_a_span_with_events() {
        let lines = Lines::new(Level::TRACE);
        subscriber::with_default(lines.clone(), || {
            let observer = TracingObserver::new();
            assert!(observer.wants_tasks());
            small_run(&observer, None);
            assert!(observer.runs().is_empty());
        });
        insta::assert_snapshot!(lines.text.lock().unwrap(), @r#"
        span 1 run=1 layers=2 tasks=3
        enter 1
          chunkwise DEBUG message=layer layer=parse tasks=2 origin=an unknown line members=[]
          chunkwise DEBUG message=layer layer=filter+sum tasks=1 origin=an unknown line members=["filter", "sum"]
        enter 1
          chunkwise TRACE message=task layer="parse" index=0 thread=0 elapsed_us=10000 bytes_in=8 bytes_out=16
        enter 1
          chunkwise TRACE message=task layer="parse" index=1 thread=1 elapsed_us=8000 bytes_in=8 bytes_out=16
        enter 1
          chunkwise DEBUG message=spilled layer="parse" bytes=4096
        enter 1
          chunkwise DEBUG message=read back layer="parse" bytes=4096
        enter 1
          chunkwise TRACE message=task layer="filter+sum" index=0 member=0 thread=1 elapsed_us=1000 bytes_in=8 bytes_out=16
        enter 1
          chunkwise TRACE message=task layer="filter+sum" index=0 member=1 thread=1 elapsed_us=2000 bytes_in=8 bytes_out=16
        record 1 outcome="finished"
        record 1 elapsed_ms=18
        record 1 spilled_bytes=0
        record 1 peak_accounted_bytes=0
        enter 1
          chunkwise INFO message=finished tasks=3 elapsed_ms=18
        "#);
    }

    #[test]
    fn an_error_is_a_warning_and_tasks_are_quiet_below_trace() {
        let lines = Lines::new(Level::INFO);
        subscriber::with_default(lines.clone(), || {
            let observer = TracingObserver::new();
            assert!(!observer.wants_tasks());
            small_run(&observer, Some(&Error::new(ErrorKind::Task, "no luck")));
        });
        insta::assert_snapshot!(lines.text.lock().unwrap(), @r#"
        span 1 run=1 layers=2 tasks=3
        enter 1
        enter 1
        enter 1
        enter 1
        enter 1
        enter 1
        enter 1
        record 1 outcome="failed"
        record 1 elapsed_ms=18
        record 1 spilled_bytes=0
        record 1 peak_accounted_bytes=0
        enter 1
          chunkwise WARN message=failed tasks=3 elapsed_ms=18 error=no luck
        "#);
    }
}
