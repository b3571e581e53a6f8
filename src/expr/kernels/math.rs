//! Functions of numbers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::*;

use super::super::types::{Known, common, is_decimal, is_number};
use super::super::{BinaryOp, Expr, MathFunction as M};
use super::arithmetic::{Integer, checked, floats, in_place, overflows, with_integers};
use super::{Misfit, Outcome, Planned, compare, defect};

/// Plans a function of numbers.
pub(super) fn plan(function: M, args: &[Known], _: &[Expr]) -> Result<Planned, Misfit> {
    let takes = if matches!(function, M::Pow | M::Log | M::Atan2 | M::Hypot) { 2 } else { 1 };
    if args.len() != takes {
        return Err(format!("it takes {takes} operands, not {}", args.len()));
    }
    if let Some(other) = args.iter().find(|arg| !is_number(&arg.data_type) && arg.data_type != DataType::Null) {
        return Err(format!("it takes numbers, not {}", other.data_type));
    }
    if function == M::Pow
        && let Some(planned) = integer_power(&args[0], &args[1])
    {
        return Ok(planned);
    }
    if let [left, right] = args {
        let single = common(left, right) == Some(DataType::Float32);
        return Ok(if single { binary::<Float32Type>(function) } else { binary::<Float64Type>(function) });
    }
    let of = &args[0].data_type;
    match function {
        M::Abs | M::Sign | M::Floor | M::Ceil | M::Trunc | M::Round(_) if of.is_integer() => {
            Ok(of_integers(function, of))
        }
        M::Abs | M::Sign | M::Floor | M::Ceil | M::Trunc | M::Round(_) if is_decimal(of) => {
            Err(format!("it does not take {of}: cast to Float64 first"))
        }
        M::IsNan | M::IsFinite | M::IsInfinite => Ok(match of {
            DataType::Float32 => test::<Float32Type>(function),
            DataType::Float64 => test::<Float64Type>(function),
            // Others are finite.
            _ => Planned::unary(DataType::Boolean, of.clone(), move |array| {
                let values = if function == M::IsFinite {
                    arrow::buffer::BooleanBuffer::new_set(array.len())
                } else {
                    arrow::buffer::BooleanBuffer::new_unset(array.len())
                };
                Ok(Arc::new(BooleanArray::new(values, array.logical_nulls())))
            }),
        }),
        _ => Ok(match of {
            DataType::Float32 | DataType::Float16 => unary::<Float32Type>(function),
            _ => unary::<Float64Type>(function),
        }),
    }
}

trait Real: super::arithmetic::Float {
    fn apply(function: M) -> fn(Self) -> Self;
    fn apply2(function: M) -> fn(Self, Self) -> Self;
    fn rounded(self, factor: Self, tens: bool) -> Self;
    fn ten_to(exponent: i32) -> Self;
    fn is(function: M) -> fn(Self) -> bool;
}

macro_rules! reals {
    ($($native:ty)+) => {$(
        impl Real for $native {
            #[inline(always)]
            fn apply(function: M) -> fn(Self) -> Self {
                match function {
                    M::Abs => <$native>::abs,
                    // NaN and both zeros stay.
                    M::Sign => |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x },
                    M::Floor => <$native>::floor,
                    M::Ceil => <$native>::ceil,
                    M::Trunc => <$native>::trunc,
                    M::Sqrt => <$native>::sqrt,
                    M::Cbrt => <$native>::cbrt,
                    M::Exp => <$native>::exp,
                    M::Expm1 => <$native>::exp_m1,
                    M::Ln => <$native>::ln,
                    M::Log10 => <$native>::log10,
                    M::Log2 => <$native>::log2,
                    M::Log1p => <$native>::ln_1p,
                    M::Sin => <$native>::sin,
                    M::Cos => <$native>::cos,
                    M::Tan => <$native>::tan,
                    M::Asin => <$native>::asin,
                    M::Acos => <$native>::acos,
                    M::Atan => <$native>::atan,
                    M::Sinh => <$native>::sinh,
                    M::Cosh => <$native>::cosh,
                    M::Tanh => <$native>::tanh,
                    M::Degrees => <$native>::to_degrees,
                    M::Radians => <$native>::to_radians,
                    _ => <$native>::round_ties_even,
                }
            }

            fn apply2(function: M) -> fn(Self, Self) -> Self {
                match function {
                    M::Log => |x, base| x.ln() / base.ln(),
                    M::Atan2 => <$native>::atan2,
                    M::Hypot => <$native>::hypot,
                    _ => <$native>::powf,
                }
            }

            fn rounded(self, factor: Self, tens: bool) -> Self {
                let rounded = match tens {
                    true => (self / factor).round_ties_even() * factor,
                    false => (self * factor).round_ties_even() / factor,
                };
                // Too large to have such decimals.
                if rounded.is_finite() { rounded } else { self }
            }

            fn ten_to(exponent: i32) -> Self {
                (10.0 as $native).powi(exponent)
            }

            fn is(function: M) -> fn(Self) -> bool {
                match function {
                    M::IsNan => <$native>::is_nan,
                    M::IsFinite => <$native>::is_finite,
                    _ => <$native>::is_infinite,
                }
            }
        }
    )+};
}

reals! { f32 f64 }

