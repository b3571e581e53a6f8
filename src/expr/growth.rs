//! How much more than a row has is made of it.

use std::collections::HashMap;

use super::kernels::list::ListFunction;
use super::kernels::text::TextFunction;
use super::kernels::time::TimeFunction;
use super::{Expr, Function, Value};

/// The most that is made of a row: so many times the bytes of the columns that are read, and so many more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    times: u64,
    plus: u64,
}

/// A number, or what it is as text.
const NUMBER: Growth = Growth { times: 0, plus: 64 };

/// Up to so many times, and so many bytes more, the batches of rows that others make are small enough.
const MOST_TIMES: u64 = 16;
const MOST_PLUS: u64 = 512;

/// What becomes of a `%` of a format at most: `%+` is a whole date with its time and zone.
const MOST_OF_ITEM: u64 = 40;

/// How often a text says that a group of a match is to stand there.
fn groups_in(with: &str) -> u64 {
    with.matches('$').count() as u64
}

impl Growth {
    /// Of the largest value that is made while expressions are computed. What users' functions make is not known.
    pub fn of(exprs: &[Expr]) -> Growth {
        let mut most = Growth::default();
        for expr in exprs {
            let mut known: HashMap<*const Expr, Growth> = HashMap::new();
            for part in expr.parts() {
                let own = Growth::of_part(part, &known);
                most = most.max(own);
                known.insert(std::ptr::from_ref(part), own);
            }
        }
        most
    }

    /// Whether it is so much that a batch of the usual number of rows would be too large.
    pub fn is_large(self) -> bool {
        self.times > MOST_TIMES || self.plus > MOST_PLUS
    }

    /// The most bytes that are made of some rows, of which the columns that are read have so many.
    pub fn bytes(self, read: u64, rows: u64) -> u64 {
        read.saturating_mul(self.times).saturating_add(rows.saturating_mul(self.plus))
    }

    fn of_part(part: &Expr, known: &HashMap<*const Expr, Growth>) -> Growth {
        let of = |expr: &Expr| known.get(&std::ptr::from_ref(expr)).copied().unwrap_or_default();
        let operands = || part.operands().into_iter().map(of);
        let largest = || operands().fold(Growth::default(), Growth::max);
        match part {
            Expr::Column(_) | Expr::Aggregate(_) => Growth { times: 1, plus: 0 },
            Expr::Literal(Value::Text(text)) => Growth { times: 0, plus: text.len() as u64 },
            Expr::Literal(Value::Typed(array)) => {
                let bytes = array.to_data().get_slice_memory_size().unwrap_or(0);
                Growth { times: 0, plus: bytes as u64 }
            }
            Expr::Call(Function::Text(function), args) => {
                let first = args.first().map_or(Growth::default(), of);
                match function {
                    TextFunction::Repeat(times) => first.scaled(u64::from(*times)),
                    TextFunction::Pad(_, width, fill) => first.longer(u64::from(*width) * fill.len_utf8() as u64),
                    TextFunction::Zfill(width) => first.longer(u64::from(*width)),
                    TextFunction::Replace { with, literal: true, all: false, .. } => first.longer(with.len() as u64),
                    TextFunction::Replace { with, all: false, .. } => {
                        first.scaled(1 + groups_in(with)).longer(with.len() as u64)
                    }
                    TextFunction::Replace { pattern, with, literal, .. } => {
                        // A regular expression may match between any two characters, and so does an empty text.
                        let least = if *literal { pattern.len().max(1) } else { 1 };
                        let groups = if *literal { 0 } else { groups_in(with) };
                        first.scaled(1 + with.len().div_ceil(least) as u64 + groups).longer(with.len() as u64)
                    }
                    TextFunction::Concat { separator } => {
                        let between = (separator.len() * args.len().saturating_sub(1)) as u64;
                        operands().fold(Growth::default(), Growth::sum).longer(between)
                    }
                    // Each part has an offset, and letters of other cases may be longer.
                    TextFunction::Split(_) | TextFunction::ExtractAll(_) => first.scaled(5).max(NUMBER),
                    TextFunction::Lower | TextFunction::Upper | TextFunction::Title | TextFunction::Capitalize => {
                        first.scaled(3)
                    }
                    _ => largest().max(NUMBER),
                }
            }
            Expr::Call(Function::List(ListFunction::Join(separator)), _) => {
                largest().scaled(1 + separator.len() as u64)
            }
            Expr::Call(Function::Replace(pairs), _) => {
                let longest = pairs.iter().map(|(_, to)| if let Value::Text(text) = to { text.len() } else { 0 }).max();
                largest().max(Growth { times: 0, plus: longest.unwrap_or(0) as u64 })
            }
            Expr::Call(Function::Time(TimeFunction::Format(format)), _) => largest().max(Growth {
                times: 0,
                plus: format.len() as u64 + MOST_OF_ITEM * format.matches('%').count() as u64,
            }),
            Expr::Case(..) | Expr::Alias(..) | Expr::Affix(..) | Expr::Call(Function::Coalesce, _) => largest(),
            _ => largest().max(NUMBER),
        }
    }

