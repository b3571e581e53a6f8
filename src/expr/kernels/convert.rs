//! Casts.

use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::DataType;

use super::super::types::{Known, cast_can_fail, is_number, is_text};
use super::{Failure, Misfit, Planned};

/// Plans a cast.
pub(in super::super) fn plan(of: &Known, to: &DataType, lossy: bool) -> Result<Planned, Misfit> {
    let from = of.data_type.clone();
    if !can_cast_types(&from, to) {
        return Err(format!("there is no cast from {from} to {to}"));
    }
    let options = CastOptions { safe: lossy, ..CastOptions::default() };
    let what = match (&from, to) {
        (from, to) if is_text(from) => format!("cannot be read as {to}"),
        (from, to) if is_number(from) && is_number(to) => format!("does not fit into {to}"),
        (_, to) => format!("cannot be {to}"),
    };
    let wanted = to.clone();
    let planned = Planned::unary(to.clone(), from.clone(), move |array| {
        cast_with_options(array, &wanted, &options).map_err(|_| Failure::Row(what.clone()))
    });
    Ok(match lossy {
        true => planned.lenient(),
        false if cast_can_fail(&from, to) => planned.failing(),
        false => planned,
    })
}
