//! Lists, and fields of structs.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Int64Array, ListArray, PrimitiveArray, StringBuilder, UInt32Array,
    make_comparator,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{SortOptions, cast, sort_to_indices, take};
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};

use super::super::types::{Known, common, is_text, sum_type};
use super::super::value::logical;
use super::super::{BinaryOp, Expr, Function, one_zero};
use super::{Misfit, Operand, Outcome, Planned, as_boolean, compare, defect, logic, with_nulls};

/// A function of lists.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListFunction {
    /// Number of values, null or not.
    Len,
    /// The value at a place, from the end where it is negative; null where there is none.
    Get(i64),
    /// Whether a value is in it.
    Contains,
    /// Sum; 0 of none.
    Sum,
    /// Least value; null of none.
    Min,
    /// Greatest value; null of none.
    Max,
    /// Mean; null of none.
    Mean,
    /// Texts as one, with another between them; nulls are left out.
    Join(Arc<str>),
    /// From a place on, from the end where it is negative, so many values or all.
    Slice(i64, Option<u64>),
    /// In ascending order, nulls last.
    Sort,
    /// Each value once, in the order in which they come first.
    Unique,
}

/// The functions of lists of an expression; from [`Expr::list`].
#[derive(Clone, Debug)]
#[must_use = "a namespace does nothing by itself"]
pub struct ListExpr(Expr);

impl Expr {
    /// Functions of lists.
    pub fn list(self) -> ListExpr {
        ListExpr(self)
    }
}

impl ListExpr {
    fn call(self, function: ListFunction) -> Expr {
        self.0.call(Function::List(function))
    }

    /// Number of values, null or not.
    #[must_use]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(self) -> Expr {
        self.call(ListFunction::Len)
    }

    /// The value at a place, from the end where it is negative; null where there is none.
    #[must_use]
    pub fn get(self, place: i64) -> Expr {
        self.call(ListFunction::Get(place))
    }

    /// The first value; null where there is none.
    #[must_use]
    pub fn first(self) -> Expr {
        self.get(0)
    }

    /// The last value; null where there is none.
    #[must_use]
    pub fn last(self) -> Expr {
        self.get(-1)
    }

    /// Whether a value is in it.
    #[must_use]
    pub fn contains(self, value: impl Into<Expr>) -> Expr {
        Expr::Call(Function::List(ListFunction::Contains), [self.0, value.into()].into())
    }

    /// Sum of the values; 0 of none.
    #[must_use]
    pub fn sum(self) -> Expr {
        self.call(ListFunction::Sum)
    }

    /// The least value; null of none.
    #[must_use]
    pub fn min(self) -> Expr {
        self.call(ListFunction::Min)
    }

    /// The greatest value; null of none.
    #[must_use]
    pub fn max(self) -> Expr {
        self.call(ListFunction::Max)
    }

    /// The mean of the values; null of none.
    #[must_use]
    pub fn mean(self) -> Expr {
        self.call(ListFunction::Mean)
    }

    /// Its texts as one, with another between them; nulls are left out.
    #[must_use]
    pub fn join(self, separator: &str) -> Expr {
        self.call(ListFunction::Join(separator.into()))
    }

    /// From a place on, from the end where it is negative, so many values or all.
    #[must_use]
    pub fn slice(self, start: i64, len: impl Into<Option<u64>>) -> Expr {
        self.call(ListFunction::Slice(start, len.into()))
    }

    /// In ascending order, nulls last.
    #[must_use]
    pub fn sort(self) -> Expr {
        self.call(ListFunction::Sort)
    }

    /// Each value once, in the order in which they come first.
    #[must_use]
    pub fn unique(self) -> Expr {
        self.call(ListFunction::Unique)
    }
}

impl ListFunction {
    pub(in super::super) fn name(&self) -> &'static str {
        match self {
            ListFunction::Len => "list_len",
            ListFunction::Get(_) => "list_get",
            ListFunction::Contains => "list_contains",
            ListFunction::Sum => "list_sum",
            ListFunction::Min => "list_min",
            ListFunction::Max => "list_max",
            ListFunction::Mean => "list_mean",
            ListFunction::Join(_) => "list_join",
            ListFunction::Slice(..) => "list_slice",
            ListFunction::Sort => "list_sort",
            ListFunction::Unique => "list_unique",
        }
    }

    pub(in super::super) fn settings(&self) -> Vec<String> {
        match self {
            ListFunction::Get(place) => vec![place.to_string()],
            ListFunction::Join(separator) => vec![format!("{separator:?}")],
            ListFunction::Slice(start, Some(len)) => vec![start.to_string(), len.to_string()],
            ListFunction::Slice(start, None) => vec![start.to_string()],
            _ => Vec::new(),
        }
    }
}

