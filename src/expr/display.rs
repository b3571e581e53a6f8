//! Expressions as text: readable, and different for different expressions.

use std::fmt;

use super::{Aggregate, AggregateFunction, BinaryOp, Expr, UnaryOp};

/// A piece of the text.
enum Piece<'a> {
    Text(&'a str),
    Own(String),
    Expr(&'a Expr),
    /// In brackets where it is compound.
    Operand(&'a Expr),
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut open = vec![Piece::Expr(self)];
        while let Some(piece) = open.pop() {
            let expr = match piece {
                Piece::Text(text) => {
                    f.write_str(text)?;
                    continue;
                }
                Piece::Own(text) => {
                    f.write_str(&text)?;
                    continue;
                }
                Piece::Operand(expr) if compound(expr) => {
                    open.extend([Piece::Text(")"), Piece::Expr(expr), Piece::Text("(")]);
                    continue;
                }
                Piece::Expr(expr) | Piece::Operand(expr) => expr,
            };
            let start = open.len();
            pieces(expr, &mut open);
            open[start..].reverse();
        }
        Ok(())
    }
}

/// As it is displayed.
impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn compound(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(..) | Expr::Affix(..) | Expr::Binary(..) => true,
        Expr::Unary(op, _) => !matches!(op, UnaryOp::Not),
        _ => false,
    }
}

fn pieces<'a>(expr: &'a Expr, out: &mut Vec<Piece<'a>>) {
    use Piece::{Operand, Own, Text};
    match expr {
        Expr::Column(name) => out.push(column(name)),
        Expr::Literal(value) => out.push(Own(value.to_string())),
        Expr::Parameter(parameter) => out.push(Own(format!("${}@{}", parameter.label, parameter.id))),
        Expr::Alias(of, name) => out.extend([Piece::Expr(of), Text(" as "), column(name)]),
        Expr::Affix(of, before, behind) => {
            out.extend([Piece::Expr(of), Own(format!(" as {before:?} + name + {behind:?}"))])
        }
        Expr::Cast(of, to, lossy) => {
            let name = if *lossy { "try_cast(" } else { "cast(" };
            out.extend([Text(name), Operand(of), Own(format!(" as {to})"))]);
        }
        Expr::Unary(UnaryOp::IsNull, of) => out.extend([Operand(of), Text(" is null")]),
        Expr::Unary(UnaryOp::IsNotNull, of) => out.extend([Operand(of), Text(" is not null")]),
        Expr::Unary(UnaryOp::Not, of) => out.extend([Text("!"), Operand(of)]),
        Expr::Unary(UnaryOp::Negative, of) => match &**of {
            // `-1` is the value.
            Expr::Literal(value) => out.push(Own(format!("-({value})"))),
            of => out.extend([Text("-"), Operand(of)]),
        },
        Expr::Binary(left, op, right) => {
            out.extend([Operand(left), Text(" "), Text(op.sign()), Text(" "), Operand(right)]);
        }
        Expr::Case(branches, otherwise) => {
            for (at, (condition, value)) in branches.iter().enumerate() {
                let start = if at == 0 { "when(" } else { ".when(" };
                out.extend([Text(start), Piece::Expr(condition), Text(", "), Piece::Expr(value), Text(")")]);
            }
            if let Some(otherwise) = otherwise {
                out.extend([Text(".otherwise("), Piece::Expr(otherwise), Text(")")]);
            }
        }
        Expr::Call(function, args) => {
            out.extend([Text(function.name()), Text("(")]);
            let start = out.len();
            for arg in &**args {
                separate(out, start);
                out.push(Piece::Expr(arg));
            }
            for setting in function.settings() {
                separate(out, start);
                out.push(Own(setting));
            }
            out.push(Text(")"));
        }
        Expr::Aggregate(aggregate) => {
            let Aggregate { function, args, filter } = &**aggregate;
            out.extend([Text(function.name()), Text("(")]);
            let start = out.len();
            for arg in args {
                separate(out, start);
                out.push(Piece::Expr(arg));
            }
            if let AggregateFunction::User(user) = function
                && !user.is_built_in()
            {
                separate(out, start);
                // What tells it from others of its name.
                out.push(Own(format!("{user:?}")));
            }
            if let AggregateFunction::Var(ddof)
            | AggregateFunction::Std(ddof)
            | AggregateFunction::Sem(ddof)
            | AggregateFunction::Covariance(ddof) = function
                && *ddof != 1
            {
                out.push(Own(format!(", ddof {ddof}")));
            }
            if let AggregateFunction::TopK(k) | AggregateFunction::BottomK(k) = function {
                out.push(Own(format!(", {k}")));
            }
            #[cfg(feature = "sketches")]
            if let AggregateFunction::ApproxQuantile(part) = function {
                out.push(Own(format!(", {}", f64::from(*part) / 1e6)));
            }
            if let AggregateFunction::SumMin(count) = function {
                out.push(Own(format!(", min count {count}")));
            }
            if let Some(filter) = filter {
                out.push(Text(if args.is_empty() { "where " } else { " where " }));
                out.push(Piece::Expr(filter));
            }
            out.push(Text(")"));
        }
        Expr::Selector(selector) => out.push(Own(selector.to_string())),
    }
}

