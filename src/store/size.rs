//! How much heap memory a value of a well-known type holds.

use std::any::Any;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, GenericByteViewArray, RecordBatch, RunArray};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowNativeType, BinaryViewType, ByteViewType, DataType, Int16Type, Int32Type, Int64Type, RunEndIndexType,
    StringViewType, UnionMode,
};
use hashbrown::HashSet;
use ndarray::{Array as NdArray, Ix0, Ix1, Ix2, Ix3, Ix4, Ix5, Ix6, IxDyn};

use crate::store::Block;

/// Rows of a batch: 16 Ki values of 8 bytes are 128 KiB, so some columns and what is computed of them stay in a
/// second-level cache.
pub const BATCH_ROWS: usize = 16 << 10;

/// Memory of a column of a batch beside its values: the array itself, and the handles of its buffers. In few rows of many columns it is
/// more than the values.
pub const ARRAY_BYTES: u64 = 256;

/// Whether values of a type have no heap memory of their own: what needs no drop owns none.
pub(crate) fn is_even<T>() -> bool {
    !std::mem::needs_drop::<T>()
}

/// The heap bytes of a value, `None` where its type is not known here.
///
/// The comparisons are of constants: in an optimized build each instance keeps the one line that applies.
pub(crate) fn heap_bytes<T: Any>(value: &T) -> Option<u64> {
    if is_even::<T>() {
        return Some(0);
    }
    let value: &dyn Any = value;
    macro_rules! known {
        ($($kind:ty => $size:expr;)+) => {
            $(if let Some(value) = value.downcast_ref::<$kind>() {
                let size: fn(&$kind) -> u64 = $size;
                return Some(size(value));
            })+
        };
    }
    macro_rules! known_vectors {
        ($($prim:ty)+) => {$(known! {
            Vec<$prim> => vec_bytes;
            Vec<Vec<$prim>> => |outer| vec_bytes(outer) + outer.iter().map(vec_bytes).sum::<u64>();
        })+};
    }
    macro_rules! known_numbers {
        ($($prim:ty)+) => {$(known! {
            Block<$prim> => Block::bytes;
            Vec<Block<$prim>> => |outer| vec_bytes(outer) + outer.iter().map(Block::bytes).sum::<u64>();
            NdArray<$prim, Ix0> => array_bytes;
            NdArray<$prim, Ix1> => array_bytes;
            NdArray<$prim, Ix2> => array_bytes;
            NdArray<$prim, Ix3> => array_bytes;
            NdArray<$prim, Ix4> => array_bytes;
            NdArray<$prim, Ix5> => array_bytes;
            NdArray<$prim, Ix6> => array_bytes;
            NdArray<$prim, IxDyn> => array_bytes;
        })+};
    }
    known! {
        String => |text| text.capacity() as u64;
        Vec<String> => |outer| vec_bytes(outer) + outer.iter().map(|text| text.capacity() as u64).sum::<u64>();
        RecordBatch => |batch| batches_bytes(std::slice::from_ref(batch));
        Vec<RecordBatch> => |batches| vec_bytes(batches) + batches_bytes(batches);
        ArrayRef => |array| { let mut counted = Buffers::default(); counted.add_array(array); counted.bytes };
    }
    known_vectors! { u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 usize isize f32 f64 bool char }
    known_numbers! { u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 f32 f64 }
    None
}

fn vec_bytes<T>(vec: &Vec<T>) -> u64 {
    (vec.capacity() * size_of::<T>()) as u64
}

fn array_bytes<A, D: ndarray::Dimension>(array: &NdArray<A, D>) -> u64 {
    // An array does not tell its capacity; the elements it shows are what it was made for.
    (array.len() * size_of::<A>()) as u64
}

/// The memory held by a list of batches: the arrays, and each distinct buffer once, whole, however many look into it.
fn batches_bytes(batches: &[RecordBatch]) -> u64 {
    let mut counted = Buffers::default();
    for batch in batches {
        counted.bytes += batch.num_columns() as u64 * ARRAY_BYTES;
        for column in batch.columns() {
            counted.add_array(column);
        }
    }
    counted.bytes
}

