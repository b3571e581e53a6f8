//! Expressions as text, in the words of SQL. The parser is that of the crate `sqlparser`.

use arrow::datatypes::{DataType, TimeUnit};
use sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DataType as SqlType, DateTimeField, Expr as Sql, FunctionArg,
    FunctionArgExpr, FunctionArguments, TimezoneInfo, UnaryOperator, Value as SqlValue,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::{Expr, Value, coalesce, col, concat_str, lit, when};
use crate::error::{Error, ErrorKind, Result};

/// Words that a text may have at most: a parsed one is a tree whose depth grows with them.
const MOST_TOKENS: usize = 4096;

/// Of the thread that parses.
const STACK_BYTES: usize = 16 << 20;

/// An expression of its text, as it stands behind `WHERE` in SQL: `amount > 100 and status in ('new', 'paid')`.
///
/// Columns are named as they are (no matter how SQL writes them: case counts), in `"…"` or `` `…` `` where they are no plain words; text stands
/// in `'…'`. There are `and or not`, `= == <> != < <= > >=`, `+ - * / %`, `||`, `between`, `in (…)`, `like`, `ilike`, `is null`, `is true`,
/// `case when`, `cast(… as …)`, `try_cast`, `date '…'`, `timestamp '…'`, `extract(year from …)` and the functions of [`FUNCTIONS`].
/// What they mean is what the methods of [`Expr`] mean: `/` of integers is a float, for one.
///
/// # Errors
/// Of kind `Plan`, naming line and column, where the text is no expression; where something in it is not understood.
///
/// ```
/// use chunkwise::expr::{self, col, lit};
///
/// assert_eq!(expr::parse("a + 1 > b")?, (col("a") + 1).gt(col("b")));
/// assert_eq!(expr::parse("not (s like 'x%' or s is null)")?, !(col("s").str().like("x%") | col("s").is_null()));
/// assert!(expr::parse("a >").is_err());
/// # Ok::<(), chunkwise::Error>(())
/// ```
pub fn parse(text: &str) -> Result<Expr> {
    // The parser goes down into brackets by calling itself, with large frames: not on a stack of which nothing is known.
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("query".to_string()).stack_size(STACK_BYTES);
        let thread = builder.spawn_scoped(scope, || parsed(text));
        let thread = thread.map_err(|error| Error::with_source(ErrorKind::Io, "a thread to parse a query", error))?;
        thread.join().unwrap_or_else(|_| Err(Error::internal("the parser of queries panicked")))
    })
}

fn parsed(text: &str) -> Result<Expr> {
    let wrong = |what: String| {
        let what = what.trim_start_matches("sql parser error: ");
        Error::new(ErrorKind::Plan, format!("`{}` is no expression: {what}", shortened(text)))
    };
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|error| wrong(error.to_string()))?;
    if tokens.len() > MOST_TOKENS {
        return Err(wrong(format!("it has more than {MOST_TOKENS} words; put expressions together with methods")));
    }
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens);
    let parsed = parser.parse_expr().map_err(|error| wrong(error.to_string()))?;
    let next = parser.next_token();
    if next.token != Token::EOF {
        return Err(wrong(format!("`{}` is not expected{}", next.token, next.span.start)));
    }
    expr(&parsed)
}

/// The functions that [`parse`] knows.
pub const FUNCTIONS: &[&str] = &[
    "abs",
    "sign",
    "sqrt",
    "cbrt",
    "exp",
    "ln",
    "log10",
    "log2",
    "floor",
    "ceil",
    "trunc",
    "round",
    "pow",
    "power",
    "is_nan",
    "is_finite",
    "lower",
    "upper",
    "trim",
    "ltrim",
    "rtrim",
    "length",
    "reverse",
    "starts_with",
    "ends_with",
    "contains",
    "coalesce",
    "nullif",
    "ifnull",
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "second",
    "sum",
    "mean",
    "avg",
    "min",
    "max",
    "count",
];

