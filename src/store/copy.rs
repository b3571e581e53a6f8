//! Copies of values whose type is known here: for results that were asked for twice, where the type cannot say by itself
//! that it can be cloned.

use std::any::{Any, TypeId};

use arrow::array::{ArrayRef, RecordBatch};
use ndarray::{Array as NdArray, Ix0, Ix1, Ix2, Ix3, Ix4, Ix5, Ix6, IxDyn};

use crate::store::Block;

/// The types that are known; each use is told all of them.
///
/// The comparisons are of constants: in an optimized build each instance keeps the one line that applies.
macro_rules! each_known {
    ($use:ident) => {
        each_known!(@plain $use u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 usize isize f32 f64 bool char);
        each_known!(@numbers $use u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 f32 f64);
        $use!(());
        $use!(&'static str);
        $use!(String);
        $use!(Vec<String>);
        $use!(RecordBatch);
        $use!(Vec<RecordBatch>);
        $use!(ArrayRef);
    };
    (@plain $use:ident $($type:ty)+) => {$(
        $use!($type);
        $use!(Vec<$type>);
        $use!(Vec<Vec<$type>>);
        $use!(Option<$type>);
    )+};
    (@numbers $use:ident $($type:ty)+) => {$(
        $use!(Block<$type>);
        $use!(NdArray<$type, Ix0>);
        $use!(NdArray<$type, Ix1>);
        $use!(NdArray<$type, Ix2>);
        $use!(NdArray<$type, Ix3>);
        $use!(NdArray<$type, Ix4>);
        $use!(NdArray<$type, Ix5>);
        $use!(NdArray<$type, Ix6>);
        $use!(NdArray<$type, IxDyn>);
    )+};
}

/// Whether [`copy`] can copy values of a type.
pub(crate) fn is_known<T: Any>() -> bool {
    let wanted = TypeId::of::<T>();
    macro_rules! is {
        ($type:ty) => {
            if wanted == TypeId::of::<$type>() {
                return true;
            }
        };
    }
    each_known!(is);
    false
}

/// A clone of a value, `None` where its type is not known here.
pub(crate) fn copy<T: Any>(value: &T) -> Option<T> {
    let value: &dyn Any = value;
    let mut copied: Option<T> = None;
    let place: &mut dyn Any = &mut copied;
    macro_rules! clone {
        ($type:ty) => {
            if let (Some(value), Some(place)) = (value.downcast_ref::<$type>(), place.downcast_mut::<Option<$type>>()) {
                *place = Some(value.clone());
                return copied;
            }
        };
    }
    each_known!(clone);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_copied() {
        assert_eq!(copy(&7u64), Some(7));
        assert_eq!(copy(&"text".to_string()), Some("text".to_string()));
        assert_eq!(copy(&vec![1.5f32, 2.0]), Some(vec![1.5, 2.0]));
        assert_eq!(copy(&NdArray::from_shape_fn((2, 2), |(i, j)| i + j).mapv(|x| x as i32)).map(|a| a.sum()), Some(4));
        assert!(is_known::<Vec<String>>() && is_known::<()>());

        struct Own;
        assert!(copy(&Own).is_none() && !is_known::<Own>());
    }
}
