//! Rows as values of Rust, through serde: `from_records`, `to_records`, `map_rows`.
//!
//! A value is a struct with named fields, a column each, or a tuple, whose fields stand for columns in their order.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_arrow::schema::{SchemaLike, TracingOptions};

use super::create::memory;
use super::plan::{Frame, Op, UserMap, nullable};
use super::{DataFrame, Table, kernels};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::expr::{Expr, col};
use crate::origin::Origin;

/// A table of values in memory, in one partition. Types of columns are those of the fields: `Option` is a null, `Vec` a list, an
/// enum without data a text.
///
/// # Errors
/// At compute: of kind `Plan`, where the columns do not follow from the type alone (dates that serde writes as text, say): say them with
/// [`from_records_with`].
///
/// ```
/// use chunkwise::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Sale {
///     shop: String,
///     amount: Option<f64>,
/// }
///
/// let sales = [Sale { shop: "north".into(), amount: Some(2.5) }, Sale { shop: "south".into(), amount: None }];
/// let df = dataframe::from_records(&sales);
/// assert_eq!(df.compute()?.to_string(), "shop   amount\n-----  ------\nnorth     2.5\nsouth    null\n");
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn from_records<T: Serialize + DeserializeOwned>(records: &[T]) -> DataFrame {
    let origin = Origin::caller();
    from_rows(schema_of::<T>(), records, "from_records", origin)
}

/// As [`from_records`], with the columns said: a date or a time may be a text in serde, or a number.
///
/// # Errors
/// At compute, of kind `Data`, where a value does not fit its column.
#[track_caller]
pub fn from_records_with<T: Serialize>(schema: impl Into<SchemaRef>, records: &[T]) -> DataFrame {
    from_rows(Ok(nullable(schema.into())), records, "from_records_with", Origin::caller())
}

fn from_rows<T: Serialize>(schema: Result<SchemaRef>, records: &[T], verb: &'static str, origin: Origin) -> DataFrame {
    match schema.and_then(|schema| to_batch(&schema, records)) {
        Ok(batch) => memory(vec![batch], 1, verb, origin),
        Err(error) => DataFrame::of(Err(error.frame(Role::In, verb, origin))),
    }
}

/// The columns of a type.
///
/// # Errors
/// Of kind `Plan`, where they do not follow from it.
pub(crate) fn schema_of<T: DeserializeOwned>() -> Result<SchemaRef> {
    let fields = traced::<T>().map_err(|error| {
        let text = format!("the columns of `{}` are not clear: {}", std::any::type_name::<T>(), Told::of(&error).what);
        Error::new(ErrorKind::Plan, text)
    })?;
    let nullable = |field: &FieldRef| Field::clone(field).with_nullable(true);
    Ok(Arc::new(Schema::new(fields.iter().map(nullable).collect::<Vec<Field>>())))
}

/// The fields of a type as it tells them.
fn traced<T: DeserializeOwned>() -> Result<Vec<FieldRef>, serde_arrow::Error> {
    let options = TracingOptions::new()
        .strings_as_large_utf8(false)
        .sequence_as_large_list(false)
        .map_as_struct(false)
        .enums_without_data_as_strings(true);
    Vec::<FieldRef>::from_type::<T>(options)
}

/// Values as a batch with these columns.
///
/// # Errors
/// Of kind `Data`, where a value does not fit.
pub(crate) fn to_batch<T: Serialize>(schema: &SchemaRef, records: &[T]) -> Result<RecordBatch> {
    if schema.fields().is_empty() {
        return Err(Error::new(ErrorKind::Plan, format!("`{}` has no fields", std::any::type_name::<T>())));
    }
    let made = serde_arrow::to_record_batch(schema.fields(), &records);
    let made = made.map_err(|error| {
        let fits = |count: usize| serde_arrow::to_record_batch(schema.fields(), &&records[..count]).is_ok();
        let row = first_failing(records.len(), fits);
        let told = match serde_arrow::to_record_batch(schema.fields(), &&records[row..records.len().min(row + 1)]) {
            Err(error) => Told::of(&error),
            Ok(_) => Told::of(&error),
        };
        let typed = told.column.as_deref().and_then(|name| schema.field_with_name(name.split('.').next()?).ok());
        let column = match (&told.column, typed) {
            (Some(name), Some(field)) => format!("column `{name}`, a {}: ", field.data_type()),
            (Some(name), None) => format!("column `{name}`: "),
            _ => String::new(),
        };
        let name = std::any::type_name::<T>();
        Error::at_row(row as u64, format_args!("a `{name}` does not fit its columns: {column}{}", told.what))
    })?;
    kernels::batch_of(schema, made.columns().to_vec(), made.num_rows())
}

