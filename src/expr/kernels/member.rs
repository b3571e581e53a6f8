//! Whether a value is one of some; some values for others.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, BooleanArray, Int32Array, new_empty_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, ToByteSlice};
use foldhash::{HashMap, HashMapExt};

use super::super::Value;
use super::super::types::{Known, common_of, is_text};
use super::{Failure, Misfit, Operand, Outcome, Planned, choose, compare, defect};

/// Up to so many numbers are compared one by one.
const FEW: usize = 8;

/// Plans whether it is one of some values.
pub(super) fn is_in(values: &[Value], of: &Known) -> Result<Planned, Misfit> {
    let (data_type, list) = gathered(values.iter(), of, &[])?;
    let has_null = list.null_count() > 0;
    let list = arrow::compute::filter(&list, &arrow::compute::is_not_null(&list).map_err(|error| error.to_string())?)
        .map_err(|error| error.to_string())?;
    let test = tester(&data_type, &list)?;
    let kernel = move |array: &ArrayRef| {
        let values = test(array)?;
        // What is not in the list might be its null.
        let unknown = has_null.then(|| NullBuffer::new(values.clone()));
        let nulls = NullBuffer::union(array.logical_nulls().as_ref(), unknown.as_ref());
        Ok(Arc::new(BooleanArray::new(values, nulls)) as ArrayRef)
    };
    Ok(Planned::unary(DataType::Boolean, data_type, kernel))
}

/// The values as one array, and its type: that of the operand, or one that holds all.
fn gathered<'a>(
    values: impl Iterator<Item = &'a Value>,
    of: &Known,
    others: &[Known],
) -> Result<(DataType, ArrayRef), Misfit> {
    let values: Vec<&Value> = values.collect();
    let known = |value: &&Value| Known { data_type: value.data_type(), value: Some((*value).clone()) };
    let mut all: Vec<Known> = vec![Known { value: None, ..of.clone() }];
    all.extend(others.iter().cloned());
    all.extend(values.iter().map(known));
    let data_type = common_of(&all).ok_or_else(|| {
        let strange = values.iter().find(|value| common_of(&[all[0].clone(), known(value)]).is_none());
        let strange = strange.map_or_else(String::new, |value| value.to_string());
        format!("it takes values that compare with {}, and {strange} does not", of.data_type)
    })?;
    let arrays =
        values.iter().map(|value| value.to_array_of(&data_type).ok_or_else(|| format!("{value} is not a {data_type}")));
    let arrays = arrays.collect::<Result<Vec<ArrayRef>, Misfit>>()?;
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    let list = match arrays.is_empty() {
        true => new_empty_array(&data_type),
        false => concat(&arrays).map_err(|error| error.to_string())?,
    };
    Ok((data_type, list))
}

type Test = Box<dyn Fn(&ArrayRef) -> Result<BooleanBuffer, Failure> + Send + Sync>;

fn tester(data_type: &DataType, list: &ArrayRef) -> Result<Test, Misfit> {
    macro_rules! primitive {
        ($t:ty) => {
            numbers::<$t>(list)
        };
    }
    if let DataType::Interval(_) = data_type {
        return Err(format!("it does not take {data_type}"));
    }
    arrow::array::downcast_primitive! {
        data_type => (primitive),
        _ => {
            let places = Places::new(list).ok_or_else(|| format!("it does not take {data_type}"))?;
            Ok(Box::new(move |array| {
                let found = places.find(array)?;
                Ok(BooleanBuffer::collect_bool(found.len(), |row| found[row] >= 0))
            }))
        }
    }
}

fn numbers<T: ArrowPrimitiveType>(list: &ArrayRef) -> Result<Test, Misfit> {
    let list = list.as_primitive_opt::<T>().ok_or("the values have another type")?;
    // NaN is equal to nothing, in a long list as in a short one.
    #[allow(clippy::eq_op)]
    let known = BooleanArray::from_unary(list, |value| !T::DATA_TYPE.is_floating() || value == value);
    let list = arrow::compute::filter(list, &known).map_err(|error| error.to_string())?;
    let list = list.as_primitive_opt::<T>().ok_or("the values have another type")?;
    if list.len() <= FEW {
        let few: Vec<T::Native> = list.values().to_vec();
        let floating = T::DATA_TYPE.is_floating();
        return Ok(Box::new(move |array| {
            let array = array.as_primitive_opt::<T>().ok_or_else(defect)?;
            // NaN equals nothing, and the zeros are equal.
            let same = |x: T::Native, y: T::Native| if floating { x == y } else { x.is_eq(y) };
            Ok(compare::with_one(array.values(), |x| few.iter().fold(false, |found, y| found | same(x, *y))))
        }));
    }
    let places = Places::new(&(Arc::new(list.clone()) as ArrayRef)).ok_or("it does not take such values")?;
    Ok(Box::new(move |array| {
        let found = places.find(array)?;
        Ok(BooleanBuffer::collect_bool(found.len(), |row| found[row] >= 0))
    }))
}

