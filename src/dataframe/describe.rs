//! Number, mean, standard deviation, least and greatest value of columns: one aggregate for each column, whose lists become rows. Five
//! aggregates for each would make plans of wide tables five times as large. What is kept of the rows is what the verbs of these names keep.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use arrow::datatypes::DataType;

use super::Frame;
use super::plan::Op;
use super::reduce::{fitting, reduced};
use crate::error::Result;
use crate::expr::{Aggregate, AggregateFunction, Expr, Lookup, UserState, built_in_aggregate, numeric};
use crate::origin::Origin;

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
        AggregateFunction::summarized().iter().for_each(|function| list.values().append_value(function.name()));
        list.append(true);
        Ok(Arc::new(list.finish()))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// A row for each of the statistics.
pub(super) fn described(frame: &Frame, origin: Origin) -> Result<Frame> {
    let columns = fitting(numeric(), "numbers", frame)?;
    let mut statistic = "statistic".to_string();
    while columns.iter().any(|column| *column.output_name() == *statistic) {
        statistic.push('_');
    }
    let names = built_in_aggregate("statistics", [], DataType::new_list(DataType::Utf8, true), || Box::new(Names));
    let fields = Lookup::new(&frame.schema);
    let own = columns.iter().map(|column| {
        let function = AggregateFunction::Summary;
        // Of decimals that are this wide there are no sums.
        let wide = column.type_in(&fields).is_ok_and(|of| matches!(of, DataType::Decimal256(..)));
        let values = if wide { column.clone().cast(DataType::Float64) } else { column.clone() };
        let summary = Expr::Aggregate(Arc::new(Aggregate { function, args: vec![values], filter: None }));
        summary.alias(&column.output_name())
    });
    let outputs = std::iter::once(names.alias(&statistic)).chain(own).collect();
    let all = reduced(frame, outputs, "describe", origin)?;
    let lists = all.schema.fields().iter().map(|field| field.name().clone()).collect();
    Frame::new(Op::Explode(lists), &[&all], "describe", origin)
}
