//! Users' functions in expressions.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringArray, StringBuilder,
};
use arrow::datatypes::*;

use super::{Expr, Function};
use crate::error::{Error, ErrorKind, Result};

type Closure = dyn Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync;

/// A user's function of whole columns of a batch. It is opaque: no two are equal, but the same one twice.
#[derive(Clone)]
pub struct UserFunction {
    name: Arc<str>,
    id: u64,
    /// The types its operands are brought to, where it says so.
    takes: Option<Arc<[DataType]>>,
    gives: DataType,
    closure: Arc<Closure>,
}

impl UserFunction {
    fn new(
        name: &str,
        takes: Option<Arc<[DataType]>>,
        gives: DataType,
        closure: impl Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> UserFunction {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        UserFunction { name: name.into(), id, takes, gives, closure: Arc::new(closure) }
    }

    /// As it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of what it gives.
    pub fn data_type(&self) -> &DataType {
        &self.gives
    }

    pub(super) fn takes(&self) -> Option<&[DataType]> {
        self.takes.as_deref()
    }

    /// What tells it from others of its name in this process.
    pub(super) fn identity(&self) -> String {
        format!("#{}", self.id)
    }

    /// One value for each row, of the promised type.
    pub(super) fn call(&self, args: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let array = (self.closure)(args)?;
        if array.len() != rows {
            let text = format!("`{}` gave {} values for {rows} rows", self.name, array.len());
            return Err(Error::new(ErrorKind::Task, text));
        }
        if array.data_type() != &self.gives {
            let text = format!("`{}` gave {} where it promised {}", self.name, array.data_type(), self.gives);
            return Err(Error::new(ErrorKind::Task, text));
        }
        Ok(array)
    }
}

impl PartialEq for UserFunction {
    fn eq(&self, other: &UserFunction) -> bool {
        self.id == other.id
    }
}

impl Eq for UserFunction {}

impl Hash for UserFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl fmt::Debug for UserFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.identity())
    }
}

/// A function of whole columns of a batch: it is given arrays of equal length, and gives one as long, of the type it
/// promises. A plan may call it with any cut of the rows, and more than once.
///
/// ```
/// use chunkwise::expr::map_arrays;
/// use chunkwise::prelude::*;
///
/// let length = map_arrays("length", [col("name")], DataType::Int32, |arrays| {
///     arrow::compute::kernels::length::length(&arrays[0])
/// });
/// assert!(length.to_string().starts_with("length(name, #"));
/// ```
pub fn map_arrays<E, X>(
    name: &str,
    exprs: impl IntoIterator<Item = E>,
    output: DataType,
    function: impl Fn(&[ArrayRef]) -> Result<ArrayRef, X> + Send + Sync + 'static,
) -> Expr
where
    E: Into<Expr>,
    X: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let function = UserFunction::new(name, None, output, move |arrays| function(arrays).map_err(Error::from_user));
    Expr::Call(Function::User(function), exprs.into_iter().map(E::into).collect())
}

impl Expr {
    /// A user's function of the whole column; [`map_arrays`] for several.
    #[must_use]
    pub fn map_arrays<X>(
        self,
        name: &str,
        output: DataType,
        function: impl Fn(&[ArrayRef]) -> Result<ArrayRef, X> + Send + Sync + 'static,
    ) -> Expr
    where
        X: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        map_arrays(name, [self], output, function)
    }

    /// A user's function of each value that is not null; null stays null.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let steep = col("slope").map("steep", |slope: f64| slope.abs() > 0.3);
    /// assert!(steep.to_string().starts_with("steep(slope, #"));
    /// ```
    #[must_use]
    pub fn map<A: MapInput, B: MapOutput>(self, name: &str, function: impl Fn(A) -> B + Send + Sync + 'static) -> Expr {
        let takes: Arc<[DataType]> = [A::data_type()].into();
        let function = UserFunction::new(name, Some(takes), B::data_type(), move |arrays| {
            let rows = arrays[0].len();
            let read = A::reader(arrays[0].as_ref())?;
            Ok(B::collect((0..rows).map(|row| read(row).map(&function)), rows))
        });
        self.call(Function::User(function))
    }

    /// A user's function of each text that is not null; null stays null.
    #[must_use]
    pub fn map_text<B: MapOutput>(self, name: &str, function: impl Fn(&str) -> B + Send + Sync + 'static) -> Expr {
        let takes: Arc<[DataType]> = [DataType::Utf8].into();
        let function = UserFunction::new(name, Some(takes), B::data_type(), move |arrays| {
            let texts = text_of(arrays[0].as_ref())?;
            Ok(B::collect(texts.iter().map(|text| text.map(&function)), texts.len()))
        });
        self.call(Function::User(function))
    }
}

