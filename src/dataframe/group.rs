//! Grouping: `group_by(keys).agg(aggregates)`.

use std::sync::Arc;

use super::DataFrame;
use super::plan::{Frame, Op};
use crate::error::Role;
use crate::expr::{Expr, unknown_column};
use crate::origin::Origin;

/// A table and the keys of its groups; [`GroupBy::agg`] says what is made of each group.
#[derive(Clone, Debug)]
#[must_use = "groups do nothing until something is made of them"]
pub struct GroupBy {
    frame: DataFrame,
    keys: Vec<Arc<str>>,
}

impl DataFrame {
    /// Groups of rows with equal keys. Rows with a null among their keys are dropped.
    #[track_caller]
    pub fn group_by<S: AsRef<str>>(&self, keys: impl IntoIterator<Item = S>) -> GroupBy {
        let origin = Origin::caller();
        let keys: Vec<Arc<str>> = keys.into_iter().map(|key| key.as_ref().into()).collect();
        let checked = self.frame().and_then(|frame| {
            let unknown = keys.iter().find(|key| frame.schema.field_with_name(key).is_err());
            match unknown {
                Some(key) => Err(unknown_column(key, &frame.schema).frame(Role::In, "group_by", origin)),
                None => Ok(frame.clone()),
            }
        });
        GroupBy { frame: DataFrame { state: checked }, keys }
    }
}

impl GroupBy {
    /// One row per group, in ascending order of the keys: the keys, and the aggregates.
    ///
    /// The result is one partition. Sums of integers are exact; floats are added in the order of the rows of each partition,
    /// then of the partitions, so that the bits do not depend on threads.
    ///
    /// # Memory
    /// One row of running values for each key of each partition until the last partition is through: they are held under
    /// the name `group_by`, and the run fails where the budget has no room for them.
    #[track_caller]
    pub fn agg(&self, aggregates: impl IntoIterator<Item = Expr>) -> DataFrame {
        let origin = Origin::caller();
        let op = Op::GroupBy { keys: self.keys.clone(), aggregates: aggregates.into_iter().collect() };
        self.frame.derive("agg", origin, |frame| Frame::new(op, Some(frame), origin))
    }
}
