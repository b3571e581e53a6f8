//! Which states aggregates need, and how each is kept.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::chosen::{Best, Ends};
use super::deviations::{CoMoments, Moments};
use super::distinct::Distinct;
use super::extremes::{Extremes, Logic, Products};
use super::finish::Output;
use super::intern::{failed, take_rows};
use super::lists::{Lists, Tops};
use super::moments::IntMoments;
use super::pairs::Pairs;
#[cfg(feature = "sketches")]
use super::sketches::{Digests, Distincts};
use super::sums::{FloatSums, IntSums, Nulls, Sizes};
use super::{Columns, NONE, Rows};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{AggregateFunction, Expr, UserAggregate, UserState, logical};

/// An aggregate over columns of evaluated values.
#[derive(Clone, Debug)]
pub struct AggregateCall {
    /// What is made of the values.
    pub function: AggregateFunction,
    /// Which values, by their places, and their types.
    pub args: Vec<(usize, DataType)>,
    /// The condition, by its place.
    pub filter: Option<usize>,
    /// The type of the result.
    pub data_type: DataType,
    /// The aggregate itself, for errors.
    pub expr: Expr,
}

/// A state that is kept of each group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StateSpec {
    pub kind: StateKind,
    pub args: Vec<usize>,
    pub filter: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StateKind {
    Sizes,
    Nulls,
    IntSums,
    /// Of all arguments together.
    FloatSums,
    Extremes {
        data_type: DataType,
        most: bool,
    },
    Ends {
        data_type: DataType,
        last: bool,
    },
    Best {
        data_type: DataType,
        by: DataType,
        most: bool,
    },
    Lists {
        data_type: DataType,
    },
    Tops {
        data_type: DataType,
        most: bool,
        len: usize,
    },
    Logic,
    Products {
        exact: bool,
    },
    IntMoments {
        pair: bool,
    },
    Moments {
        fourth: bool,
    },
    CoMoments,
    /// Of each two arguments.
    Pairs,
    Distinct {
        data_type: DataType,
    },
    #[cfg(feature = "sketches")]
    Distincts {
        data_type: DataType,
    },
    #[cfg(feature = "sketches")]
    Digests,
    User {
        aggregate: UserAggregate,
        types: Vec<DataType>,
    },
}

impl StateKind {
    /// Whether the order of the rows shows in the result.
    pub fn is_ordered(&self) -> bool {
        match self {
            StateKind::FloatSums
            | StateKind::Ends { .. }
            | StateKind::Best { .. }
            | StateKind::Lists { .. }
            | StateKind::Products { exact: false }
            | StateKind::Moments { .. }
            | StateKind::CoMoments
            | StateKind::Pairs
            | StateKind::User { .. } => true,
            #[cfg(feature = "sketches")]
            StateKind::Digests => true,
            #[cfg(feature = "sketches")]
            StateKind::Distincts { .. } => false,
            StateKind::Sizes
            | StateKind::Nulls
            | StateKind::IntSums
            | StateKind::Extremes { .. }
            | StateKind::Tops { .. }
            | StateKind::Logic
            | StateKind::Products { exact: true }
            | StateKind::IntMoments { .. }
            | StateKind::Distinct { .. } => false,
        }
    }
}

impl StateSpec {
    /// Memory that a task takes for it as soon as there is a row, where that is much.
    pub fn need(&self) -> usize {
        if self.kind == StateKind::Pairs { Pairs::need(self.args.len()) } else { 0 }
    }
}

/// States, each once.
#[derive(Default)]
struct States {
    specs: Vec<StateSpec>,
    places: HashMap<StateSpec, usize>,
    /// Which column of the sums of floats under a filter an argument is; all those sums are one state.
    columns: HashMap<(Option<usize>, usize), usize>,
}

impl States {
    /// Where a state is.
    fn place(&mut self, kind: StateKind, args: &[usize], filter: Option<usize>) -> usize {
        let together = kind == StateKind::FloatSums;
        let spec = StateSpec { kind, args: if together { Vec::new() } else { args.to_vec() }, filter };
        let next = self.specs.len();
        let at = *self.places.entry(spec.clone()).or_insert(next);
        if at == next {
            self.specs.push(spec);
        }
        if together {
            for arg in args {
                let columns = &mut self.specs[at].args;
                self.columns.entry((filter, *arg)).or_insert_with(|| {
                    columns.push(*arg);
                    columns.len() - 1
                });
            }
        }
        at
    }
}

