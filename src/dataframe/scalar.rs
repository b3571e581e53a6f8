//! One value of a table that is not there yet.

use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};

use super::plan::Frame;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::Value;
use crate::plan::{NodeRef, Poisoned, Request, Sink};
use crate::runtime::Computable;

/// The only value of a table of one row, such as a mean; computed it is a [`Value`], or, after [`Scalar::as_`], a number of Rust.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let df = dataframe::from_columns([("x", vec![1.0, 2.0, 6.0])]);
/// let mean = df.col("x").mean();
/// assert_eq!(mean.as_::<f64>().compute()?, 3.0);
/// let centred = &df.col("x") - &mean;
/// assert_eq!(centred.max().as_::<Option<f64>>().compute()?, Some(3.0));
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a Scalar does nothing until it is computed"]
pub struct Scalar {
    pub(super) state: Result<Frame>,
    pub(super) label: std::sync::Arc<str>,
}

impl Scalar {
    pub(super) fn new(state: Result<Frame>, label: std::sync::Arc<str>) -> Scalar {
        Scalar { state, label }
    }

    /// Its type.
    ///
    /// # Errors
    /// Of the first verb that was wrong.
    pub fn data_type(&self) -> Result<DataType> {
        let frame = self.state.as_ref().map_err(Error::clone)?;
        let field = frame.schema.fields().first();
        field.map(|field| field.data_type().clone()).ok_or_else(|| Error::internal("a value without a column"))
    }

    /// The node of the plan; of a wrong one, one that gives its error.
    pub(crate) fn node(&self) -> NodeRef {
        match &self.state {
            Ok(frame) => frame.node.clone(),
            Err(error) => Poisoned::node(error.clone()),
        }
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            Ok(_) => write!(f, "Scalar: {}", self.label),
            Err(error) => write!(f, "Scalar: {error}"),
        }
    }
}

impl Computable for Scalar {
    type Output = Value;
    type Pending = std::sync::Arc<super::compute::Partitions>;

    fn request(&self, request: &mut Request) -> Self::Pending {
        let schema = self.state.as_ref().map(|frame| frame.schema.clone());
        let schema = schema.unwrap_or_else(|_| std::sync::Arc::new(arrow::datatypes::Schema::empty()));
        let pending = std::sync::Arc::new(super::compute::Partitions::new(schema));
        let sink: std::sync::Arc<dyn Sink> = pending.clone();
        request.want_all(&self.node(), sink);
        pending
    }

    fn finish(pending: Self::Pending) -> Result<Value> {
        let table = pending.table()?;
        let found = table.batches().first().and_then(|batch| batch.columns().first().cloned());
        Ok(found.map_or(Value::Null, |array| Value::from_array(&array.slice(0, 1))))
    }
}

/// What a [`Scalar`] can be as a value of Rust.
pub trait FromScalar: Sized + Clone + Send + Sync + 'static {
    /// Of an array of one value.
    ///
    /// # Errors
    /// Of kind `Data`, where the value does not fit.
    fn from_scalar(array: &ArrayRef) -> Result<Self>;
}

impl<T: FromScalar> FromScalar for Option<T> {
    fn from_scalar(array: &ArrayRef) -> Result<Option<T>> {
        if array.is_null(0) || *array.data_type() == DataType::Null {
            Ok(None)
        } else {
            T::from_scalar(array).map(Some)
        }
    }
}

fn brought(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let wrong = || Error::new(ErrorKind::Data, format!("a {} cannot be read as a {to}", array.data_type()));
    let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
    arrow::compute::cast_with_options(array, to, &options).map_err(|_| wrong())
}

fn there(array: &ArrayRef, to: &str) -> Result<()> {
    if array.is_null(0) {
        return Err(Error::new(ErrorKind::Data, format!("null is no {to}: ask for an Option<{to}>")));
    }
    Ok(())
}

impl FromScalar for f64 {
    fn from_scalar(array: &ArrayRef) -> Result<f64> {
        if array.is_null(0) || *array.data_type() == DataType::Null {
            return Ok(f64::NAN);
        }
        Ok(brought(array, &DataType::Float64)?.as_primitive::<Float64Type>().value(0))
    }
}

impl FromScalar for i64 {
    fn from_scalar(array: &ArrayRef) -> Result<i64> {
        there(array, "i64")?;
        Ok(brought(array, &DataType::Int64)?.as_primitive::<Int64Type>().value(0))
    }
}

impl FromScalar for u64 {
    fn from_scalar(array: &ArrayRef) -> Result<u64> {
        there(array, "u64")?;
        Ok(brought(array, &DataType::UInt64)?.as_primitive::<UInt64Type>().value(0))
    }
}

impl FromScalar for bool {
    fn from_scalar(array: &ArrayRef) -> Result<bool> {
        there(array, "bool")?;
        Ok(brought(array, &DataType::Boolean)?.as_boolean().value(0))
    }
}

impl FromScalar for String {
    fn from_scalar(array: &ArrayRef) -> Result<String> {
        there(array, "String")?;
        Ok(cast(array, &DataType::Utf8).map_err(super::kernels::failed)?.as_string::<i32>().value(0).to_string())
    }
}