fn unknown(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Plan, format!("`{}` is not understood in a query", shortened(&what.to_string())))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_string(),
    }
}

fn negated(expr: Expr, negated: bool) -> Expr {
    if negated { !expr } else { expr }
}

fn expr(parsed: &Sql) -> Result<Expr> {
    // Chains of operators lean to the left, and are long; anything else is no deeper than the parser lets it be.
    let mut chain: Vec<(&BinaryOperator, &Sql)> = Vec::new();
    let mut first = parsed;
    while let Sql::BinaryOp { left, op, right } = first {
        chain.push((op, right));
        first = left;
    }
    let mut made = single(first)?;
    for (op, right) in chain.into_iter().rev() {
        let right = expr(right)?;
        made = match op {
            BinaryOperator::Plus => made + right,
            BinaryOperator::Minus => made - right,
            BinaryOperator::Multiply => made * right,
            BinaryOperator::Divide => made / right,
            BinaryOperator::Modulo => made % right,
            BinaryOperator::StringConcat => concat_str([made, right], ""),
            BinaryOperator::Gt => made.gt(right),
            BinaryOperator::Lt => made.lt(right),
            BinaryOperator::GtEq => made.ge(right),
            BinaryOperator::LtEq => made.le(right),
            BinaryOperator::Eq => made.eq(right),
            BinaryOperator::NotEq => made.ne(right),
            BinaryOperator::And => made & right,
            BinaryOperator::Or => made | right,
            BinaryOperator::BitwiseAnd | BinaryOperator::BitwiseOr => {
                let text = format!("`{op}` is not understood in a query: conditions are joined with `and` and `or`");
                return Err(Error::new(ErrorKind::Plan, text));
            }
            other => return Err(unknown(other)),
        };
    }
    Ok(made)
}