/// The states of a list of aggregates, each once, and how each aggregate is made of them.
pub(crate) fn plan(calls: &[AggregateCall]) -> Result<(Vec<StateSpec>, Vec<Output>)> {
    let mut states = States::default();
    let outputs = calls.iter().map(|call| states.output(call)).collect::<Result<Vec<Output>>>()?;
    Ok((states.specs, outputs))
}

impl States {
    /// The states of an aggregate, and how it is made of them.
    fn output(&mut self, call: &AggregateCall) -> Result<Output> {
        if call.function == AggregateFunction::Summary {
            let parts = AggregateFunction::summarized().map(|function| {
                let data_type =
                    function.result_type(&call.args.iter().map(|(_, of)| of.clone()).collect::<Vec<_>>())?;
                self.output(&AggregateCall { function, data_type, ..call.clone() })
            });
            let parts = parts.into_iter().collect::<Result<Vec<Output>>>()?;
            return Ok(Output::new(call, Vec::new(), 0, parts));
        }
        let filter = call.filter;
        let args: Vec<usize> = call.args.iter().map(|(place, _)| *place).collect();
        let of = call.args.first().map_or(&DataType::Null, |(_, data_type)| data_type);
        let mut state = |kind: StateKind, args: &[usize]| self.place(kind, args, filter);
        let exact = of.is_integer() || matches!(of, DataType::Boolean | DataType::Null);
        let integers = call.args.iter().all(|(_, of)| of.is_integer() || matches!(of, DataType::Boolean));
        use AggregateFunction as F;
        let needed: Vec<usize> = match &call.function {
            F::Size => vec![state(StateKind::Sizes, &[])],
            F::Count => vec![state(StateKind::Sizes, &[]), state(StateKind::Nulls, &args)],
            F::Sum | F::SumMin(_) | F::Mean if matches!(of, DataType::Decimal256(..)) => {
                let text = format!("`{}`: cast the column to Decimal128 or Float64 first", call.expr.brief());
                return Err(Error::new(ErrorKind::Unsupported, text));
            }
            F::Sum | F::SumMin(_) | F::Mean => {
                let exact = exact || (of.is_decimal() || matches!(of, DataType::Duration(_)));
                let sum = if exact { StateKind::IntSums } else { StateKind::FloatSums };
                vec![state(sum, &args), state(StateKind::Sizes, &[]), state(StateKind::Nulls, &args)]
            }
            F::Product => {
                vec![
                    state(StateKind::Products { exact }, &args),
                    state(StateKind::Sizes, &[]),
                    state(StateKind::Nulls, &args),
                ]
            }
            F::Min | F::Max => {
                let most = call.function == F::Max;
                vec![state(StateKind::Extremes { data_type: of.clone(), most }, &args)]
            }
            F::First | F::Last => {
                let last = call.function == F::Last;
                vec![state(StateKind::Ends { data_type: of.clone(), last }, &args)]
            }
            F::MinBy | F::MaxBy => {
                let by = call.args.get(1).map_or(&DataType::Null, |(_, data_type)| data_type);
                let most = call.function == F::MaxBy;
                vec![state(StateKind::Best { data_type: of.clone(), by: by.clone(), most }, &args)]
            }
            #[cfg(feature = "sketches")]
            F::ApproxNUnique => vec![state(StateKind::Distincts { data_type: of.clone() }, &args)],
            #[cfg(feature = "sketches")]
            F::ApproxQuantile(_) => vec![state(StateKind::Digests, &args)],
            F::List => vec![state(StateKind::Lists { data_type: of.clone() }, &args)],
            F::TopK(len) | F::BottomK(len) => {
                let most = matches!(call.function, F::TopK(_));
                vec![state(StateKind::Tops { data_type: of.clone(), most, len: *len }, &args)]
            }
            F::Any | F::All => vec![state(StateKind::Logic, &args)],
            F::NUnique => vec![state(StateKind::Distinct { data_type: of.clone() }, &args)],
            F::Var(_) | F::Std(_) | F::Sem(_) if integers => vec![state(StateKind::IntMoments { pair: false }, &args)],
            F::Var(_) | F::Std(_) | F::Sem(_) => vec![state(StateKind::Moments { fourth: false }, &args)],
            F::Skew | F::Kurtosis => vec![state(StateKind::Moments { fourth: true }, &args)],
            F::Correlation | F::Covariance(_) if integers => vec![state(StateKind::IntMoments { pair: true }, &args)],
            F::Correlation | F::Covariance(_) => vec![state(StateKind::CoMoments, &args)],
            F::Correlations | F::Covariances => vec![state(StateKind::Pairs, &args)],
            // Its parts have their own.
            F::Summary => Vec::new(),
            F::User(user) => {
                let types = call.args.iter().map(|(_, of)| of.clone()).collect();
                vec![state(StateKind::User { aggregate: user.clone(), types }, &args)]
            }
        };
        let column = args.first().and_then(|arg| self.columns.get(&(filter, *arg)).copied());
        Ok(Output::new(call, needed, column.unwrap_or(0), Vec::new()))
    }
}