/// The memory that the rows of an array take, however much larger the buffers are that it looks into; the values of a dictionary
/// count whole.
pub fn shown_bytes(array: &dyn Array) -> u64 {
    bytes_of(array, 0, array.len(), true)
}

/// What a row of an array takes where it is copied into another one; the values of a dictionary are not.
pub fn row_bytes(array: &dyn Array, row: usize) -> u64 {
    bytes_of(array, row, 1, false)
}

/// The most that a row of an array takes where it is copied into another one.
pub fn largest_row(array: &dyn Array) -> u64 {
    fn longest<T: ArrowNativeType>(offsets: &[T]) -> u64 {
        let lengths = offsets.windows(2).map(|ends| ends[1].as_usize() - ends[0].as_usize());
        (lengths.max().unwrap_or(0) + size_of::<T>()) as u64
    }
    fn longest_view<T: ByteViewType + ?Sized>(array: &GenericByteViewArray<T>) -> u64 {
        16 + u64::from(array.lengths().max().unwrap_or(0))
    }
    let own = match array.data_type() {
        DataType::Utf8 => longest(array.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => longest(array.as_string::<i64>().value_offsets()),
        DataType::Binary => longest(array.as_binary::<i32>().value_offsets()),
        DataType::LargeBinary => longest(array.as_binary::<i64>().value_offsets()),
        DataType::Utf8View => longest_view(array.as_string_view()),
        DataType::BinaryView => longest_view(array.as_binary_view()),
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| largest_row(column)).sum(),
        // Runs of text are not nested, and as different as text.
        other if matches!(other, DataType::RunEndEncoded(..)) || other.is_nested() && !is_dictionary(other) => {
            (0..array.len()).map(|row| row_bytes(array, row)).max().unwrap_or(0)
        }
        // As large as any other.
        _ if array.is_empty() => 0,
        _ => row_bytes(array, 0),
    };
    own + u64::from(array.nulls().is_some())
}

fn is_dictionary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(..))
}