fn single(parsed: &Sql) -> Result<Expr> {
    Ok(match parsed {
        Sql::Identifier(name) => col(&name.value),
        Sql::CompoundIdentifier(names) => {
            let mut names = names.iter();
            let first = names.next().map(|name| col(&name.value)).ok_or_else(|| unknown(parsed))?;
            names.fold(first, |made, name| made.field(&name.value))
        }
        Sql::Nested(inner) => expr(inner)?,
        Sql::Value(found) => Expr::Literal(value(&found.value)?),
        Sql::UnaryOp { op, expr: inner } => match (op, &**inner) {
            (UnaryOperator::Not, inner) => !expr(inner)?,
            (UnaryOperator::Plus, inner) => expr(inner)?,
            // The least integer is one only with its sign.
            (UnaryOperator::Minus, Sql::Value(found)) if matches!(found.value, SqlValue::Number(..)) => {
                let SqlValue::Number(digits, _) = &found.value else { return Err(unknown(parsed)) };
                Expr::Literal(number(&format!("-{digits}"))?)
            }
            (UnaryOperator::Minus, inner) => -expr(inner)?,
            _ => return Err(unknown(parsed)),
        },
        Sql::IsNull(inner) => expr(inner)?.is_null(),
        Sql::IsNotNull(inner) => expr(inner)?.is_not_null(),
        Sql::IsTrue(inner) => expr(inner)?.fill_null(false),
        Sql::IsNotTrue(inner) => !expr(inner)?.fill_null(false),
        Sql::IsFalse(inner) => !expr(inner)?.fill_null(true),
        Sql::IsNotFalse(inner) => expr(inner)?.fill_null(true),
        Sql::Between { expr: inner, negated: not, low, high } => {
            negated(expr(inner)?.between(expr(low)?, expr(high)?), *not)
        }
        Sql::InList { expr: inner, list, negated: not } => {
            let values = list.iter().map(|item| match &expr(item)? {
                Expr::Literal(value) => Ok(value.clone()),
                _ => Err(unknown(parsed)),
            });
            negated(expr(inner)?.is_in(values.collect::<Result<Vec<Value>>>()?), *not)
        }
        Sql::Like { negated: not, any: false, expr: inner, pattern, escape_char: None } => {
            negated(expr(inner)?.str().like(&text(pattern)?), *not)
        }
        Sql::ILike { negated: not, any: false, expr: inner, pattern, escape_char: None } => {
            negated(expr(inner)?.str().ilike(&text(pattern)?), *not)
        }
        Sql::Cast { kind, expr: inner, data_type: to, format: None } => {
            let (inner, to) = (expr(inner)?, data_type(to)?);
            match kind {
                CastKind::Cast | CastKind::DoubleColon => inner.cast(to),
                CastKind::TryCast | CastKind::SafeCast => inner.try_cast(to),
            }
        }
        Sql::TypedString(typed) => match &typed.value.value {
            SqlValue::SingleQuotedString(text) => lit(text.as_str()).cast(data_type(&typed.data_type)?),
            _ => return Err(unknown(parsed)),
        },
        Sql::Extract { field, expr: inner, .. } => part(field, expr(inner)?).ok_or_else(|| unknown(parsed))?,
        Sql::Floor { expr: inner, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
            expr(inner)?.floor()
        }
        Sql::Ceil { expr: inner, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
            expr(inner)?.ceil()
        }
        Sql::Trim { trim_where: None, trim_what: None, expr: inner, trim_characters: None } => {
            expr(inner)?.str().strip()
        }
        Sql::Case { operand, conditions, else_result, .. } => {
            let operand = operand.as_deref().map(expr).transpose()?;
            let mut made = match else_result {
                Some(other) => expr(other)?,
                None => lit(Value::Null),
            };
            for CaseWhen { condition, result } in conditions.iter().rev() {
                let condition = expr(condition)?;
                let condition = match &operand {
                    Some(operand) => operand.clone().eq(condition),
                    None => condition,
                };
                made = when(condition).then(expr(result)?).otherwise(made);
            }
            made
        }
        Sql::Function(function) => {
            let plain = function.filter.is_none()
                && function.over.is_none()
                && function.within_group.is_empty()
                && matches!(function.parameters, FunctionArguments::None);
            let FunctionArguments::List(list) = &function.args else { return Err(unknown(parsed)) };
            if !plain || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
                return Err(unknown(parsed));
            }
            let args = list.args.iter().map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) => expr(arg),
                _ => Err(unknown(parsed)),
            });
            call(&function.name.to_string().to_ascii_lowercase(), args.collect::<Result<Vec<Expr>>>()?)?
        }
        other => return Err(unknown(other)),
    })
}

fn call(name: &str, args: Vec<Expr>) -> Result<Expr> {
    if !FUNCTIONS.contains(&name) {
        let text = format!("there is no function `{name}` in a query; there are {}", FUNCTIONS.join(", "));
        return Err(Error::new(ErrorKind::Plan, text));
    }
    let count = args.len();
    let wrong = || Error::new(ErrorKind::Plan, format!("`{name}` does not take {count} operands"));
    if name == "coalesce" && count > 0 {
        return Ok(coalesce(args));
    }
    let mut args = args.into_iter();
    let first = args.next().ok_or_else(wrong)?;
    let (second, more) = (args.next(), args.next());
    if more.is_some() {
        return Err(wrong());
    }
    Ok(match (name, second) {
        ("abs", None) => first.abs(),
        ("sign", None) => first.sign(),
        ("sqrt", None) => first.sqrt(),
        ("cbrt", None) => first.cbrt(),
        ("exp", None) => first.exp(),
        ("ln", None) => first.ln(),
        ("log10", None) => first.log10(),
        ("log2", None) => first.log2(),
        ("floor", None) => first.floor(),
        ("ceil", None) => first.ceil(),
        ("trunc", None) => first.trunc(),
        ("round", None) => first.round(0),
        ("round", Some(Expr::Literal(Value::Int(digits)))) => first.round(i32::try_from(digits).map_err(|_| wrong())?),
        ("pow" | "power", Some(second)) => first.pow(second),
        ("is_nan", None) => first.is_nan(),
        ("is_finite", None) => first.is_finite(),
        ("lower", None) => first.str().to_lowercase(),
        ("upper", None) => first.str().to_uppercase(),
        ("trim", None) => first.str().strip(),
        ("ltrim", None) => first.str().lstrip(),
        ("rtrim", None) => first.str().rstrip(),
        ("length", None) => first.str().len_chars(),
        ("reverse", None) => first.str().reverse(),
        ("starts_with", Some(second)) => first.str().starts_with(second),
        ("ends_with", Some(second)) => first.str().ends_with(second),
        ("contains", Some(second)) => first.str().contains_literal(second),
        ("nullif", Some(second)) => first.null_if(second),
        ("ifnull", Some(second)) => first.fill_null(second),
        ("year", None) => first.dt().year(),
        ("quarter", None) => first.dt().quarter(),
        ("month", None) => first.dt().month(),
        ("week", None) => first.dt().week(),
        ("day", None) => first.dt().day(),
        ("hour", None) => first.dt().hour(),
        ("minute", None) => first.dt().minute(),
        ("second", None) => first.dt().second(),
        ("sum", None) => first.sum(),
        ("mean" | "avg", None) => first.mean(),
        ("min", None) => first.min(),
        ("max", None) => first.max(),
        ("count", None) => first.count(),
        _ => return Err(wrong()),
    })
}