/// Plans a function of lists.
pub(super) fn plan(function: &ListFunction, args: &[Known]) -> Result<Planned, Misfit> {
    let takes = if *function == ListFunction::Contains { 2 } else { 1 };
    if args.len() != takes {
        return Err(format!("it takes {takes} operands, not {}", args.len()));
    }
    let (DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)) = &args[0].data_type
    else {
        return Err(format!("it takes lists, not {}", args[0].data_type));
    };
    // All kinds of lists as the one of 32 bits.
    let list_type = DataType::List(field.clone());
    let item = logical(field.data_type()).clone();
    let unary = |gives: DataType, kernel: fn(&ListArray) -> Outcome| {
        Planned::unary(gives, list_type.clone(), move |array| kernel(list(array)?))
    };
    match function {
        ListFunction::Len => Ok(unary(DataType::Int64, |lists| {
            let lengths: Vec<i64> = lists.offsets().lengths().map(|len| len as i64).collect();
            Ok(Arc::new(Int64Array::new(lengths.into(), lists.nulls().cloned())))
        })),
        ListFunction::Get(place) => {
            let place = *place;
            Ok(Planned::unary(item, list_type, move |array| get(list(array)?, place)))
        }
        ListFunction::Contains => {
            let one = Known::of(&item);
            let eq = compare::plan(BinaryOp::Eq, &one, &args[1])?;
            let wanted = common(&one, &args[1]).ok_or("its values have another type")?;
            let kernel = move |operands: &mut [Operand], rows: usize| {
                let lists = operands[0].to_rows(rows)?;
                let lists = list(&lists)?;
                let values = cast(lists.values(), &eq.operands[0])?;
                let sought = match &operands[1] {
                    Operand::One(one) => Operand::One(one.clone()),
                    Operand::Rows(rows) => {
                        let owners = owners(lists);
                        Operand::Rows(take(rows, &owners, None)?)
                    }
                };
                let found = (eq.kernel)(&mut [Operand::Rows(values), sought], lists.values().len())?;
                let found = logic::true_rows(as_boolean(&found)?);
                let offsets = lists.offsets();
                let any = |row: usize| {
                    let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                    (start..end).any(|at| found.value(at))
                };
                let values = arrow::buffer::BooleanBuffer::collect_bool(rows, any);
                let nulls = match &operands[1] {
                    Operand::One(one) if one.is_null(0) => Some(NullBuffer::new_null(rows)),
                    Operand::One(_) => lists.nulls().cloned(),
                    Operand::Rows(sought) => NullBuffer::union(lists.nulls(), sought.logical_nulls().as_ref()),
                };
                Ok(Arc::new(arrow::array::BooleanArray::new(values, nulls)) as ArrayRef)
            };
            Ok(Planned::new(DataType::Boolean, vec![list_type, wanted], kernel))
        }
        ListFunction::Sum | ListFunction::Mean => {
            let gives = match function {
                ListFunction::Sum => sum_type(&item),
                _ => sum_type(&item).map(|_| DataType::Float64),
            };
            let gives = gives.ok_or_else(|| format!("it takes lists of numbers, not of {item}"))?;
            let mean = *function == ListFunction::Mean;
            let wanted = gives.clone();
            let planned = Planned::unary(gives.clone(), list_type, move |array| {
                let lists = list(array)?;
                let values = cast(lists.values(), &wanted)?;
                match wanted {
                    DataType::Int64 => sums::<Int64Type>(lists, &values, |x, y| x.checked_add(y)),
                    DataType::UInt64 => sums::<UInt64Type>(lists, &values, |x, y| x.checked_add(y)),
                    _ if mean => means(lists, &values),
                    _ => sums::<Float64Type>(lists, &values, |x, y| Some(x + y)),
                }
            });
            Ok(if gives.is_integer() { planned.failing() } else { planned })
        }
        ListFunction::Min | ListFunction::Max => {
            if item.is_nested() {
                return Err(format!("it does not take lists of {item}"));
            }
            let greatest = *function == ListFunction::Max;
            Ok(Planned::unary(item, list_type, move |array| extreme(list(array)?, greatest)))
        }
        ListFunction::Join(separator) => {
            if !is_text(&item) {
                return Err(format!("it takes lists of text, not of {item}"));
            }
            let separator = separator.clone();
            Ok(Planned::unary(DataType::Utf8, list_type, move |array| join(list(array)?, &separator)))
        }
        ListFunction::Slice(start, len) => {
            let (start, len) = (*start, *len);
            Ok(Planned::unary(list_type.clone(), list_type, move |array| slice(list(array)?, start, len)))
        }
        ListFunction::Sort | ListFunction::Unique => {
            if item.is_nested() {
                return Err(format!("it does not take lists of {item}"));
            }
            let sort = *function == ListFunction::Sort;
            Ok(Planned::unary(list_type.clone(), list_type, move |array| reordered(list(array)?, sort)))
        }
    }
}

