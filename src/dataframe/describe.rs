//! Number, mean, standard deviation, least and greatest value of columns: one aggregate for each column, whose lists become rows. Five
//! aggregates for each would make plans of wide tables five times as large.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Builder, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, Float64Type};

use super::Frame;
use super::plan::Op;
use super::reduce::reduced;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{UserState, built_in_aggregate, numeric};
use crate::origin::Origin;

/// What is told of each column, in this order.
const STATISTICS: [&str; 5] = ["count", "mean", "std", "min", "max"];

/// The values of a column so far. Means and squares are merged as in Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm
/// for computing sample variances" (1979).
#[derive(Clone, Copy)]
struct Summary {
    count: f64,
    mean: f64,
    squares: f64,
    least: f64,
    greatest: f64,
}

impl Summary {
    const EMPTY: Summary = Summary { count: 0.0, mean: 0.0, squares: 0.0, least: f64::NAN, greatest: f64::NAN };

    fn of(values: impl Iterator<Item = f64> + Clone) -> Summary {
        let mut summary = Summary::EMPTY;
        let mut sum = 0.0;
        for value in values.clone() {
            summary.count += 1.0;
            sum += value;
            // NaN is passed over, unless there is nothing else.
            summary.least = summary.least.min(value);
            summary.greatest = summary.greatest.max(value);
        }
        if summary.count > 0.0 {
            summary.mean = sum / summary.count;
            summary.squares = values.map(|value| (value - summary.mean) * (value - summary.mean)).sum();
        }
        summary
    }

    fn add(&mut self, other: &Summary) {
        if other.count == 0.0 {
            return;
        }
        if self.count == 0.0 {
            *self = *other;
            return;
        }
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        self.mean += apart * (other.count / count);
        self.squares += other.squares + apart * apart * (self.count * other.count / count);
        self.count = count;
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
    }
}

impl UserState for Summary {
    fn update(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values.first().and_then(|array| array.as_primitive_opt::<Float64Type>());
        let values = values.ok_or_else(|| Error::internal("a column that is described is none of floats"))?;
        let of = match values.null_count() {
            0 => Summary::of(values.values().iter().copied()),
            _ => Summary::of(values.iter().flatten()),
        };
        self.add(&of);
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn UserState>) -> Result<()> {
        let other = other.into_any().downcast::<Summary>();
        self.add(&*other.map_err(|_| Error::internal("a summary is put together with another value"))?);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<ArrayRef> {
        let mut list = ListBuilder::new(Float64Builder::new());
        let any = self.count > 0.0;
        list.values().append_value(self.count);
        list.values().append_option(any.then_some(self.mean));
        list.values().append_option((self.count > 1.0).then(|| (self.squares / (self.count - 1.0)).sqrt()));
        list.values().append_option(any.then_some(self.least));
        list.values().append_option(any.then_some(self.greatest));
        list.append(true);
        Ok(Arc::new(list.finish()))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// The names of what is told, whatever the rows are.
struct Names;

impl UserState for Names {
    fn update(&mut self, _: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    fn merge(&mut self, _: Box<dyn UserState>) -> Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<ArrayRef> {
        let mut list = ListBuilder::new(StringBuilder::new());
        STATISTICS.iter().for_each(|name| list.values().append_value(name));
        list.append(true);
        Ok(Arc::new(list.finish()))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// A row for each of the statistics.
pub(super) fn described(frame: &Frame, origin: Origin) -> Result<Frame> {
    let columns = numeric().expand(&frame.schema)?;
    if columns.is_empty() {
        return Err(Error::new(ErrorKind::Plan, "there are no columns of numbers"));
    }
    let mut statistic = "statistic".to_string();
    while columns.iter().any(|column| *column.output_name() == *statistic) {
        statistic.push('_');
    }
    let names = built_in_aggregate("statistics", [], list_of(DataType::Utf8), || Box::new(Names));
    let own = columns.iter().map(|column| {
        let numbers = column.clone().cast(DataType::Float64);
        let summary = || -> Box<dyn UserState> { Box::new(Summary::EMPTY) };
        built_in_aggregate("summary", [numbers], list_of(DataType::Float64), summary).alias(&column.output_name())
    });
    let outputs = std::iter::once(names.alias(&statistic)).chain(own).collect();
    let all = reduced(frame, outputs, "describe", origin)?;
    let lists = all.schema.fields().iter().map(|field| field.name().clone()).collect();
    Frame::new(Op::Explode(lists), &[&all], "describe", origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_parts_are_that_of_all() {
        let values = [1.5, -3.0, f64::NAN, 1e9, 7.25, 0.0, -0.0, 12.5];
        let whole = |values: &[f64]| Summary::of(values.iter().copied());
        for cut in 0..=values.len() {
            let (mut one, other) = (whole(&values[..cut]), whole(&values[cut..]));
            one.add(&other);
            assert_eq!((one.count, one.least, one.greatest), (8.0, -3.0, 1e9), "{cut}");
            assert!(one.mean.is_nan() && one.squares.is_nan());
        }
        let numbers = [1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0];
        let (mut one, other) = (whole(&numbers[..1]), whole(&numbers[1..]));
        one.add(&other);
        assert_eq!((one.mean, one.squares), (1e9 + 10.0, 90.0));
    }
}