/// The running values of one state of all groups. Large ones lie elsewhere: of a wide table there are ten thousands of them for each task.
pub(crate) enum State {
    Sizes(Sizes),
    Nulls(Nulls),
    IntSums(IntSums),
    FloatSums(FloatSums),
    Extremes(Extremes),
    Ends(Ends),
    Best(Box<Best>),
    #[cfg(feature = "sketches")]
    Distincts(Distincts),
    #[cfg(feature = "sketches")]
    Digests(Digests),
    Lists(Lists),
    Tops(Box<Tops>),
    Logic(Logic),
    Products(Products),
    IntMoments(IntMoments),
    Moments(Moments<1>),
    FourthMoments(Moments<3>),
    CoMoments(CoMoments),
    Pairs(Pairs),
    Distinct(Box<Distinct>),
    User(Box<UserGroups>),
}

const _: () = assert!(size_of::<State>() <= 80);

impl State {
    pub fn new(spec: &StateSpec) -> Result<State> {
        Ok(match &spec.kind {
            StateKind::Sizes => State::Sizes(Sizes::default()),
            StateKind::Nulls => State::Nulls(Nulls::default()),
            StateKind::IntSums => State::IntSums(IntSums::default()),
            StateKind::FloatSums => State::FloatSums(FloatSums::new(spec.args.len())),
            StateKind::Extremes { data_type, most } => State::Extremes(Extremes::new(data_type, *most)?),
            StateKind::Ends { data_type, last } => State::Ends(Ends::new(data_type, *last)),
            StateKind::Best { data_type, by, most } => State::Best(Box::new(Best::new(data_type, by, *most)?)),
            #[cfg(feature = "sketches")]
            StateKind::Distincts { data_type } => State::Distincts(Distincts::new(data_type)?),
            #[cfg(feature = "sketches")]
            StateKind::Digests => State::Digests(Digests::default()),
            StateKind::Lists { data_type } => State::Lists(Lists::new(data_type)),
            StateKind::Tops { data_type, most, len } => State::Tops(Box::new(Tops::new(data_type, *most, *len)?)),
            StateKind::Logic => State::Logic(Logic::default()),
            StateKind::Products { exact } => State::Products(Products::new(*exact)),
            StateKind::IntMoments { pair } => State::IntMoments(IntMoments::new(*pair)),
            StateKind::Moments { fourth: false } => State::Moments(Moments::default()),
            StateKind::Moments { fourth: true } => State::FourthMoments(Moments::default()),
            StateKind::CoMoments => State::CoMoments(CoMoments::default()),
            StateKind::Pairs => State::Pairs(Pairs::new(spec.args.len())),
            StateKind::Distinct { data_type } => State::Distinct(Box::new(Distinct::new(data_type)?)),
            StateKind::User { aggregate, types } => {
                State::User(Box::new(UserGroups::new(aggregate.clone(), types.clone())))
            }
        })
    }

