//! How often the interesting paths were taken, so that the simulator cannot become toothless unnoticed.

use std::fmt;

/// The paths that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Seen {
    Spill,
    SpillMeanwhileRead,
    SpillFailed,
    Load,
    LoadFailed,
    CleanEviction,
    Forced,
    Overdraft,
    TooLarge,
    ResultTooLarge,
    Expansion,
    Steal,
    StealInVain,
    TaskFailed,
    Skipped,
    CancelEarly,
    CancelRunning,
    CancelDuringDisk,
    CancelKept,
    Dropped,
    Stream,
    StreamWaited,
    Kept,
    TakenFromDisk,
    HandedOver,
    SeveralRuns,
    Tight,
    Useless,
    LateWake,
    Behind,
    ReadsNothing,
    End,
}

const ALL: [Seen; Seen::End as usize] = {
    use Seen::*;
    [
        Spill,
        SpillMeanwhileRead,
        SpillFailed,
        Load,
        LoadFailed,
        CleanEviction,
        Forced,
        Overdraft,
        TooLarge,
        ResultTooLarge,
        Expansion,
        Steal,
        StealInVain,
        TaskFailed,
        Skipped,
        CancelEarly,
        CancelRunning,
        CancelDuringDisk,
        CancelKept,
        Dropped,
        Stream,
        StreamWaited,
        Kept,
        TakenFromDisk,
        HandedOver,
        SeveralRuns,
        Tight,
        Useless,
        LateWake,
        Behind,
        ReadsNothing,
    ]
};

#[derive(Clone, Default)]
pub(super) struct Coverage {
    times: [u64; Seen::End as usize],
    /// Cases in which it happened at all.
    cases: [u64; Seen::End as usize],
    all_cases: u64,
    pub tasks: u64,
}

impl Coverage {
    pub fn saw(&mut self, what: Seen) {
        self.times[what as usize] += 1;
    }

    /// Adds what one case saw.
    pub fn add(&mut self, case: &Coverage) {
        self.all_cases += 1;
        self.tasks += case.tasks;
        for (at, times) in case.times.iter().enumerate() {
            self.times[at] += times;
            self.cases[at] += u64::from(*times > 0);
        }
    }

    /// Requires that each path was taken in a sensible share of the cases, where there were enough of them.
    pub fn expect(&self) {
        if self.all_cases < 2000 {
            return;
        }
        for what in ALL {
            let least = match what {
                Seen::Tight => 500,
                Seen::Spill | Seen::Load | Seen::HandedOver | Seen::Stream | Seen::Kept | Seen::SeveralRuns => 150,
                Seen::CleanEviction | Seen::Forced | Seen::Overdraft | Seen::Expansion | Seen::StreamWaited => 50,
                Seen::CancelDuringDisk | Seen::LoadFailed | Seen::SpillFailed | Seen::CancelKept => 8,
                _ => 10,
            };
            let per_mille = self.cases[what as usize] * 1000 / self.all_cases;
            assert!(per_mille >= least, "{what:?} in {per_mille} of 1000 cases, expected {least}:\n{self}");
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} cases, {} tasks started", self.all_cases, self.tasks)?;
        for what in ALL {
            let (cases, times) = (self.cases[what as usize], self.times[what as usize]);
            let share = 100.0 * cases as f64 / self.all_cases.max(1) as f64;
            writeln!(out, "  {:20} {times:>10} times, in {cases:>7} cases ({share:.1} %)", format!("{what:?}"))?;
        }
        Ok(())
    }
}
