//! How much heap memory a value of a well-known type holds.

use std::any::Any;

use arrow::array::{Array, ArrayData, ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use hashbrown::HashSet;
use ndarray::{Array as NdArray, Ix0, Ix1, Ix2, Ix3, Ix4, Ix5, Ix6, IxDyn};

use crate::store::Block;

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

/// The memory held by a list of batches: each distinct buffer once, whole, however many arrays look into it.
fn batches_bytes(batches: &[RecordBatch]) -> u64 {
    let mut counted = Buffers::default();
    for batch in batches {
        counted.bytes += (batch.num_columns() * size_of::<ArrayRef>()) as u64;
        for column in batch.columns() {
            counted.add_array(column);
        }
    }
    counted.bytes
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

    use arrow::array::{Int64Array, StringArray};

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
        let column = size_of::<ArrayRef>() as u64;
        let one = heap_bytes(&batch(&numbers)).unwrap() - column;
        assert!((32 + 1..=256).contains(&one), "{one}");
        // Two views into the same buffers pin them whole, and both together pin no more.
        assert_eq!(heap_bytes(&batch(&numbers.slice(1, 2))).unwrap() - column, one);
        let both = vec![batch(&numbers.slice(0, 2)), batch(&numbers.slice(2, 2))];
        assert_eq!(heap_bytes(&both).unwrap(), one + 2 * column + 2 * size_of::<RecordBatch>() as u64);
        let text: ArrayRef = Arc::new(StringArray::from(vec!["some text"; 100]));
        assert!(heap_bytes(&batch(&text)).unwrap() >= 900 + 404);
    }
}
