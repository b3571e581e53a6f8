//! Random expressions against a naive evaluator of one row at a time.

use proptest::prelude::*;

use super::*;

/// A value of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum One {
    Int(i64),
    Float(f64),
    Bool(bool),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Int,
    Float,
    Bool,
}

/// An error of a row.
#[derive(Debug, PartialEq)]
struct Overflow;

type Naive = Result<Option<One>, Overflow>;

fn naive(expr: &Expr, row: &[Option<One>; 5]) -> Naive {
    let both = |left: &Expr, right: &Expr| -> Result<(Option<One>, Option<One>), Overflow> {
        Ok((naive(left, row)?, naive(right, row)?))
    };
    let float = |one: One| match one {
        One::Int(value) => value as f64,
        One::Float(value) => value,
        One::Bool(_) => f64::NAN,
    };
    Ok(match expr {
        Expr::Column(name) => row[["i", "j", "x", "y", "p"].iter().position(|known| *known == &**name).unwrap()],
        Expr::Literal(Value::Int(value)) => Some(One::Int(*value)),
        Expr::Literal(Value::Float(value)) => Some(One::Float(*value)),
        Expr::Literal(Value::Boolean(value)) => Some(One::Bool(*value)),
        Expr::Unary(op, of) => match (op, naive(of, row)?) {
            (UnaryOp::IsNull, of) => Some(One::Bool(of.is_none())),
            (UnaryOp::IsNotNull, of) => Some(One::Bool(of.is_some())),
            (_, None) => None,
            (UnaryOp::Negative, Some(One::Int(value))) => Some(One::Int(value.checked_neg().ok_or(Overflow)?)),
            (UnaryOp::Negative, Some(value)) => Some(One::Float(-float(value))),
            (_, Some(One::Bool(value))) => Some(One::Bool(!value)),
            _ => unreachable!("of no other type"),
        },
        Expr::Binary(left, op @ (BinaryOp::And | BinaryOp::Or), right) => {
            let decisive = One::Bool(*op == BinaryOp::Or);
            match both(left, right)? {
                (Some(one), _) | (_, Some(one)) if one == decisive => Some(one),
                (Some(_), Some(one)) => Some(one),

                _ => None,
            }
        }
        Expr::Binary(left, op, right) => {
            let (Some(left), Some(right)) = both(left, right)? else { return Ok(None) };
            if let (One::Int(x), One::Int(y)) = (left, right) {
                let int = |value: Option<i64>| value.map(One::Int).ok_or(Overflow).map(Some);
                match op {
                    BinaryOp::Add => return int(x.checked_add(y)),
                    BinaryOp::Sub => return int(x.checked_sub(y)),
                    BinaryOp::Mul => return int(x.checked_mul(y)),
                    BinaryOp::WrappingMul => return Ok(Some(One::Int(x.wrapping_mul(y)))),
                    BinaryOp::FloorDiv | BinaryOp::Rem if y == 0 => return Ok(None),
                    BinaryOp::FloorDiv => {
                        let wide = (i128::from(x), i128::from(y));
                        let floor =
                            wide.0.div_euclid(wide.1) - i128::from(wide.1 < 0 && wide.0.rem_euclid(wide.1) != 0);
                        return int(i64::try_from(floor).ok());
                    }
                    BinaryOp::Rem => {
                        let rem = (i128::from(x) % i128::from(y) + i128::from(y)) % i128::from(y);
                        return int(Some(rem as i64));
                    }
                    BinaryOp::Eq => return Ok(Some(One::Bool(x == y))),
                    BinaryOp::Lt => return Ok(Some(One::Bool(x < y))),
                    BinaryOp::GtEq => return Ok(Some(One::Bool(x >= y))),
                    _ => {}
                }
            }
            let (x, y) = (float(left), float(right));
            Some(match op {
                BinaryOp::Add => One::Float(x + y),
                BinaryOp::Sub => One::Float(x - y),
                BinaryOp::Mul => One::Float(x * y),
                BinaryOp::Div => One::Float(x / y),
                BinaryOp::Eq => One::Bool(x == y),
                BinaryOp::NotEq => One::Bool(x != y),
                BinaryOp::Lt => One::Bool(x < y),
                BinaryOp::LtEq => One::Bool(x <= y),
                BinaryOp::Gt => One::Bool(x > y),
                BinaryOp::GtEq => One::Bool(x >= y),
                other => unreachable!("{other:?} is not made"),
            })
        }
        Expr::Case(branches, otherwise) => {
            for (condition, value) in branches.iter() {
                if naive(condition, row)? == Some(One::Bool(true)) {
                    return naive(value, row);
                }
            }
            return otherwise.as_deref().map_or(Ok(None), |otherwise| naive(otherwise, row));
        }
        Expr::Call(Function::Coalesce, args) => {
            let mut first = None;
            for arg in args.iter() {
                let value = naive(arg, row)?;
                first = first.or(value);
            }
            first
        }
        other => unreachable!("{other} is not made"),
    })
}