fn separate(out: &mut Vec<Piece<'_>>, start: usize) {
    if out.len() > start {
        out.push(Piece::Text(", "));
    }
}

/// A name as it is, where it cannot be taken for anything else.
fn column(name: &str) -> Piece<'_> {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || letter == '_')
        && !matches!(name, "true" | "false" | "null" | "as" | "is" | "where" | "inf" | "NaN");
    if plain { Piece::Text(name) } else { Piece::Own(format!("col({name:?})")) }
}

impl BinaryOp {
    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::FloorDiv => "//",
            BinaryOp::Rem => "%",
            BinaryOp::WrappingAdd => "wrapping +",
            BinaryOp::WrappingSub => "wrapping -",
            BinaryOp::WrappingMul => "wrapping *",
            BinaryOp::Xor => "^",
            BinaryOp::Eq => "==",
            BinaryOp::NotEq => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::LtEq => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::GtEq => ">=",
            BinaryOp::And => "&",
            BinaryOp::Or => "|",
        }
    }
}

impl AggregateFunction {
    /// As it is called.
    pub fn name(&self) -> &str {
        match self {
            AggregateFunction::User(user) => user.name(),
            AggregateFunction::Count => "count",
            AggregateFunction::Size => "size",
            AggregateFunction::Sum | AggregateFunction::SumMin(_) => "sum",
            AggregateFunction::List => "collect_list",
            AggregateFunction::TopK(_) => "top_k",
            AggregateFunction::BottomK(_) => "bottom_k",
            AggregateFunction::Product => "product",
            AggregateFunction::Mean => "mean",
            AggregateFunction::Min => "min",
            AggregateFunction::Max => "max",
            AggregateFunction::Var(_) => "var",
            AggregateFunction::Std(_) => "std",
            AggregateFunction::Sem(_) => "sem",
            AggregateFunction::Skew => "skew",
            AggregateFunction::Kurtosis => "kurtosis",
            AggregateFunction::Any => "any",
            AggregateFunction::All => "all",
            AggregateFunction::First => "first",
            AggregateFunction::Last => "last",
            AggregateFunction::MinBy => "min_by",
            AggregateFunction::MaxBy => "max_by",
            AggregateFunction::NUnique => "nunique",
            #[cfg(feature = "sketches")]
            AggregateFunction::ApproxNUnique => "approx_nunique",
            #[cfg(feature = "sketches")]
            AggregateFunction::ApproxQuantile(_) => "approx_quantile",
            AggregateFunction::Correlation | AggregateFunction::Correlations => "corr",
            AggregateFunction::Covariance(_) | AggregateFunction::Covariances => "cov",
            AggregateFunction::Summary => "summary",
        }
    }
}
