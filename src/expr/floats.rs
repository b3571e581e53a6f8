//! Floats with one zero and one NaN, also inside of lists and structs: what compares by bits finds them equal then.

use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, ArrowPrimitiveType, AsArray, make_array};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use arrow::error::ArrowError;

use super::has_type;

/// The values with one zero and one NaN, the greatest of all; the array itself where there are no floats in it.
pub fn one_zero(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    macro_rules! leaf {
        ($kind:ty) => {{
            type Native = <$kind as ArrowPrimitiveType>::Native;
            let one = |value: Native| match value.is_nan() {
                true => Native::NAN,
                // Of the two zeros together the sum is the one without a sign.
                false => value + Native::default(),
            };
            Ok(Arc::new(array.as_primitive::<$kind>().unary::<_, $kind>(one)))
        }};
    }
    match array.data_type() {
        DataType::Float16 => leaf!(Float16Type),
        DataType::Float32 => leaf!(Float32Type),
        DataType::Float64 => leaf!(Float64Type),
        nested if has_type(nested, DataType::is_floating) => Ok(make_array(inside(array.to_data())?)),
        _ => Ok(array.clone()),
    }
}

/// The same array over other children.
fn inside(data: ArrayData) -> Result<ArrayData, ArrowError> {
    let children = data.child_data().iter().map(|child| Ok(one_zero(&make_array(child.clone()))?.to_data()));
    let children = children.collect::<Result<Vec<ArrayData>, ArrowError>>()?;
    data.into_builder().child_data(children).build()
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        DictionaryArray, FixedSizeListArray, Float64Array, Int8Array, Int64Array, LargeListArray, ListArray, MapArray,
        StringArray, StructArray,
    };
    use arrow::buffer::{NullBuffer, OffsetBuffer};
    use arrow::compute::cast;
    use arrow::datatypes::{Field, Int8Type};

    use super::*;

    /// The bits of all floats in an array.
    fn bits(data: &ArrayData, found: &mut Vec<u64>) {
        let array = make_array(data.clone());
        match array.data_type() {
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                let wide = cast(&array, &DataType::Float64).unwrap();
                found.extend(wide.as_primitive::<Float64Type>().iter().map(|value| value.map_or(7, f64::to_bits)));
            }
            _ => data.child_data().iter().for_each(|child| bits(child, found)),
        }
    }

    #[test]
    fn at_any_depth() {
        let floats = Float64Array::from(vec![Some(9.0), Some(0.0), Some(-0.0), None, Some(f64::NAN), Some(-f64::NAN)]);
        for data_type in [DataType::Float64, DataType::Float32, DataType::Float16] {
            let wide: ArrayRef = Arc::new(floats.clone());
            let leaf = cast(&wide, &data_type).unwrap();
            let item = |array: &ArrayRef| Arc::new(Field::new_list_field(array.data_type().clone(), true));
            let text: ArrayRef = Arc::new(StringArray::from(vec!["a"; 6]));
            let one_each = OffsetBuffer::<i32>::from_lengths([1; 6]);
            let nulls = Some(NullBuffer::from(vec![true, true, true, true, true, false]));
            let list: ArrayRef = Arc::new(ListArray::new(item(&leaf), one_each.clone(), leaf.clone(), nulls.clone()));
            let large = LargeListArray::new(item(&leaf), OffsetBuffer::from_lengths([1; 6]), leaf.clone(), None);
            let fixed = FixedSizeListArray::new(item(&leaf), 1, leaf.clone(), None);
            let of_lists = StructArray::new(
                vec![Field::new("t", DataType::Utf8, true), Field::new("l", list.data_type().clone(), true)].into(),
                vec![text, list.clone()],
                nulls,
            );
            let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..6));
            let entries = StructArray::new(
                vec![Field::new("k", DataType::Int64, false), Field::new("v", data_type.clone(), true)].into(),
                vec![keys, leaf.clone()],
                None,
            );
            let entry = Arc::new(Field::new("entries", entries.data_type().clone(), false));
            let map = MapArray::new(entry, one_each, entries, None, false);
            let coded = DictionaryArray::<Int8Type>::new(Int8Array::from_iter_values(0..6), leaf.clone());
            let nested: Vec<ArrayRef> =
                vec![leaf, list, Arc::new(large), Arc::new(fixed), Arc::new(of_lists), Arc::new(map), Arc::new(coded)];
            for array in nested {
                for array in [array.clone(), array.slice(1, 5)] {
                    let one = one_zero(&array).unwrap();
                    assert_eq!((one.data_type(), one.len()), (array.data_type(), array.len()));
                    assert_eq!(one.nulls(), array.nulls());
                    let mut found = Vec::new();
                    bits(&one.to_data(), &mut found);
                    let nan = f64::NAN.to_bits();
                    let wanted = [9f64.to_bits(), 0, 0, 7, nan, nan];
                    assert_eq!(found, wanted[6 - found.len()..], "{}", array.data_type());
                }
            }
        }
    }

    #[test]
    fn without_floats_it_is_the_same_array() {
        let array: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        assert!(Arc::ptr_eq(&one_zero(&array).unwrap(), &array));
    }
}