fn expr(kind: Kind, depth: u32) -> BoxedStrategy<Expr> {
    let leaf = match kind {
        Kind::Int => prop_oneof![
            Just(col("i")),
            Just(col("j")),
            prop_oneof![-3_i64..4, Just(i64::MAX), Just(i64::MIN)].prop_map(lit)
        ]
        .boxed(),
        Kind::Float => prop_oneof![
            Just(col("x")),
            Just(col("y")),
            prop::sample::select(vec![0.0, -0.0, 1.5, f64::NAN, f64::INFINITY]).prop_map(lit)
        ]
        .boxed(),
        Kind::Bool => prop_oneof![3 => Just(col("p")), 1 => any::<bool>().prop_map(lit)].boxed(),
    };
    if depth == 0 {
        return leaf;
    }
    let of = move |kind| expr(kind, depth - 1);
    let binary = |ops: Vec<BinaryOp>, of: Kind| {
        (expr(of, depth - 1), prop::sample::select(ops), expr(of, depth - 1))
            .prop_map(|(left, op, right)| left.binary(op, right))
            .boxed()
    };
    use BinaryOp::*;
    let comparisons = || vec![Eq, NotEq, Lt, LtEq, Gt, GtEq];
    let case = (of(Kind::Bool), of(kind), of(Kind::Bool), of(kind), of(kind))
        .prop_map(|(p, a, q, b, c)| when(p).then(a).when(q).then(b).otherwise(c));
    let coalesce = (of(kind), of(kind)).prop_map(|(a, b)| a.fill_null(b));
    let own = match kind {
        Kind::Int => prop_oneof![
            4 => binary(vec![Add, Sub, Mul, WrappingMul, FloorDiv, Rem], Kind::Int),
            1 => of(Kind::Int).prop_map(|of| -of)
        ]
        .boxed(),
        Kind::Float => prop_oneof![
            4 => binary(vec![Add, Sub, Mul, Div], Kind::Float),
            1 => binary(vec![Div], Kind::Int),
            1 => of(Kind::Float).prop_map(|of| -of)
        ]
        .boxed(),
        Kind::Bool => prop_oneof![
            2 => binary(vec![And, Or], Kind::Bool),
            2 => binary(vec![Eq, Lt, GtEq], Kind::Int),
            2 => binary(comparisons(), Kind::Float),
            1 => of(Kind::Bool).prop_map(|of| !of),
            1 => of(Kind::Int).prop_map(Expr::is_null),
            1 => of(Kind::Float).prop_map(Expr::is_not_null)
        ]
        .boxed(),
    };
    prop_oneof![1 => leaf, 5 => own, 1 => case, 1 => coalesce].boxed()
}

/// Few values, so that they meet: zeros, NaN, the ends of the types, nulls.
fn rows() -> impl Strategy<Value = Vec<[Option<One>; 5]>> {
    let int = || {
        prop::sample::select(vec![None, Some(0), Some(1), Some(-1), Some(7), Some(-4), Some(i64::MAX), Some(i64::MIN)])
    };
    let int = move || int().prop_map(|value| value.map(One::Int));
    let float = || {
        prop::sample::select(vec![
            None,
            Some(0.0),
            Some(-0.0),
            Some(1.5),
            Some(-2.0),
            Some(f64::NAN),
            Some(f64::INFINITY),
        ])
    };
    let float = move || float().prop_map(|value| value.map(One::Float));
    let truth = prop::sample::select(vec![None, Some(One::Bool(true)), Some(One::Bool(false))]);
    prop::collection::vec((int(), int(), float(), float(), truth).prop_map(|(i, j, x, y, p)| [i, j, x, y, p]), 0..150)
}