/// Reads rows of batches as values of a type.
pub(crate) struct Reader<T> {
    /// The fields of the type, where it tells them.
    fields: Vec<FieldRef>,
    /// What the columns of a tuple, which are numbered, are called in the table.
    names: HashMap<String, String>,
    made: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Reader<T> {
    /// Of the columns that [`columns_for`] gave.
    pub fn new(columns: &[Expr]) -> Reader<T> {
        let named = |expr: &Expr| match expr {
            Expr::Alias(of, name) => Some((name.to_string(), of.output_name().to_string())),
            _ => None,
        };
        let names = columns.iter().filter_map(named).collect();
        Reader { fields: traced::<T>().unwrap_or_default(), names, made: PhantomData }
    }

    /// The rows of a batch as values. Numbers are widened: an integer may be read as a float.
    ///
    /// # Errors
    /// Of kind `Data`, naming the row, where it does not fit.
    pub fn read(&self, batch: &RecordBatch) -> Result<Vec<T>> {
        let batch = self.widened(batch)?;
        serde_arrow::from_record_batch(&batch).map_err(|error| self.error(&batch, &error))
    }

    /// The batch with the types that the fields have, where those are wider.
    fn widened(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut changed = false;
        let wanted = |field: &FieldRef| {
            let wanted = self.fields.iter().find(|wanted| wanted.name() == field.name())?;
            wider(field.data_type(), wanted.data_type())
        };
        let arrays =
            batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, array)| match wanted(field) {
                Some(to) => {
                    changed = true;
                    cast(array, &to).map_err(kernels::failed)
                }
                None => Ok(array.clone()),
            });
        let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
        match changed {
            // It takes the types that the arrays have.
            true => kernels::batch_of(batch.schema_ref(), arrays, batch.num_rows()),
            false => Ok(batch.clone()),
        }
    }

    /// What is wrong with the first row that is.
    fn error(&self, batch: &RecordBatch, error: &serde_arrow::Error) -> Error {
        let read = |from: usize, count: usize| serde_arrow::from_record_batch::<Vec<T>>(&batch.slice(from, count));
        let row = first_failing(batch.num_rows(), |count| read(0, count).is_ok());
        let told = match read(row, 1.min(batch.num_rows() - row)) {
            Err(error) => Told::of(&error),
            Ok(_) => Told::of(error),
        };
        let name = std::any::type_name::<T>();
        Error::at_row(row as u64, format_args!("no `{name}`: {}", self.why(batch, row, told)))
    }

    fn called<'a>(&'a self, name: &'a str) -> &'a str {
        self.names.get(name).map_or(name, String::as_str)
    }

    fn why(&self, batch: &RecordBatch, row: usize, told: Told) -> String {
        let field_of = |name: &str| self.fields.iter().find(|field| field.name() == name);
        let nulls = batch.schema_ref().fields().iter().zip(batch.columns()).find_map(|(field, array)| {
            let wanted = field_of(field.name())?;
            let is_null = row < array.len() && array.is_null(row) && !wanted.is_nullable();
            is_null.then_some((field, wanted))
        });
        if let Some((field, wanted)) = nulls {
            let (name, to) = (self.called(field.name()), wanted.data_type());
            return format!(
                "column `{name}` is null, and the field is a {to} without an Option: fill_null or drop_nulls"
            );
        }
        let Some(column) = told.column else { return told.what };
        let top = column.split('.').next().unwrap_or_default();
        let found = batch.schema_ref().field_with_name(top).ok();
        let column = format!("{}{}", self.called(top), &column[top.len()..]);
        match (found, field_of(top)) {
            (Some(found), Some(wanted)) if found.data_type().is_integer() && wanted.data_type().is_integer() => {
                let value = batch.column_by_name(top).and_then(|array| array_value_to_string(array, row).ok());
                let value = value.map_or_else(String::new, |value| format!(", {value},"));
                format!("column `{column}`{value} does not fit into {}", wanted.data_type())
            }
            (Some(found), Some(wanted)) if found.data_type() != wanted.data_type() => {
                let (found, wanted) = (found.data_type(), wanted.data_type());
                format!("column `{column}` is a {found}, and the field a {wanted}: cast the column")
            }
            (Some(found), _) => format!("column `{column}`, a {}: {}", found.data_type(), told.what),
            (None, _) => format!("column `{column}`: {}", told.what),
        }
    }
}