/// The memory that some rows of an array take; with the values of dictionaries or without.
fn bytes_of(array: &dyn Array, start: usize, len: usize, values: bool) -> u64 {
    fn between<T: ArrowNativeType>(offsets: &[T], start: usize, len: usize) -> (usize, usize) {
        let from = offsets[start].as_usize();
        (from, offsets[start + len].as_usize() - from)
    }
    fn views<T: ByteViewType + ?Sized>(array: &GenericByteViewArray<T>, start: usize, len: usize) -> u64 {
        // Short ones are in the view.
        let long = array.lengths().skip(start).take(len).filter(|length| *length > 12).map(u64::from);
        16 * len as u64 + long.sum::<u64>()
    }
    /// Of rows that may lie anywhere in a child, several of them perhaps at one place.
    fn spread<T: ArrowNativeType>(child: &dyn Array, sizes: &[T], values: bool) -> u64 {
        let rows = sizes.iter().map(|size| size.as_usize()).sum::<usize>().min(child.len());
        2 * std::mem::size_of_val(sizes) as u64 + share(child, rows, values)
    }
    /// Of some rows of an array, wherever they lie.
    fn share(array: &dyn Array, rows: usize, values: bool) -> u64 {
        let all = bytes_of(array, 0, array.len(), values);
        (u128::from(all) * rows as u128 / array.len().max(1) as u128) as u64
    }
    if len == 0 {
        return 0;
    }
    let rows = len as u64;
    let valid = array.nulls().map_or(0, |_| rows.div_ceil(8));
    macro_rules! text {
        ($array:expr, $offset:ty) => {
            between($array.value_offsets(), start, len).1 as u64 + size_of::<$offset>() as u64 * rows
        };
    }
    macro_rules! list {
        ($array:expr, $child:expr, $offset:ty) => {{
            let (from, count) = between($array.value_offsets(), start, len);
            bytes_of($child, from, count, values) + size_of::<$offset>() as u64 * rows
        }};
    }
    let own = match array.data_type() {
        DataType::Null => 0,
        DataType::Boolean => rows.div_ceil(8),
        DataType::Utf8 => text!(array.as_string::<i32>(), i32),
        DataType::LargeUtf8 => text!(array.as_string::<i64>(), i64),
        DataType::Binary => text!(array.as_binary::<i32>(), i32),
        DataType::LargeBinary => text!(array.as_binary::<i64>(), i64),
        DataType::Utf8View => views::<StringViewType>(array.as_string_view(), start, len),
        DataType::BinaryView => views::<BinaryViewType>(array.as_binary_view(), start, len),
        DataType::FixedSizeBinary(width) => width.as_usize() as u64 * rows,
        DataType::List(_) => list!(array.as_list::<i32>(), array.as_list::<i32>().values(), i32),
        DataType::LargeList(_) => list!(array.as_list::<i64>(), array.as_list::<i64>().values(), i64),
        DataType::Map(..) => list!(array.as_map(), array.as_map().entries(), i32),
        DataType::ListView(_) => {
            let list = array.as_list_view::<i32>();
            spread(list.values(), &list.value_sizes()[start..start + len], values)
        }
        DataType::LargeListView(_) => {
            let list = array.as_list_view::<i64>();
            spread(list.values(), &list.value_sizes()[start..start + len], values)
        }
        DataType::FixedSizeList(_, width) => {
            let width = width.as_usize();
            bytes_of(array.as_fixed_size_list().values(), start * width, len * width, values)
        }
        DataType::Struct(_) => {
            array.as_struct().columns().iter().map(|column| bytes_of(column, start, len, values)).sum()
        }
        DataType::Dictionary(key, _) => {
            let held = array.as_any_dictionary().values();
            let held = if values { bytes_of(held, 0, held.len(), true) } else { 0 };
            key.primitive_width().unwrap_or(0) as u64 * rows + held
        }
        DataType::RunEndEncoded(ends, _) => {
            fn runs<T: RunEndIndexType>(array: &dyn Array, start: usize, len: usize, values: bool) -> u64 {
                let Some(runs) = array.as_any().downcast_ref::<RunArray<T>>() else { return 0 };
                let from = runs.get_physical_index(start);
                let count = runs.get_physical_index(start + len - 1) + 1 - from;
                (size_of::<T::Native>() * count) as u64 + bytes_of(runs.values(), from, count, values)
            }
            match ends.data_type() {
                DataType::Int16 => runs::<Int16Type>(array, start, len, values),
                DataType::Int32 => runs::<Int32Type>(array, start, len, values),
                _ => runs::<Int64Type>(array, start, len, values),
            }
        }
        DataType::Union(fields, UnionMode::Sparse) => {
            let array = array.as_union();
            rows + fields.iter().map(|(id, _)| bytes_of(array.child(id), start, len, values)).sum::<u64>()
        }
        DataType::Union(fields, UnionMode::Dense) => {
            let array = array.as_union();
            let ids: &ScalarBuffer<i8> = array.type_ids();
            let of = |id: i8| ids[start..start + len].iter().filter(|own| **own == id).count();
            5 * rows + fields.iter().map(|(id, _)| share(array.child(id), of(id), values)).sum::<u64>()
        }
        other => other.primitive_width().unwrap_or(0) as u64 * rows,
    };
    own + valid
}

#[derive(Default)]
struct Buffers {
    seen: HashSet<usize, foldhash::fast::FixedState>,
    bytes: u64,
}

impl Buffers {
    fn add_array(&mut self, array: &ArrayRef) {
        self.add_data(&array.to_data());
    }

    fn add_data(&mut self, data: &ArrayData) {
        for buffer in data.buffers() {
            self.add(buffer);
        }
        if let Some(nulls) = data.nulls() {
            self.add(nulls.buffer());
        }
        for child in data.child_data() {
            self.add_data(child);
        }
    }