fn table(rows: &[[Option<One>; 5]]) -> RecordBatch {
    let ints = |at: usize| -> ArrayRef {
        Arc::new(
            rows.iter()
                .map(|row| row[at].map(|one| if let One::Int(value) = one { value } else { 0 }))
                .collect::<Int64Array>(),
        )
    };
    let floats = |at: usize| -> ArrayRef {
        Arc::new(
            rows.iter()
                .map(|row| row[at].map(|one| if let One::Float(value) = one { value } else { 0.0 }))
                .collect::<Float64Array>(),
        )
    };
    let truths: ArrayRef =
        Arc::new(rows.iter().map(|row| row[4].map(|one| one == One::Bool(true))).collect::<BooleanArray>());
    RecordBatch::try_from_iter_with_nullable([
        ("i", ints(0), true),
        ("j", ints(1), true),
        ("x", floats(2), true),
        ("y", floats(3), true),
        ("p", truths, true),
    ])
    .unwrap()
}

fn one(array: &ArrayRef, row: usize) -> Option<One> {
    array.is_valid(row).then(|| match array.data_type() {
        DataType::Int64 => One::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => One::Float(array.as_primitive::<Float64Type>().value(row)),
        _ => One::Bool(array.as_boolean().value(row)),
    })
}

fn same(left: Option<One>, right: Option<One>) -> bool {
    match (left, right) {
        (Some(One::Float(x)), Some(One::Float(y))) => x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan(),
        (left, right) => left == right,
    }
}

fn agrees(exprs: &[Expr], rows: &[[Option<One>; 5]]) -> Result<(), TestCaseError> {
    let batch = table(rows);
    // A slice, so that offsets are not 0.
    let batch = batch.slice(batch.num_rows().min(3), batch.num_rows().saturating_sub(3));
    let rows = &rows[rows.len().min(3)..];
    let schema = batch.schema();
    for expr in exprs {
        let expected: Vec<Naive> = rows.iter().map(|row| naive(expr, row)).collect();
        for expr in [expr.clone(), expr.simplified(&schema)] {
            let value = expr.evaluate(&batch);
            match expected.iter().position(Result::is_err) {
                Some(row) => {
                    let error = value.map(drop).expect_err(&expr.to_string());
                    prop_assert_eq!(error.kind(), ErrorKind::Data, "{} gives {}", expr, error);
                    prop_assert!(expr.can_fail(&schema), "{}", expr);
                    // The row that is named fails, though another step may fail in an earlier one.
                    let text = error.message().strip_prefix("row ").unwrap().split(':').next().unwrap();
                    let named: usize = text.parse().unwrap();
                    prop_assert!(expected[named].is_err() && named >= row, "{}: {}", expr, error);
                }
                None => {
                    let value = value.map_err(|error| TestCaseError::fail(format!("{expr}: {error}")))?;
                    prop_assert_eq!(value.data_type(), &expr.data_type(&schema).unwrap(), "{}", expr);
                    for (row, expected) in expected.iter().enumerate() {
                        let (found, expected) = (one(&value, row), *expected.as_ref().unwrap());
                        prop_assert!(same(found, expected), "{} in row {}: {:?}, not {:?}", expr, row, found, expected);
                    }
                }
            }
        }
    }
    // Together as alone.
    if let Ok(values) = Program::new(exprs, &schema).unwrap().evaluate(&batch) {
        for (expr, value) in exprs.iter().zip(values) {
            let alone = expr.evaluate(&batch).unwrap();
            prop_assert_eq!(value.data_type(), alone.data_type());
            // Which of two NaN a sum hands on, with its sign, is left open by IEEE 754 and decided by the compiler.
            for row in 0..batch.num_rows() {
                let (value, alone) = (one(&value, row), one(&alone, row));
                prop_assert!(same(value, alone), "{} in row {}: {:?}, not {:?}", expr, row, value, alone);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_naively(int in expr(Kind::Int, 3), float in expr(Kind::Float, 3), truth in expr(Kind::Bool, 3), rows in rows()) {
        agrees(&[int, float, truth], &rows)?;
    }
}