    /// Adds the rows of a batch.
    pub fn update(&mut self, spec: &StateSpec, rows: &Rows<'_>, columns: &Columns<'_>) -> Result<()> {
        let mut args: Vec<&ArrayRef> = spec.args.iter().map(|at| &columns.values[*at]).collect();
        // Aggregates know types, not layouts; distinct values and nulls do with dictionaries, and so do ends, which take few rows.
        let unpacked: Vec<ArrayRef>;
        let counts = matches!(
            spec.kind,
            StateKind::IntSums
                | StateKind::FloatSums
                | StateKind::Products { .. }
                | StateKind::IntMoments { .. }
                | StateKind::Moments { .. }
                | StateKind::CoMoments
                | StateKind::Pairs
        );
        #[cfg(feature = "sketches")]
        let counts = counts || spec.kind == StateKind::Digests;
        if counts && args.iter().any(|array| logical(array.data_type()) != array.data_type()) {
            let plain = args.iter().map(|array| cast(array, logical(array.data_type())).map_err(failed));
            unpacked = plain.collect::<Result<Vec<ArrayRef>>>()?;
            args = unpacked.iter().collect();
        }
        let plain = |array: &ArrayRef, to: &DataType| match array.data_type() {
            found if found == to => Ok(array.clone()),
            _ => cast(array, to).map_err(failed),
        };
        match self {
            State::Sizes(state) => state.update(rows),
            State::Nulls(state) => state.update(rows, args[0]),
            State::IntSums(state) => state.update(rows, args[0])?,
            State::FloatSums(state) => state.update(rows, &args)?,
            State::Extremes(state) => match &spec.kind {
                StateKind::Extremes { data_type, .. } => state.update(rows, &plain(args[0], data_type)?)?,
                _ => return Err(Error::internal("a state of another kind")),
            },
            State::Ends(state) => state.update(rows, args[0])?,
            State::Best(state) => match &spec.kind {
                StateKind::Best { by, .. } => state.update(rows, args[0], &plain(args[1], by)?)?,
                _ => return Err(Error::internal("a state of another kind")),
            },
            #[cfg(feature = "sketches")]
            State::Distincts(state) => match &spec.kind {
                StateKind::Distincts { data_type } => state.update(rows, &plain(args[0], data_type)?)?,
                _ => return Err(Error::internal("a state of another kind")),
            },
            #[cfg(feature = "sketches")]
            State::Digests(state) => state.update(rows, args[0])?,
            State::Lists(state) => match &spec.kind {
                StateKind::Lists { data_type } => state.update(rows, &plain(args[0], data_type)?)?,
                _ => return Err(Error::internal("a state of another kind")),
            },
            State::Tops(state) => match &spec.kind {
                StateKind::Tops { data_type, .. } => state.update(rows, &plain(args[0], data_type)?)?,
                _ => return Err(Error::internal("a state of another kind")),
            },
            State::Logic(state) => state.update(rows, &plain(args[0], &DataType::Boolean)?),
            State::Products(state) => state.update(rows, args[0])?,
            State::IntMoments(state) => state.update(rows, &args)?,
            State::Moments(state) => state.update(rows, args[0])?,
            State::FourthMoments(state) => state.update(rows, args[0])?,
            State::CoMoments(state) => state.update(rows, &args)?,
            State::Pairs(state) => state.update(rows.len, &args)?,
            State::Distinct(state) => state.update(rows, args[0])?,
            State::User(state) => {
                let types = state.types.clone();
                let args = args.iter().zip(&types).map(|(array, to)| plain(array, to));
                state.update(rows, &args.collect::<Result<Vec<ArrayRef>>>()?)?;
            }
        }
        Ok(())
    }

    /// Adds what another one, of later rows, has: its group `g` is `map[g]` here, of `count`.
    pub fn merge(&mut self, other: State, map: &[u32], count: usize) -> Result<()> {
        match (self, other) {
            (State::Sizes(state), State::Sizes(other)) => state.merge(&other, map, count),
            (State::Nulls(state), State::Nulls(other)) => state.merge(&other, map, count),
            (State::IntSums(state), State::IntSums(other)) => state.merge(&other, map, count),
            (State::FloatSums(state), State::FloatSums(other)) => state.merge(&other, map, count),
            (State::Extremes(state), State::Extremes(other)) => state.merge(other, map, count),
            (State::Ends(state), State::Ends(other)) => state.merge(other, map, count)?,
            (State::Best(state), State::Best(other)) => state.merge(*other, map, count)?,
            #[cfg(feature = "sketches")]
            (State::Distincts(state), State::Distincts(other)) => state.merge(other, map, count)?,
            #[cfg(feature = "sketches")]
            (State::Digests(state), State::Digests(other)) => state.merge(other, map, count),
            (State::Lists(state), State::Lists(other)) => state.merge(other, map),
            (State::Tops(state), State::Tops(other)) => state.merge(*other, map, count)?,
            (State::Logic(state), State::Logic(other)) => state.merge(&other, map, count),
            (State::Products(state), State::Products(other)) => state.merge(&other, map, count),
            (State::IntMoments(state), State::IntMoments(other)) => state.merge(other, map, count),
            (State::Moments(state), State::Moments(other)) => state.merge(&other, map, count),
            (State::FourthMoments(state), State::FourthMoments(other)) => state.merge(&other, map, count),
            (State::CoMoments(state), State::CoMoments(other)) => state.merge(&other, map, count),
            (State::Pairs(state), State::Pairs(other)) => state.merge(other),
            (State::Distinct(state), State::Distinct(other)) => state.merge(&other, map, count)?,
            (State::User(state), State::User(other)) => state.merge(*other, map, count)?,
            _ => return Err(Error::internal("states of two kinds are to be merged")),
        }
        Ok(())
    }