    fn add(&mut self, buffer: &Buffer) {
        if self.seen.insert(buffer.data_ptr().as_ptr() as usize) {
            // A buffer that somebody else allocated reports no capacity; what is seen of it is all that is known.
            self.bytes += buffer.capacity().max(buffer.len()) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray, Int64Array, ListArray,
        MapBuilder, NullArray, StringArray, StringBuilder, StructArray, UnionArray,
    };
    use arrow::compute::cast;
    use arrow::datatypes::{Field, Int8Type, UnionFields};

    use super::*;

    #[test]
    fn well_known_types() {
        assert_eq!(heap_bytes(&(1u64, 2f64)), Some(0));
        assert_eq!(heap_bytes(&String::with_capacity(10)), Some(10));
        assert_eq!(heap_bytes(&Vec::<u32>::with_capacity(10)), Some(40));
        assert_eq!(heap_bytes(&vec![vec![1.0f64; 2], vec![]]), Some(48 + 16));
        assert_eq!(heap_bytes(&vec!["abc".to_string()]), Some(24 + 3));
        assert_eq!(heap_bytes(&NdArray::<f32, _>::zeros((3, 4))), Some(48));
        assert_eq!(heap_bytes(&NdArray::<u8, _>::zeros(IxDyn(&[3, 4]))), Some(12));
        assert_eq!(heap_bytes(&Block::from_vec(vec![0u128; 3]).slice(1..2)), Some(16));
        assert_eq!(heap_bytes(&Arc::new(1)), None);
    }

    #[test]
    fn a_shared_buffer_counts_once() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4)]));
        let batch = |array: &ArrayRef| RecordBatch::try_from_iter([("a", array.clone())]).unwrap();
        let column = ARRAY_BYTES;
        let one = heap_bytes(&batch(&numbers)).unwrap() - column;
        assert!((32 + 1..=256).contains(&one), "{one}");
        // Two views into the same buffers pin them whole, and both together pin no more.
        assert_eq!(heap_bytes(&batch(&numbers.slice(1, 2))).unwrap() - column, one);
        let both = vec![batch(&numbers.slice(0, 2)), batch(&numbers.slice(2, 2))];
        assert_eq!(heap_bytes(&both).unwrap(), one + 2 * column + 2 * size_of::<RecordBatch>() as u64);
        let text: ArrayRef = Arc::new(StringArray::from(vec!["some text"; 100]));
        assert!(heap_bytes(&batch(&text)).unwrap() >= 900 + 404);
    }

    /// One array of each type.
    fn every_type(rows: usize) -> Vec<ArrayRef> {
        let numbers: ArrayRef = Arc::new((0..rows as i64).map(|n| (n % 7 != 0).then_some(n)).collect::<Int64Array>());
        let text = StringArray::from_iter((0..rows).map(|n| (n % 5 != 0).then(|| "x".repeat(n % 40))));
        let text: ArrayRef = Arc::new(text);
        let lists = (0..rows).map(|n| (n % 6 != 0).then(|| (0..n % 9).map(|n| Some(n as i64)).collect::<Vec<_>>()));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let item = |array: &ArrayRef| Arc::new(Field::new_list_field(array.data_type().clone(), true));
        let twice = arrow::compute::concat(&[&text, &text]).unwrap();
        let pairs: ArrayRef = Arc::new(FixedSizeListArray::new(item(&text), 2, twice, None));
        let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        for row in 0..rows {
            // What stands at a null is not copied.
            for n in 0..if row % 3 == 0 { 0 } else { row % 4 } {
                map.keys().append_value("k".repeat(n + 1));
                map.values().append_value("some text");
            }
            map.append(row % 3 != 0).unwrap();
        }
        let fields = |arrays: &[&ArrayRef]| {
            let fields =
                arrays.iter().enumerate().map(|(at, array)| item(array).as_ref().clone().with_name(format!("{at}")));
            fields.collect::<Vec<_>>()
        };
        let both: ArrayRef =
            Arc::new(StructArray::new(fields(&[&text, &lists]).into(), vec![text.clone(), lists.clone()], None));
        let ids: Vec<i8> = (0..rows).map(|n| (n % 2) as i8).collect();
        let union = |offsets: Option<Vec<i32>>| -> ArrayRef {
            let fields = UnionFields::try_new([0, 1], fields(&[&numbers, &numbers])).unwrap();
            let children = vec![numbers.clone(), numbers.clone()];
            Arc::new(UnionArray::try_new(fields, ids.clone().into(), offsets.map(Into::into), children).unwrap())
        };
        let ends = |n: usize| i32::try_from(3 * n + 3).unwrap().min(rows as i32);
        let ends = arrow::array::Int32Array::from_iter_values((0..rows.div_ceil(3)).map(ends));
        let runs = RunArray::<Int32Type>::try_new(&ends, &text.slice(0, rows.div_ceil(3))).unwrap();
        let cast_to = |array: &ArrayRef, to: DataType| cast(array, &to).unwrap();
        vec![
            Arc::new(NullArray::new(rows)),
            Arc::new(BooleanArray::from(vec![Some(true); rows])),
            Arc::new(FixedSizeBinaryArray::try_from_iter((0..rows).map(|_| [1u8; 5])).unwrap()),
            Arc::new(BinaryArray::from_iter_values((0..rows).map(|n| vec![1u8; n % 9]))),
            cast_to(&numbers, DataType::Decimal128(20, 0)),
            cast_to(&text, DataType::LargeUtf8),
            cast_to(&text, DataType::LargeBinary),
            cast_to(&text, DataType::Utf8View),
            cast_to(&text, DataType::BinaryView),
            cast_to(&lists, DataType::LargeList(item(&numbers))),
            cast_to(&lists, DataType::ListView(item(&numbers))),
            Arc::new(ListArray::new(
                item(&both),
                lists.as_list::<i32>().offsets().clone(),
                {
                    arrow::compute::take(
                        &both,
                        &arrow::array::UInt32Array::from_iter_values(
                            (0..lists.as_list::<i32>().values().len()).map(|n| (n % rows) as u32),
                        ),
                        None,
                    )
                    .unwrap()
                },
                None,
            )),
            Arc::new(map.finish()),
            union(None),
            union(Some((0..rows as i32).collect())),
            Arc::new(runs),
            numbers,
            text,
            lists,
            pairs,
            both,
        ]
    }

    #[test]
    fn slices_show_together_what_the_whole_shows() {
        for array in every_type(4000) {
            let whole = shown_bytes(&array);
            let kind = array.data_type();
            // No more than is there, and the most of it.
            let there = array.get_buffer_memory_size() as u64;
            assert!(whole <= there + 64, "{kind}: {whole} of {there}");
            for width in [1000usize, 250] {
                let slices: Vec<ArrayRef> = (0..4000).step_by(width).map(|at| array.slice(at, width)).collect();
                let sum: u64 = slices.iter().map(|slice| shown_bytes(slice)).sum();
                // A view may lie anywhere: of its text an average is taken.
                let vague = if matches!(kind, DataType::ListView(_)) { whole / 20 } else { 0 };
                let apart = whole.abs_diff(sum);
                assert!(apart <= vague + 100 * slices.len() as u64, "{kind}: {whole} as {sum}");
                // What a slice shows is what a copy of it holds.
                let rows = arrow::array::UInt32Array::from_iter_values(0..width as u32);
                if !matches!(kind, DataType::Union(..) | DataType::ListView(_)) {
                    let copy = arrow::compute::take(&slices[1], &rows, None).unwrap();
                    assert!(shown_bytes(&copy).abs_diff(shown_bytes(&slices[1])) <= 200, "{kind}");
                }
            }
            let largest = largest_row(&array);
            assert_eq!(largest, (0..4000).map(|row| row_bytes(&array, row)).fold(largest, u64::max), "{kind}");
            assert!(4000 * largest + 4000 >= whole, "{kind}: {largest}");
        }
    }

    #[test]
    fn values_of_a_dictionary_count_once_for_each_slice_and_not_for_a_row() {
        let values = vec!["a".repeat(1000), "b".repeat(1000)];
        let keys = arrow::array::Int8Array::from_iter_values((0..100).map(|n| n % 2));
        let array = DictionaryArray::<Int8Type>::new(keys, Arc::new(StringArray::from(values)));
        assert_eq!(shown_bytes(&array), 100 + 2008);
        assert_eq!(shown_bytes(&array.slice(3, 10)), 10 + 2008);
        assert_eq!((row_bytes(&array, 1), largest_row(&array)), (1, 1));
    }
}