/// What the function of [`Expr::map`] can take: numbers, truth values, text.
pub trait MapInput: Sized {
    /// The type of the column that holds such values.
    fn data_type() -> DataType;

    /// Reads the value of a row; nothing where it is null.
    ///
    /// # Errors
    /// Of kind `Internal`, where the array is of another type.
    fn reader(array: &dyn Array) -> Result<impl Fn(usize) -> Option<Self> + '_>;
}

/// What the function of [`Expr::map`] can give: numbers, truth values, text, and all of these as an `Option`.
pub trait MapOutput: Sized {
    /// The type of the column that holds such values.
    fn data_type() -> DataType;

    /// The column of these values.
    fn collect(values: impl Iterator<Item = Option<Self>>, rows: usize) -> ArrayRef;
}

macro_rules! numbers {
    ($($native:ty => $arrow:ty;)+) => {$(
        impl MapInput for $native {
            fn data_type() -> DataType {
                <$arrow>::DATA_TYPE
            }

            fn reader(array: &dyn Array) -> Result<impl Fn(usize) -> Option<Self> + '_> {
                let array = array.as_primitive_opt::<$arrow>().ok_or_else(wrong_type)?;
                Ok(|row| array.is_valid(row).then(|| array.value(row)))
            }
        }

        impl MapOutput for $native {
            fn data_type() -> DataType {
                <$arrow>::DATA_TYPE
            }

            fn collect(values: impl Iterator<Item = Option<Self>>, _: usize) -> ArrayRef {
                Arc::new(values.collect::<PrimitiveArray<$arrow>>())
            }
        }
    )+};
}

numbers! {
    i8 => Int8Type;
    i16 => Int16Type;
    i32 => Int32Type;
    i64 => Int64Type;
    u8 => UInt8Type;
    u16 => UInt16Type;
    u32 => UInt32Type;
    u64 => UInt64Type;
    f32 => Float32Type;
    f64 => Float64Type;
}

impl MapInput for bool {
    fn data_type() -> DataType {
        DataType::Boolean
    }

    fn reader(array: &dyn Array) -> Result<impl Fn(usize) -> Option<Self> + '_> {
        let array = array.as_boolean_opt().ok_or_else(wrong_type)?;
        Ok(|row| array.is_valid(row).then(|| array.value(row)))
    }
}

impl MapOutput for bool {
    fn data_type() -> DataType {
        DataType::Boolean
    }

    fn collect(values: impl Iterator<Item = Option<Self>>, _: usize) -> ArrayRef {
        Arc::new(values.collect::<BooleanArray>())
    }
}

impl MapInput for String {
    fn data_type() -> DataType {
        DataType::Utf8
    }

    fn reader(array: &dyn Array) -> Result<impl Fn(usize) -> Option<Self> + '_> {
        let array = text_of(array)?;
        Ok(|row| array.is_valid(row).then(|| array.value(row).to_string()))
    }
}

impl MapOutput for String {
    fn data_type() -> DataType {
        DataType::Utf8
    }

    fn collect(values: impl Iterator<Item = Option<Self>>, rows: usize) -> ArrayRef {
        let mut builder = StringBuilder::with_capacity(rows, 0);
        values.for_each(|value| builder.append_option(value));
        Arc::new(builder.finish())
    }
}

impl<T: MapOutput> MapOutput for Option<T> {
    fn data_type() -> DataType {
        T::data_type()
    }

    fn collect(values: impl Iterator<Item = Option<Self>>, rows: usize) -> ArrayRef {
        T::collect(values.map(Option::flatten), rows)
    }
}

fn text_of(array: &dyn Array) -> Result<&StringArray> {
    array.as_string_opt::<i32>().ok_or_else(wrong_type)
}

fn wrong_type() -> Error {
    Error::internal("a user's function is given another type than it takes")
}