fn unary<T: ArrowPrimitiveType>(function: M) -> Planned
where
    T::Native: Real,
{
    Planned::new(T::DATA_TYPE, vec![T::DATA_TYPE], move |operands, _| {
        let of = &mut operands[0];
        match function {
            // By name, so that they are inlined into the loop.
            M::Sqrt => in_place::<T>(of, |x| x.square_root()),
            M::Abs => in_place::<T>(of, |x| x.absolute()),
            M::Round(decimals) if decimals != 0 => {
                let (factor, tens) = (T::Native::ten_to(decimals.saturating_abs()), decimals < 0);
                in_place::<T>(of, |x| x.rounded(factor, tens))
            }
            function => in_place::<T>(of, T::Native::apply(function)),
        }
    })
}

/// What the processor does in one instruction.
trait Direct {
    fn square_root(self) -> Self;
    fn absolute(self) -> Self;
}

impl<R: Real> Direct for R {
    #[inline(always)]
    fn square_root(self) -> Self {
        R::apply(M::Sqrt)(self)
    }

    #[inline(always)]
    fn absolute(self) -> Self {
        R::apply(M::Abs)(self)
    }
}

fn binary<T: ArrowPrimitiveType>(function: M) -> Planned
where
    T::Native: Real,
{
    let apply = T::Native::apply2(function);
    Planned::new(T::DATA_TYPE, vec![T::DATA_TYPE; 2], move |operands, rows| floats::<T>(operands, rows, apply))
}

fn test<T: ArrowPrimitiveType>(function: M) -> Planned
where
    T::Native: Real,
{
    let is = T::Native::is(function);
    Planned::unary(DataType::Boolean, T::DATA_TYPE, move |array| {
        let array = array.as_primitive_opt::<T>().ok_or_else(defect)?;
        let values = compare::with_one(array.values(), is);
        Ok(Arc::new(BooleanArray::new(values, array.nulls().cloned())))
    })
}

fn of_integers(function: M, of: &DataType) -> Planned {
    let same = |array: &ArrayRef| -> Outcome { Ok(array.clone()) };
    match function {
        M::Floor | M::Ceil | M::Trunc | M::Round(0..) => Planned::unary(of.clone(), of.clone(), same),
        M::Abs if of.is_unsigned_integer() => Planned::unary(of.clone(), of.clone(), same),
        M::Round(decimals) => {
            let planned = with_integers!(of, T => Planned::unary(of.clone(), of.clone(), move |array| tens::<T>(array, decimals)));
            planned.map_or_else(|| Planned::unary(of.clone(), of.clone(), same), Planned::failing)
        }
        M::Sign => {
            let planned = with_integers!(of, T => Planned::new(of.clone(), vec![of.clone()], |operands, _| {
                in_place::<T>(&mut operands[0], |x| match x {
                    0 => 0,
                    x if x > 0 => 1,
                    _ => (0 as <T as ArrowPrimitiveType>::Native).wrapping_sub(1),
                })
            }));
            planned.unwrap_or_else(|| Planned::unary(of.clone(), of.clone(), same))
        }
        _ => {
            let name = of.to_string();
            let planned = with_integers!(of, T => Planned::unary(of.clone(), of.clone(), move |array| {
                let array = array.as_primitive_opt::<T>().ok_or_else(defect)?;
                let zero = <T as ArrowPrimitiveType>::Native::default();
                let done = array.try_unary::<_, T, _>(|x| if x < zero { x.neg_checked() } else { Ok(x) });
                Ok(Arc::new(done.map_err(|_| overflows(&name))?))
            }));
            planned.map_or_else(|| Planned::unary(of.clone(), of.clone(), same), Planned::failing)
        }
    }
}

/// Rounds integers to tens, hundreds, …
fn tens<T: ArrowPrimitiveType>(array: &ArrayRef, decimals: i32) -> Outcome
where
    T::Native: TryFrom<i128> + Into<i128>,
{
    let array = array.as_primitive_opt::<T>().ok_or_else(defect)?;
    let Some(factor) = 10_i128.checked_pow(decimals.unsigned_abs()) else {
        return Ok(Arc::new(array.unary::<_, T>(|_| T::Native::default())));
    };
    let done = array.try_unary::<_, T, _>(|x| {
        let x: i128 = x.into();
        let (down, rest) = (x.div_euclid(factor), x.rem_euclid(factor));
        let up = match (2 * rest).cmp(&factor) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => down % 2 != 0,
            std::cmp::Ordering::Greater => true,
        };
        T::Native::try_from((down + i128::from(up)) * factor).map_err(|_| ())
    });
    Ok(Arc::new(done.map_err(|()| overflows(&T::DATA_TYPE.to_string()))?))
}

/// An integer to a constant power that is not negative.
fn integer_power(base: &Known, exponent: &Known) -> Option<Planned> {
    let power = u32::try_from(exponent.value.as_ref()?.as_int()?).ok()?;
    let (of, name) = (base.data_type.clone(), base.data_type.to_string());
    let planned = with_integers!(&of, T => Planned::new(of.clone(), vec![of.clone(), exponent.data_type.clone()], move |operands, rows| {
        if power == 2 {
            let (left, right) = (operands[0].clone(), operands[0].clone());
            return checked::<T>(&[left, right], &name, |x, y| x.checked(BinaryOp::Mul, y));
        }
        let array = operands[0].to_rows(rows)?;
        let array: &PrimitiveArray<T> = array.as_primitive_opt::<T>().ok_or_else(defect)?;
        let done = array.try_unary::<_, T, _>(|x| x.checked_pow(power).ok_or(()));
        Ok(Arc::new(done.map_err(|()| overflows(&name))?))
    }));
    planned.map(Planned::failing)
}
