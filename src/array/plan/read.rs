//! Arrays that are read from where they are stored, and those that are to be stored.

use std::path::PathBuf;
use std::sync::Arc;

use super::Cuts;
use crate::formats::array::{BlockSource, BlockTarget};

/// What is read of a source.
#[derive(Clone)]
pub(crate) struct ReadOp {
    pub source: Arc<dyn BlockSource>,
    /// Along each axis of the source.
    pub windows: Arc<[Window]>,
}

/// Where blocks are to be stored.
#[derive(Clone)]
pub(crate) struct WriteOp {
    /// What stands there, in a line.
    pub label: String,
    pub target: Arc<dyn BlockTarget>,
}

/// What was stored of an array.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Where it stands: the file or directory that was named; nothing for a program's own target.
    pub paths: Vec<PathBuf>,
    /// Its blocks.
    pub blocks: u64,
    /// Bytes that were written for them.
    pub bytes: u64,
}

/// Evenly spaced places along an axis, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    pub start: usize,
    /// At least 1; of one place or none 1.
    pub step: usize,
    pub len: usize,
}

impl Window {
    /// A whole axis.
    pub fn whole(len: usize) -> Window {
        Window { start: 0, step: 1, len }
    }

    /// From `start`, `len` places by `step` in either direction.
    pub fn of(start: i64, step: i64, len: usize) -> Window {
        let last = start + step * len.saturating_sub(1) as i64;
        let (lowest, step) = (start.min(last), if len > 1 { step.unsigned_abs().max(1) as usize } else { 1 });
        match len {
            0 => Window { start: 0, step: 1, len: 0 },
            _ => Window { start: usize::try_from(lowest).unwrap_or(0), step, len },
        }
    }

    /// This window of what another one gives.
    pub fn within(&self, outer: &Window) -> Window {
        let step = if self.len > 1 { outer.step * self.step } else { 1 };
        Window { start: outer.start + outer.step * self.start, step, len: self.len }
    }

    /// Behind the last place.
    pub fn end(&self) -> usize {
        if self.len == 0 { self.start } else { self.start + self.step * (self.len - 1) + 1 }
    }

    /// One in which the places of both lie.
    pub fn united(&self, other: &Window) -> Window {
        if self.len == 0 || other.len == 0 {
            return if self.len == 0 { *other } else { *self };
        }
        let (start, end) = (self.start.min(other.start), self.end().max(other.end()));
        // One place lies in any step that meets it.
        let step = match (self.len, other.len) {
            (1, 1) => self.start.abs_diff(other.start).max(1),
            (1, _) => other.step,
            (_, 1) => self.step,
            _ if self.step == other.step => self.step,
            _ => 1,
        };
        let step = if self.start.abs_diff(other.start).is_multiple_of(step) { step } else { 1 };
        let len = (end - start).div_ceil(step);
        Window { start, step: if len > 1 { step } else { 1 }, len }
    }

    /// Where the window is cut, by the cuts of the axis.
    pub fn cuts(&self, cuts: &[usize]) -> Cuts {
        let before = |cut: &usize| cut.saturating_sub(self.start).div_ceil(self.step).min(self.len);
        let mut ends: Vec<usize> = cuts.iter().map(before).chain([0, self.len]).collect();
        ends.sort_unstable();
        ends.dedup();
        if ends.len() == 1 {
            ends.push(self.len);
        }
        Cuts::Known(ends.into())
    }
}

impl ReadOp {
    /// All of a source.
    pub fn whole(source: Arc<dyn BlockSource>) -> ReadOp {
        let windows = source.shape().iter().map(|len| Window::whole(*len)).collect();
        ReadOp { source, windows }
    }

    /// What tells it from others that do not give the same.
    pub fn key(&self) -> String {
        self.source.key().unwrap_or_else(|| format!("at {:p}", Arc::as_ptr(&self.source)))
    }

    /// What it is, in a line.
    pub fn label(&self) -> String {
        let whole = self.windows.iter().zip(self.source.shape()).all(|(window, len)| *window == Window::whole(*len));
        if whole {
            return self.source.label();
        }
        let axes = self.windows.iter().map(|window| match window.step {
            1 => format!("{}..{}", window.start, window.end()),
            step => format!("{}..{};{step}", window.start, window.end()),
        });
        format!("{} [{}]", self.source.label(), axes.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows() {
        let back = Window::of(9, -3, 4);
        assert_eq!(back, Window { start: 0, step: 3, len: 4 });
        assert_eq!((back.end(), Window::of(7, 5, 1).step, Window::of(3, -1, 0).len), (10, 1, 0));
        assert_eq!(Window::of(1, 2, 2).within(&Window::of(10, 3, 5)), Window { start: 13, step: 6, len: 2 });
        assert_eq!(back.united(&Window::of(12, 3, 2)), Window { start: 0, step: 3, len: 6 });
        assert_eq!(back.united(&Window::of(1, 3, 2)), Window { start: 0, step: 1, len: 10 });
        assert_eq!(Window::of(2, 1, 1).united(&Window::of(8, 1, 1)), Window { start: 2, step: 6, len: 2 });
        assert_eq!(Window::of(2, 1, 0).united(&Window::of(8, 1, 1)), Window::of(8, 1, 1));
        assert_eq!(Window::of(4, 3, 4).cuts(&[0, 5, 5, 9, 20]).lens(), [1, 1, 2].map(Some));
        assert_eq!(Window::of(0, 1, 0).cuts(&[0, 5]).lens(), [Some(0)]);
    }
}