fn list(array: &ArrayRef) -> Result<&ListArray, super::Failure> {
    array.as_list_opt::<i32>().ok_or_else(defect)
}

/// The row of each value; 0 for values of none.
fn owners(lists: &ListArray) -> UInt32Array {
    let mut owners = vec![0; lists.values().len()];
    for row in 0..lists.len() {
        owners[lists.offsets()[row] as usize..lists.offsets()[row + 1] as usize].fill(row as u32);
    }
    UInt32Array::from(owners)
}

fn bounds(lists: &ListArray, row: usize) -> (i64, i64) {
    (i64::from(lists.offsets()[row]), i64::from(lists.offsets()[row + 1]))
}

fn get(lists: &ListArray, place: i64) -> Outcome {
    let places = (0..lists.len()).map(|row| {
        let (start, end) = bounds(lists, row);
        let at = if place < 0 { end.checked_add(place)? } else { start.checked_add(place)? };
        (lists.is_valid(row) && at >= start && at < end).then_some(at as u32)
    });
    plain(&take(lists.values(), &places.collect::<UInt32Array>(), None)?)
}

fn sums<T: ArrowPrimitiveType>(
    lists: &ListArray,
    values: &ArrayRef,
    add: impl Fn(T::Native, T::Native) -> Option<T::Native>,
) -> Outcome {
    let values = values.as_primitive_opt::<T>().ok_or_else(defect)?;
    let mut totals = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let (start, end) = bounds(lists, row);
        let mut total = T::Native::default();
        for at in start as usize..end as usize {
            if lists.is_valid(row) && values.is_valid(at) {
                let sum = add(total, values.value(at));
                total = sum.ok_or_else(|| super::arithmetic::overflows(&T::DATA_TYPE.to_string()))?;
            }
        }
        totals.push(total);
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(totals.into(), lists.nulls().cloned())))
}

fn means(lists: &ListArray, values: &ArrayRef) -> Outcome {
    let values = values.as_primitive_opt::<Float64Type>().ok_or_else(defect)?;
    let means = (0..lists.len()).map(|row| {
        let (start, end) = bounds(lists, row);
        let there = (start as usize..end as usize).filter(|at| values.is_valid(*at));
        let (total, count) = there.fold((0.0, 0_u64), |(total, count), at| (total + values.value(at), count + 1));
        (lists.is_valid(row) && count > 0).then(|| total / count as f64)
    });
    Ok(Arc::new(means.collect::<PrimitiveArray<Float64Type>>()))
}

/// The values by rows, those of a row ascending, NaN last, then nulls; equal ones as they stood. And the rank of each value: that of
/// those it is equal to.
fn sorted_places(lists: &ListArray) -> Result<(Vec<u32>, Vec<u32>), super::Failure> {
    let options = SortOptions { descending: false, nulls_first: false };
    let values = one_zero(lists.values())?;
    let ranks = sort_to_indices(&values, Some(options), None)?;
    let same = make_comparator(&values, &values, SortOptions::default())?;
    let mut rank = vec![0_u32; values.len()];
    let mut before: Option<u32> = None;
    for (at, place) in ranks.values().iter().enumerate() {
        rank[*place as usize] = match before {
            Some(other) if same(other as usize, *place as usize).is_eq() => rank[other as usize],
            _ => at as u32,
        };
        before = Some(*place);
    }
    let mut places: Vec<u32> = (0..values.len() as u32).collect();
    for row in 0..lists.len() {
        let (start, end) = bounds(lists, row);
        places[start as usize..end as usize].sort_unstable_by_key(|place| (rank[*place as usize], *place));
    }
    Ok((places, rank))
}

fn extreme(lists: &ListArray, greatest: bool) -> Outcome {
    let values = lists.values();
    let (places, _) = sorted_places(lists)?;
    let nan = |at: u32| match values.data_type() {
        DataType::Float16 => values.as_primitive::<arrow::datatypes::Float16Type>().value(at as usize).is_nan(),
        DataType::Float64 => values.as_primitive::<Float64Type>().value(at as usize).is_nan(),
        DataType::Float32 => values.as_primitive::<arrow::datatypes::Float32Type>().value(at as usize).is_nan(),
        _ => false,
    };
    let chosen = (0..lists.len()).map(|row| {
        let (start, end) = bounds(lists, row);
        if lists.is_null(row) {
            return None;
        }
        let of_row = &places[start as usize..end as usize];
        let mut there = of_row.iter().copied().filter(|at| values.is_valid(*at as usize));
        match greatest {
            false => there.next(),
            true => {
                let there: Vec<u32> = there.collect();
                there.iter().rev().copied().find(|at| !nan(*at)).or(there.last().copied())
            }
        }
    });
    let chosen: UInt32Array = chosen.collect();
    plain(&take(values, &chosen, None)?)
}