/// Where in a list a value stands first, found by its bytes.
struct Places {
    of: HashMap<Box<[u8]>, i32>,
    null: i32,
}

impl Places {
    fn new(list: &ArrayRef) -> Option<Places> {
        let mut places = Places { of: HashMap::with_capacity(list.len()), null: -1 };
        let mut at = 0;
        let done = each(list, &mut |bytes| {
            match bytes {
                Some(bytes) => {
                    places.of.entry(bytes.into()).or_insert(at);
                }
                None if places.null < 0 => places.null = at,
                None => {}
            }
            at += 1;
        });
        done.then_some(places)
    }

    /// The place of each value, -1 where it is not in the list.
    fn find(&self, array: &ArrayRef) -> Result<Vec<i32>, Failure> {
        let mut found = Vec::with_capacity(array.len());
        let done = each(array, &mut |bytes| {
            found.push(match bytes {
                Some(bytes) => self.of.get(bytes).copied().unwrap_or(-1),
                None => self.null,
            });
        });
        if done { Ok(found) } else { Err(defect()) }
    }
}

/// The bytes of each value, nothing for null; false where there is no way to have them. Equal values have equal bytes, and
/// NaN has none that are found.
fn each(array: &ArrayRef, take: &mut dyn FnMut(Option<&[u8]>)) -> bool {
    fn of_primitive<T: ArrowPrimitiveType>(array: &ArrayRef, take: &mut dyn FnMut(Option<&[u8]>)) -> bool {
        let Some(array) = array.as_primitive_opt::<T>() else { return false };
        let floating = T::DATA_TYPE.is_floating();
        for value in array {
            match value {
                // -0.0 as 0.0.
                Some(value) if floating && value == T::Native::ZERO => take(Some([T::Native::ZERO].to_byte_slice())),
                #[allow(clippy::eq_op)]
                Some(value) if floating && value != value => take(Some(&[])),
                Some(value) => take(Some([value].to_byte_slice())),
                None => take(None),
            }
        }
        true
    }
    macro_rules! primitive {
        ($t:ty) => {
            of_primitive::<$t>(array, take)
        };
    }
    arrow::array::downcast_primitive! {
        array.data_type() => (primitive),
        DataType::Boolean => {
            array.as_boolean().iter().for_each(|value| take(value.map(|value| if value { &[1_u8][..] } else { &[0] })));
            true
        }
        DataType::Utf8 => {
            array.as_string::<i32>().iter().for_each(|value| take(value.map(str::as_bytes)));
            true
        }
        DataType::LargeUtf8 => {
            array.as_string::<i64>().iter().for_each(|value| take(value.map(str::as_bytes)));
            true
        }
        DataType::Utf8View => {
            array.as_string_view().iter().for_each(|value| take(value.map(str::as_bytes)));
            true
        }
        DataType::Binary => {
            array.as_binary::<i32>().iter().for_each(take);
            true
        }
        DataType::LargeBinary => {
            array.as_binary::<i64>().iter().for_each(take);
            true
        }
        DataType::Null => {
            (0..array.len()).for_each(|_| take(None));
            true
        }
        _ => false
    }
}

/// Plans some values for others.
pub(super) fn replace(pairs: &[(Value, Value)], of: &Known) -> Result<Planned, Misfit> {
    let (from_type, from) = gathered(pairs.iter().map(|(from, _)| from), of, &[])?;
    let (to_type, to) = gathered(pairs.iter().map(|(_, to)| to), of, &[Known::of(&from_type)])?;
    if is_text(&to_type) && !is_text(&of.data_type) {
        return Err(format!("{} cannot be replaced by text: cast it first", of.data_type));
    }
    // What is looked for has to be of the type that comes out, for one column has one type.
    let from = arrow::compute::cast(&from, &to_type).map_err(|error| error.to_string())?;
    let places = Places::new(&from).ok_or_else(|| format!("it does not take {to_type}"))?;
    let kernel = move |array: &ArrayRef| -> Outcome {
        let found = places.find(array)?;
        if found.iter().all(|place| *place < 0) {
            return Ok(array.clone());
        }
        let mask = BooleanBuffer::collect_bool(found.len(), |row| found[row] >= 0);
        let places: Int32Array = found.iter().map(|place| (*place >= 0).then_some(*place)).collect();
        let taken = take(&to, &places, None)?;
        choose::select(&mask, &Operand::Rows(taken), &Operand::Rows(array.clone()))
    };
    Ok(Planned::unary(to_type.clone(), to_type, kernel).lenient())
}