/// The type of a field that holds all values of a column's, where only numbers are wider.
fn wider(found: &DataType, wanted: &DataType) -> Option<DataType> {
    match (found, wanted) {
        (from, DataType::Float64) if from.is_numeric() && *from != DataType::Float64 => Some(DataType::Float64),
        (
            DataType::Float16 | DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16,
            DataType::Float32,
        ) => Some(DataType::Float32),
        (DataType::List(of), DataType::List(to) | DataType::LargeList(to)) => {
            let item = wider(of.data_type(), to.data_type())?;
            Some(DataType::List(Arc::new(Field::clone(of).with_data_type(item))))
        }
        _ => None,
    }
}

/// The first of so many rows that does not fit: found by halving, for it is rare.
fn first_failing(rows: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut fine, mut failing) = (0, rows);
    while failing - fine > 1 {
        let middle = fine + (failing - fine) / 2;
        if fits(middle) { fine = middle } else { failing = middle }
    }
    fine
}

/// What serde_arrow says of an error.
struct Told {
    what: String,
    /// In which column, and where inside of it.
    column: Option<String>,
}

impl Told {
    fn of(error: &serde_arrow::Error) -> Told {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let mut what = line.strip_prefix("Error: ").unwrap_or(line);
        let mut column = None;
        // Behind the message stand its own words for types and places.
        if let Some((message, notes)) = what.rsplit_once(" (").filter(|(_, notes)| notes.contains(": \"")) {
            what = message;
            let place = notes.split("field: \"$.").nth(1).and_then(|rest| rest.split('"').next());
            column = place.filter(|place| !place.is_empty()).map(str::to_string);
        }
        let what = match what.trim_start_matches("Error: ").trim_end_matches('.') {
            text if text.contains("out of range integral type") => "the number does not fit",
            text => text,
        };
        Told { what: what.to_string(), column }
    }
}

/// The columns of a table that a type reads, under the names that it reads them by.
///
/// # Errors
/// Of kind `Plan`, where there are none of these names.
pub(crate) fn columns_for<T: DeserializeOwned>(table: &Schema) -> Result<Vec<Expr>> {
    let all = || table.fields().iter().map(|field| col(field.name())).collect();
    // Of a type that does not tell its fields everything is given.
    let Ok(fields) = schema_of::<T>() else { return Ok(all()) };
    let fields = fields.fields();
    let is_tuple = !fields.is_empty() && fields.iter().enumerate().all(|(at, field)| *field.name() == at.to_string());
    if is_tuple && table.index_of("0").is_err() {
        if fields.len() != table.fields().len() {
            let text = format!(
                "`{}` has {} fields, and the table {} columns: select as many",
                std::any::type_name::<T>(),
                fields.len(),
                table.fields().len()
            );
            return Err(Error::new(ErrorKind::Plan, text));
        }
        let named = |(at, field): (usize, &FieldRef)| col(field.name()).alias(&at.to_string());
        return Ok(table.fields().iter().enumerate().map(named).collect());
    }
    // One that may be absent reads nothing where it is.
    let wanted = fields.iter().filter(|field| table.index_of(field.name()).is_ok());
    let wanted: Vec<Expr> = wanted.map(|field| col(field.name())).collect();
    Ok(if wanted.is_empty() { all() } else { wanted })
}

