//! How the types of two operands mix: NumPy's table.

use num_complex::Complex;

use super::element::Element;

/// The types that two operands of different types give.
///
/// An integer and a float give a float that holds both, signed and unsigned integers the next larger signed one, `i64` with `u64` gives
/// `f64`.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let whole: Array<i32, _> = array::from_vec(vec![7, 8], 2);
/// let half: Array<f64, _> = &whole / &whole.cast::<u8>(); // integers divided are floats
/// assert_eq!(half.compute()?, ndarray::arr1(&[1.0, 1.0]));
/// # Ok::<(), chunkwise::Error>(())
/// ```
pub trait Promote<B: Element>: Element {
    /// Of sums, products and what else keeps the kind.
    type Output: Element;
    /// Of a division: of integers a float.
    type Quotient: Element;
}

macro_rules! promote {
    ($($a:ty { $($b:ty => $output:ty, $quotient:ty;)+ })+) => {$($(
        impl Promote<$b> for $a {
            type Output = $output;
            type Quotient = $quotient;
        }
    )+)+};
}

// By numpy.result_type and numpy.true_divide, row by row.
promote! {
    bool {
        bool => bool, f64;
        i8 => i8, f64;
        i16 => i16, f64;
        i32 => i32, f64;
        i64 => i64, f64;
        u8 => u8, f64;
        u16 => u16, f64;
        u32 => u32, f64;
        u64 => u64, f64;
        f32 => f32, f32;
        f64 => f64, f64;
        Complex<f32> => Complex<f32>, Complex<f32>;
        Complex<f64> => Complex<f64>, Complex<f64>;
    }
    i8 {
        bool => i8, f64;
        i8 => i8, f64;
        i16 => i16, f64;
        i32 => i32, f64;
        i64 => i64, f64;
        u8 => i16, f64;
        u16 => i32, f64;
        u32 => i64, f64;
        u64 => f64, f64;
        f32 => f32, f32;
        f64 => f64, f64;
        Complex<f32> => Complex<f32>, Complex<f32>;
        Complex<f64> => Complex<f64>, Complex<f64>;
    }
    i16 {
        bool => i16, f64;
        i8 => i16, f64;
        i16 => i16, f64;
        i32 => i32, f64;
        i64 => i64, f64;
        u8 => i16, f64;
        u16 => i32, f64;
        u32 => i64, f64;
        u64 => f64, f64;
        f32 => f32, f32;
        f64 => f64, f64;
        Complex<f32> => Complex<f32>, Complex<f32>;
        Complex<f64> => Complex<f64>, Complex<f64>;
    }
    i32 {
        bool => i32, f64;
        i8 => i32, f64;
        i16 => i32, f64;
        i32 => i32, f64;
        i64 => i64, f64;
        u8 => i32, f64;
        u16 => i32, f64;
        u32 => i64, f64;
        u64 => f64, f64;
        f32 => f64, f64;
        f64 => f64, f64;
        Complex<f32> => Complex<f64>, Complex<f64>;
        Complex<f64> => Complex<f64>, Complex<f64>;
    }
    i64 {
        bool => i64, f64;
        i8 => i64, f64;
        i16 => i64, f64;
        i32 => i64, f64;
        i64 => i64, f64;
        u8 => i64, f64;
        u16 => i64, f64;
        u32 => i64, f64;
        u64 => f64, f64;
        f32 => f64, f64;
        f64 => f64, f64;
        Complex<f32> => Complex<f64>, Complex<f64>;
        Complex<f64> => Complex<f64>, Complex<f64>;
    }
    u8 {
        bool => u8, f64;
        i8 => i16, f64;
        i16 => i16, f64;
        i32 => i32, f64;
        i64 => i64, f64;
        u8 => u8, f64;
        u16 => u16, f64;
        u32 => u32, f64;
        u64 => u64, f64;
        f32 => f32, f32;
        f64 => f64, f64;
        Complex<f32> => Complex<f32>, Complex<f32>;
        Complex<f64> => Complex<f64>, Complex<f64>;
    }
    u16 {
        bool => u16, f64;
        i8 => i32, f64;
        i16 => i32, f64;
        i32 => i32, f64;
        i64 => i64, f64;
        u8 => u16, f64;
        u16 => u16, f64;
        u32 => u32, f64;
        u64 => u64, f64;
        f32 => f32, f32;
        f64 => f64, f64;
        Complex<f32> => Complex<f32>, Complex<f32>;
        Complex<f64> => Complex<f64>, Complex<f64>;
    }
    u32 {
        bool => u32, f64;
        i8 => i64, f64;
        i16 => i64, f64;
        i32 => i64, f64;
        i64 => i64, f64;
        u8 => u32, f64;
        u16 => u32, f64;
        u32 => u32, f64;
        u64 => u64, f64;
        f32 => f64, f64;
        f64 => f64, f64;
        Complex<f32> => Complex<f64>, Complex<f64>;
        Complex<f64> => Complex<f64>, Complex<f64>;
    }
    u64 {
        bool => u64, f64;
        i8 => f64, f64;
        i16 => f64, f64;
        i32 => f64, f64;
        i64 => f64, f64;
        u8 => u64, f64;
        u16 => u64, f64;
        u32 => u64, f64;
        u64 => u64, f64;
        f32 => f64, f64;
        f64 => f64, f64;
        Complex<f32> => Complex<f64>, Complex<f64>;
        Complex<f64> => Complex<f64>, Complex<f64>;
    }
    f32 {
        bool => f32, f32;
        i8 => f32, f32;
        i16 => f32, f32;
        i32 => f64, f64;
        i64 => f64, f64;
        u8 => f32, f32;
        u16 => f32, f32;
        u32 => f64, f64;
        u64 => f64, f64;
        f32 => f32, f32;
        f64 => f64, f64;
        Complex<f32> => Complex<f32>, Complex<f32>;
        Complex<f64> => Complex<f64>, Complex<f64>;
    }
    f64 {
        bool => f64, f64;
        i8 => f64, f64;
        i16 => f64, f64;
        i32 => f64, f64;
        i64 => f64, f64;
        u8 => f64, f64;
        u16 => f64, f64;
        u32 => f64, f64;
        u64 => f64, f64;
        f32 => f64, f64;
        f64 => f64, f64;
        Complex<f32> => Complex<f64>, Complex<f64>;
        Complex<f64> => Complex<f64>, Complex<f64>;
    }
    Complex<f32> {
        bool => Complex<f32>, Complex<f32>;
        i8 => Complex<f32>, Complex<f32>;
        i16 => Complex<f32>, Complex<f32>;
        i32 => Complex<f64>, Complex<f64>;
        i64 => Complex<f64>, Complex<f64>;
        u8 => Complex<f32>, Complex<f32>;
        u16 => Complex<f32>, Complex<f32>;
        u32 => Complex<f64>, Complex<f64>;
        u64 => Complex<f64>, Complex<f64>;
        f32 => Complex<f32>, Complex<f32>;
        f64 => Complex<f64>, Complex<f64>;
        Complex<f32> => Complex<f32>, Complex<f32>;
        Complex<f64> => Complex<f64>, Complex<f64>;
    }
    Complex<f64> {
        bool => Complex<f64>, Complex<f64>;
        i8 => Complex<f64>, Complex<f64>;
        i16 => Complex<f64>, Complex<f64>;
        i32 => Complex<f64>, Complex<f64>;
        i64 => Complex<f64>, Complex<f64>;
        u8 => Complex<f64>, Complex<f64>;
        u16 => Complex<f64>, Complex<f64>;
        u32 => Complex<f64>, Complex<f64>;
        u64 => Complex<f64>, Complex<f64>;
        f32 => Complex<f64>, Complex<f64>;
        f64 => Complex<f64>, Complex<f64>;
        Complex<f32> => Complex<f64>, Complex<f64>;
        Complex<f64> => Complex<f64>, Complex<f64>;
    }
}