fn part(field: &DateTimeField, of: Expr) -> Option<Expr> {
    let of = of.dt();
    Some(match field {
        DateTimeField::Year | DateTimeField::Years => of.year(),
        DateTimeField::Quarter => of.quarter(),
        DateTimeField::Month | DateTimeField::Months => of.month(),
        DateTimeField::Week(None) | DateTimeField::Weeks | DateTimeField::IsoWeek => of.week(),
        DateTimeField::Day | DateTimeField::Days => of.day(),
        DateTimeField::Doy | DateTimeField::DayOfYear => of.ordinal_day(),
        DateTimeField::Hour | DateTimeField::Hours => of.hour(),
        DateTimeField::Minute | DateTimeField::Minutes => of.minute(),
        DateTimeField::Second | DateTimeField::Seconds => of.second(),
        DateTimeField::Date => of.date(),
        DateTimeField::Time => of.time(),
        _ => return None,
    })
}

fn text(parsed: &Sql) -> Result<String> {
    match parsed {
        Sql::Value(found) => match &found.value {
            SqlValue::SingleQuotedString(text) => Ok(text.clone()),
            _ => Err(unknown(parsed)),
        },
        _ => Err(unknown(parsed)),
    }
}

fn value(found: &SqlValue) -> Result<Value> {
    Ok(match found {
        SqlValue::Number(digits, _) => number(digits)?,
        SqlValue::SingleQuotedString(text) | SqlValue::EscapedStringLiteral(text) => Value::from(text.as_str()),
        SqlValue::Boolean(value) => Value::Boolean(*value),
        SqlValue::Null => Value::Null,
        other => return Err(unknown(other)),
    })
}

fn number(digits: &str) -> Result<Value> {
    let plain = !digits.contains(['.', 'e', 'E']);
    if plain && let Ok(value) = digits.parse::<i64>() {
        return Ok(Value::Int(value));
    }
    if plain && let Ok(value) = digits.parse::<u64>() {
        return Ok(Value::from(value));
    }
    match digits.parse::<f64>() {
        Ok(value) if !plain => Ok(Value::Float(value)),
        _ => Err(Error::new(ErrorKind::Plan, format!("`{digits}` is too large for an integer of 64 bits"))),
    }
}