    fn max(self, other: Growth) -> Growth {
        Growth { times: self.times.max(other.times), plus: self.plus.max(other.plus) }
    }

    fn sum(self, other: Growth) -> Growth {
        Growth { times: self.times.saturating_add(other.times), plus: self.plus.saturating_add(other.plus) }
    }

    fn scaled(self, times: u64) -> Growth {
        Growth { times: self.times.saturating_mul(times), plus: self.plus.saturating_mul(times) }
    }

    fn longer(self, bytes: u64) -> Growth {
        Growth { plus: self.plus.saturating_add(bytes), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};

    use super::*;
    use crate::expr::{coalesce, col, concat_str, lit, when};

    #[test]
    fn nothing_is_larger_than_said() {
        let texts = vec![Some(""), Some("a"), Some("a,b,,c"), None, Some("größer, viel größer als"), Some("aaaa")];
        let s: ArrayRef = Arc::new(StringArray::from(texts));
        let t: ArrayRef = Arc::new(StringArray::from(vec!["x"; 6]));
        let d: ArrayRef = Arc::new(arrow::array::Date32Array::from(vec![20_000; 6]));
        let batch = RecordBatch::try_from_iter([("s", s), ("t", t), ("d", d)]).unwrap();
        let long = "0123456789".repeat(100);
        let cases: Vec<(Expr, bool)> = vec![
            (col("s").str().repeat(3), false),
            (col("s").str().repeat(300), true),
            (col("s").str().repeat(5).str().repeat(5), true),
            (col("s").str().pad_start(200, 'ß'), false),
            (col("s").str().pad_end(1000, 'ß'), true),
            (col("s").str().zfill(2000), true),
            (col("s").str().replace_all_literal("a", &long), true),
            (col("s").str().replace_all_literal("", &long), true),
            (col("s").str().replace_literal("a", &long), true),
            (col("s").str().replace_all("[a-c]", &long), true),
            (concat_str([col("s"), col("t"), col("s")], &long), true),
            (concat_str([col("s"), col("t"), col("s")], "-"), false),
            (concat_str(vec![col("s"); 40], ""), true),
            (when(col("t").eq("x")).then(lit(long.as_str())).otherwise(col("s")), true),
            (coalesce([col("s"), lit(long.as_str())]), true),
            (col("s").str().replace("a.*", &"$0".repeat(20)), true),
            (col("s").str().replace_all("[a-z]+", &"${0}-".repeat(9)), true),
            (col("t").replace([("x", long.as_str()), ("y", "")]), true),
            (col("t").replace([("x", "z")]), false),
            (col("d").dt().strftime("%Y-%m-%dT%H:%M:%S%.3f %A"), false),
            (col("d").dt().strftime(&"%A".repeat(200)), true),
            (col("s").str().split(","), false),
            (col("s").str().split(",").list().join("; "), false),
            (col("s").str().split(",").list().join(&long), true),
            (col("s").str().to_uppercase(), false),
        ];
        for (expr, is_large) in cases {
            let growth = Growth::of(std::slice::from_ref(&expr));
            assert_eq!(growth.is_large(), is_large, "{expr}: {growth:?}");
            for row in 0..batch.num_rows() {
                let one = batch.slice(row, 1);
                let made = expr.evaluate(&one).unwrap().to_data().get_slice_memory_size().unwrap() as u64;
                // Offsets, in a list those of each value too.
                let read: u64 =
                    one.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap() as u64).sum();
                assert!(made <= growth.bytes(read, 1), "{expr}: {made} of {read} by {growth:?}");
            }
        }
    }

    #[test]
    fn parts_that_are_shared_and_long_chains_are_looked_at_once() {
        let mut doubled = col("s");
        for _ in 0..80 {
            doubled = concat_str([doubled.clone(), doubled], "");
        }
        assert!(Growth::of(&[doubled]).is_large());
        let mut sum = col("n");
        for _ in 0..50_000 {
            sum = sum + 1;
        }
        assert!(!Growth::of(&[sum]).is_large());
    }
}