/// Not as a dictionary.
fn plain(array: &ArrayRef) -> Outcome {
    match logical(array.data_type()) {
        gives if gives == array.data_type() => Ok(array.clone()),
        gives => Ok(cast(array, gives)?),
    }
}

fn join(lists: &ListArray, separator: &str) -> Outcome {
    let values = cast(lists.values(), &DataType::Utf8)?;
    let values = values.as_string_opt::<i32>().ok_or_else(defect)?;
    let mut texts = StringBuilder::with_capacity(lists.len(), values.value_data().len());
    let mut text = String::new();
    for row in 0..lists.len() {
        if lists.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        let (start, end) = bounds(lists, row);
        let mut first = true;
        for at in (start as usize..end as usize).filter(|at| values.is_valid(*at)) {
            if !first {
                text.push_str(separator);
            }
            first = false;
            text.push_str(values.value(at));
        }
        texts.append_value(&text);
    }
    Ok(Arc::new(texts.finish()))
}

fn slice(lists: &ListArray, from: i64, len: Option<u64>) -> Outcome {
    let mut places = Vec::new();
    let mut offsets = vec![0_i32];
    for row in 0..lists.len() {
        let (start, end) = bounds(lists, row);
        let first = if from < 0 { end.saturating_add(from) } else { start.saturating_add(from) }.clamp(start, end);
        // Counted from where the slice would begin, which may be before the list.
        let begun = if from < 0 { start.saturating_sub(end.saturating_add(from)).max(0) } else { 0 };
        let len = len.map_or(i64::MAX, |len| i64::try_from(len).unwrap_or(i64::MAX).saturating_sub(begun).max(0));
        let last = first.saturating_add(len).min(end);
        places.extend((first..last).map(|at| at as u32));
        offsets.push(places.len() as i32);
    }
    gathered(lists, places, offsets)
}

/// Lists of values at these places.
fn gathered(lists: &ListArray, places: Vec<u32>, offsets: Vec<i32>) -> Outcome {
    let values = take(lists.values(), &UInt32Array::from(places), None)?;
    let DataType::List(field) = lists.data_type() else { return Err(defect()) };
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(ListArray::try_new(field.clone(), offsets, values, lists.nulls().cloned())?))
}

fn reordered(lists: &ListArray, sort: bool) -> Outcome {
    let (sorted, rank) = sorted_places(lists)?;
    let (mut places, mut offsets) = (Vec::with_capacity(sorted.len()), vec![0_i32]);
    for row in 0..lists.len() {
        let (start, end) = bounds(lists, row);
        let of_row = &sorted[start as usize..end as usize];
        if sort {
            places.extend_from_slice(of_row);
        } else {
            // Equal values stand together: the first in the list of each run stays.
            let begin = places.len();
            let mut run: Option<(u32, u32)> = None;
            for at in of_row {
                match &mut run {
                    Some((some, first)) if rank[*some as usize] == rank[*at as usize] => *first = (*first).min(*at),
                    _ => {
                        places.extend(run.take().map(|(_, first)| first));
                        run = Some((*at, *at));
                    }
                }
            }
            places.extend(run.map(|(_, first)| first));
            places[begin..].sort_unstable();
        }
        offsets.push(places.len() as i32);
    }
    gathered(lists, places, offsets)
}

/// Plans the field of a struct.
pub(super) fn field(name: &str, of: &Known) -> Result<Planned, Misfit> {
    let DataType::Struct(fields) = &of.data_type else {
        return Err(format!("it takes structs, not {}", of.data_type));
    };
    let Some((at, field)) = fields.iter().enumerate().find(|(_, field)| field.name() == name) else {
        let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        return Err(format!("the struct has no field `{name}`; fields are {}", names.join(", ")));
    };
    Ok(Planned::unary(logical(field.data_type()).clone(), of.data_type.clone(), move |array| {
        let structs = array.as_struct_opt().ok_or_else(defect)?;
        let column = plain(structs.column(at))?;
        match structs.nulls() {
            Some(nulls) if nulls.null_count() > 0 => with_nulls(column.as_ref(), Some(nulls)),
            _ => Ok(column),
        }
    }))
}