fn data_type(of: &SqlType) -> Result<DataType> {
    Ok(match of {
        SqlType::Boolean | SqlType::Bool => DataType::Boolean,
        SqlType::TinyInt(None) => DataType::Int8,
        SqlType::SmallInt(None) => DataType::Int16,
        SqlType::Int(None) | SqlType::Integer(None) => DataType::Int32,
        SqlType::BigInt(None) => DataType::Int64,
        SqlType::Real | SqlType::Float4 => DataType::Float32,
        SqlType::Double(_) | SqlType::DoublePrecision | SqlType::Float8 | SqlType::Float(_) => DataType::Float64,
        SqlType::Text | SqlType::String(None) | SqlType::Varchar(None) | SqlType::Char(None) => DataType::Utf8,
        SqlType::Date => DataType::Date32,
        SqlType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) | SqlType::Datetime(None) => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        other => return Err(unknown(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(text: &str, wanted: Expr) {
        let found = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(found, wanted, "{text}");
    }

    #[test]
    fn texts_are_expressions() {
        let (a, b, s, t) = (|| col("a"), || col("b"), || col("s"), || col("t"));
        same("a = 1", a().eq(1));
        same("a == 1 and b <> 2.5 or not s = 'it''s'", (a().eq(1) & b().ne(2.5)) | !s().eq("it's"));
        same("a + b * 2 - -3 >= 7 % 4", (a() + b() * 2 - lit(-3)).ge(lit(7) % lit(4)));
        same("a between 1 and 5 and b not in (1, 2)", a().between(1, 5) & !b().is_in([1, 2]));
        same("\"a\" / `b c` < 0", (a() / col("b c")).lt(0));
        same("s like 'x%' and s not ilike '%y_'", s().str().like("x%") & !s().str().ilike("%y_"));
        same("s is null or s is not null", s().is_null() | s().is_not_null());
        same("(a > 1) is true", a().gt(1).fill_null(false));
        same("case when a > 1 then 'x' else s end", when(a().gt(1)).then("x").otherwise(s()));
        same("case a when 1 then b end", when(a().eq(1)).then(b()).otherwise(Value::Null));
        same(
            "cast(s as bigint) > try_cast(s as double)",
            s().cast(DataType::Int64).gt(s().try_cast(DataType::Float64)),
        );
        same("t >= date '2024-01-01'", t().ge(lit("2024-01-01").cast(DataType::Date32)));
        same("extract(year from t) = year(t)", t().dt().year().eq(t().dt().year()));
        same("upper(s) || trim(s) = coalesce(s, '')", {
            concat_str([s().str().to_uppercase(), s().str().strip()], "").eq(coalesce([s(), lit("")]))
        });
        same("round(a, 2) = abs(floor(b))", a().round(2).eq(b().floor().abs()));
        same("a > mean(a)", a().gt(a().mean()));
        same("x.y = 1", col("x").field("y").eq(1));
        same("a = -9223372036854775808", a().eq(i64::MIN));
    }

    #[test]
    fn wrong_texts_are_told() {
        for (text, part) in [
            ("", "is no expression"),
            ("a >", "is no expression"),
            ("a > 1 b", "`b` is not expected at Line: 1, Column: 7"),
            ("a > 1; drop", "`;` is not expected"),
            ("a = 'x", "Unterminated string literal at Line: 1, Column: 5"),
            ("a > 1 & b < 2", "joined with `and`"),
            ("frobnicate(a)", "there is no function `frobnicate`"),
            ("abs(a, b)", "`abs` does not take 2 operands"),
            ("a in (b)", "not understood"),
            ("a in (select 1)", "not understood"),
            ("a = 99999999999999999999", "too large"),
            ("sum(a) over ()", "not understood"),
            ("count(*)", "not understood"),
            ("t > timestamp with time zone '2024-01-01'", "not understood"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Plan, "{text}");
            assert!(error.message().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn long_and_deep_texts_do_not_overflow_the_stack() {
        let long = vec!["a = 1"; 400].join(" or ");
        assert!(parse(&long).is_ok());
        assert!(parse(&vec!["a = 1"; 4000].join(" or ")).unwrap_err().message().contains("more than 4096 words"));
        for deep in ["(".repeat(2000), "not ".repeat(2000), "-".repeat(2000), "a[".repeat(1000)] {
            assert_eq!(parse(&deep).unwrap_err().kind(), ErrorKind::Plan);
        }
    }
}