impl Table {
    /// The rows as values: structs with fields called as columns are, or tuples of all columns in their order.
    ///
    /// # Errors
    /// Of kind `Data`, where a row does not fit: a null where there is no `Option`, say.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let df = dataframe::from_columns([("k", vec![1i64, 2]), ("v", vec![10, 20])]);
    /// let pairs: Vec<(i64, i64)> = df.compute()?.to_records()?;
    /// assert_eq!(pairs, [(1, 10), (2, 20)]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    pub fn to_records<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        let columns = columns_for::<T>(self.schema())?;
        let mut all = Vec::with_capacity(self.num_rows());
        let reader = Reader::<T>::new(&columns);
        for batch in self.select(columns)?.batches() {
            let before = all.len() as u64;
            let read = reader.read(batch).map_err(|error| error.placed(|row| format!("row {}", before + row)));
            all.extend(read?);
        }
        Ok(all)
    }
}

impl DataFrame {
    /// What a function makes of each row. A row is a struct whose fields are called as columns are (others are not read), or a tuple of
    /// all columns in their order; so is what it is made to. A function of columns at once is faster by far: see
    /// [`DataFrame::with_columns`] and [`DataFrame::map_batches`].
    ///
    /// # Errors
    /// At compute: of kind `Plan`, where the columns of the result do not follow from its type; of kind `Data`, where a row does not fit.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Product {
    ///     c: f64,
    /// }
    ///
    /// let df = dataframe::from_columns([("a", vec![1.0, 2.0]), ("b", vec![3.0, 4.0])]);
    /// let made = df.map_rows(|(a, b): (f64, f64)| Product { c: a * b });
    /// assert_eq!(made.compute()?.to_string(), "  c\n---\n3.0\n8.0\n");
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map_rows<I, O>(&self, function: impl Fn(I) -> O + Send + Sync + 'static) -> DataFrame
    where
        I: DeserializeOwned + 'static,
        O: Serialize + DeserializeOwned + 'static,
    {
        let origin = Origin::caller();
        mapped(self, move |row: I| Ok(function(row)), "map_rows", origin)
    }

    /// As [`DataFrame::map_rows`], with a function that can fail.
    ///
    /// # Errors
    /// At compute: what the function returns too.
    #[track_caller]
    pub fn try_map_rows<I, O>(&self, function: impl Fn(I) -> Result<O> + Send + Sync + 'static) -> DataFrame
    where
        I: DeserializeOwned + 'static,
        O: Serialize + DeserializeOwned + 'static,
    {
        mapped(self, function, "try_map_rows", Origin::caller())
    }
}

fn mapped<I, O>(
    df: &DataFrame,
    function: impl Fn(I) -> Result<O> + Send + Sync + 'static,
    verb: &'static str,
    origin: Origin,
) -> DataFrame
where
    I: DeserializeOwned + 'static,
    O: Serialize + DeserializeOwned + 'static,
{
    df.derive(verb, origin, |frame| {
        let schema = schema_of::<O>()?;
        let columns = columns_for::<I>(&frame.schema)?;
        let reader = Reader::<I>::new(&columns);
        let read = Frame::new(Op::Select(columns), &[frame], verb, origin)?;
        let own = schema.clone();
        let call = move |batch: RecordBatch| {
            let made = reader.read(&batch)?.into_iter().map(&function).collect::<Result<Vec<O>>>()?;
            to_batch(&own, &made)
        };
        let map = UserMap { function: Arc::new(call), schema, whole: false };
        Frame::new(Op::Map(map), &[&read], verb, origin)
    })
}