    /// Memory it takes.
    pub fn bytes(&self) -> usize {
        match self {
            State::Sizes(state) => 8 * state.0.capacity(),
            State::Nulls(state) => 8 * state.0.capacity(),
            State::IntSums(state) => 16 * state.0.capacity(),
            State::FloatSums(state) => 8 * state.capacity(),
            State::Extremes(state) => state.bytes(),
            State::Ends(state) => state.bytes(),
            State::Best(state) => size_of::<Best>() + state.bytes(),
            #[cfg(feature = "sketches")]
            State::Distincts(state) => state.bytes(),
            #[cfg(feature = "sketches")]
            State::Digests(state) => state.bytes(),
            State::Lists(state) => state.bytes(),
            State::Tops(state) => size_of::<Tops>() + state.bytes(),
            State::Logic(state) => state.bytes(),
            State::Products(state) => state.bytes(),
            State::IntMoments(state) => state.bytes(),
            State::Moments(state) => state.bytes(),
            State::FourthMoments(state) => state.bytes(),
            State::CoMoments(state) => state.bytes(),
            State::Pairs(state) => state.bytes(),
            State::Distinct(state) => size_of::<Distinct>() + state.bytes(),
            State::User(state) => size_of::<UserGroups>() + 64 * state.groups.capacity(),
        }
    }
}

/// The user's running values of all groups.
pub(crate) struct UserGroups {
    aggregate: UserAggregate,
    types: Vec<DataType>,
    groups: Vec<Option<Box<dyn UserState>>>,
}

impl UserGroups {
    fn new(aggregate: UserAggregate, types: Vec<DataType>) -> UserGroups {
        UserGroups { aggregate, types, groups: Vec::new() }
    }

    fn update(&mut self, rows: &Rows<'_>, args: &[ArrayRef]) -> Result<()> {
        self.groups.resize_with(rows.count, || None);
        let init = || self.aggregate.init();
        let Some(groups) = rows.groups else {
            return self.groups[0].get_or_insert_with(init).update(args);
        };
        // The rows of each group together, in their order.
        let mut order: Vec<u32> = (0..rows.len as u32).filter(|row| groups[*row as usize] != NONE).collect();
        order.sort_by_key(|row| groups[*row as usize]);
        let sorted = args.iter().map(|array| take_rows(array, &order)).collect::<Result<Vec<ArrayRef>>>()?;
        let mut start = 0;
        for part in order.chunk_by(|a, b| groups[*a as usize] == groups[*b as usize]) {
            let own: Vec<ArrayRef> = sorted.iter().map(|array| array.slice(start, part.len())).collect();
            self.groups[groups[part[0] as usize] as usize].get_or_insert_with(init).update(&own)?;
            start += part.len();
        }
        Ok(())
    }

    fn merge(&mut self, other: UserGroups, map: &[u32], count: usize) -> Result<()> {
        self.groups.resize_with(count, || None);
        for (group, other) in map.iter().zip(other.groups) {
            let Some(other) = other else { continue };
            match &mut self.groups[*group as usize] {
                Some(own) => own.merge(other)?,
                none => *none = Some(other),
            }
        }
        Ok(())
    }

    pub fn finish(&mut self, count: usize, data_type: &DataType) -> Result<ArrayRef> {
        self.groups.resize_with(count, || None);
        let mut values = Vec::with_capacity(count);
        for group in &mut self.groups {
            let state = group.take().unwrap_or_else(|| self.aggregate.init());
            let value = state.finish()?;
            if value.len() != 1 || value.data_type() != data_type {
                let text = format!("an aggregate gave {} values of type {}", value.len(), value.data_type());
                return Err(Error::new(ErrorKind::Task, format!("{text}, not one {data_type}")));
            }
            values.push(value);
        }
        let values: Vec<&dyn Array> = values.iter().map(|value| &**value).collect();
        if values.is_empty() {
            return Ok(arrow::array::new_empty_array(data_type));
        }
        arrow::compute::concat(&values).map_err(failed)
    }
}
