//! What is done to each element: functions as plain data.

use crate::store::DType;

/// A function of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Unary {
    Neg,
    Abs,
    Sign,
    Square,
    Reciprocal,
    Sqrt,
    Cbrt,
    Exp,
    Exp2,
    ExpM1,
    Ln,
    Log2,
    Log10,
    Ln1p,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Floor,
    Ceil,
    /// To the nearest whole number, halves to even ones.
    Rint,
    Trunc,
    /// Of integers each bit, of truths the other one.
    Not,
    IsNan,
    IsInf,
    IsFinite,
    Conj,
    Re,
    Im,
}

/// A function of two elements of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    /// Of floats and complex numbers.
    Div,
    /// Rounded down; of integers 0 where the divisor is.
    FloorDiv,
    /// With the sign of the divisor; of integers 0 where the divisor is.
    Rem,
    /// With the sign of the dividend.
    Fmod,
    Pow,
    /// NaN where one is.
    Maximum,
    Minimum,
    /// The other one where one is NaN.
    Fmax,
    Fmin,
    Atan2,
    Hypot,
    Copysign,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Binary {
    /// The comparison that says the same of two in the other order; another function as it is.
    pub fn turned(self) -> Binary {
        match self {
            Binary::Lt => Binary::Gt,
            Binary::Le => Binary::Ge,
            Binary::Gt => Binary::Lt,
            Binary::Ge => Binary::Le,
            other => other,
        }
    }
}

impl Unary {
    /// The type that comes out, of an element of a type; nothing where it is not defined.
    pub fn output(self, of: DType) -> Option<DType> {
        use Unary::*;
        let complex = matches!(of, DType::C32 | DType::C64);
        let float = matches!(of, DType::F32 | DType::F64);
        Some(match self {
            Neg if of == DType::Bool => return None,
            Neg | Square => of,
            Sign if complex || of == DType::Bool => return None,
            Sign => of,
            Abs | Re | Im => match of {
                DType::C32 => DType::F32,
                DType::C64 => DType::F64,
                real if self == Im && !float => return Some(real),
                real => real,
            },
            Conj => of,
            Not if complex || float => return None,
            Not => of,
            IsNan | IsInf | IsFinite => DType::Bool,
            Floor | Ceil | Rint | Trunc if complex => return None,
            Floor | Ceil | Rint | Trunc => of,
            Reciprocal | Sqrt | Exp | Ln | Sin | Cos | Tan | Sinh | Cosh | Tanh | Asin | Acos | Atan | Asinh
            | Acosh | Atanh | Log2 | Log10
                if float || complex =>
            {
                of
            }
            Cbrt | Exp2 | ExpM1 | Ln1p if float => of,
            _ => return None,
        })
    }

    /// About how many additions it takes.
    pub fn cost(self) -> u32 {
        use Unary::*;
        match self {
            Neg | Abs | Sign | Square | Not | Conj | Re | Im | IsNan | IsInf | IsFinite => 1,
            Floor | Ceil | Rint | Trunc => 2,
            Reciprocal | Sqrt => 4,
            _ => 20,
        }
    }
}

impl Binary {
    /// The type that comes out, of elements of a type; nothing where it is not defined.
    pub fn output(self, of: DType) -> Option<DType> {
        use Binary::*;
        let complex = matches!(of, DType::C32 | DType::C64);
        let float = matches!(of, DType::F32 | DType::F64);
        let truth = of == DType::Bool;
        Some(match self {
            Eq | Ne => DType::Bool,
            Lt | Le | Gt | Ge if complex => return None,
            Lt | Le | Gt | Ge => DType::Bool,
            Sub if truth => return None,
            Add | Sub | Mul => of,
            Div if float || complex => of,
            Pow if !truth => of,
            FloorDiv | Rem | Fmod if !complex && !truth => of,
            Maximum | Minimum | Fmax | Fmin if !complex => of,
            Atan2 | Hypot | Copysign if float => of,
            And | Or | Xor if !float && !complex => of,
            Shl | Shr if !float && !complex && !truth => of,
            _ => return None,
        })
    }

    /// The sign or the name, as it is called in plans.
    pub fn name(self) -> &'static str {
        use Binary::*;
        match self {
            Add => "+",
            Sub => "-",
            Mul => "*",
            Div => "/",
            FloorDiv => "floor_div",
            Rem => "%",
            Fmod => "fmod",
            Pow => "pow",
            Maximum => "maximum",
            Minimum => "minimum",
            Fmax => "fmax",
            Fmin => "fmin",
            Atan2 => "atan2",
            Hypot => "hypot",
            Copysign => "copysign",
            And => "&",
            Or => "|",
            Xor => "^",
            Shl => "<<",
            Shr => ">>",
            Eq => "==",
            Ne => "!=",
            Lt => "<",
            Le => "<=",
            Gt => ">",
            Ge => ">=",
        }
    }

    /// About how many additions it takes.
    pub fn cost(self) -> u32 {
        use Binary::*;
        match self {
            Div | FloorDiv | Rem | Hypot => 6,
            Pow | Atan2 | Fmod => 40,
            _ => 1,
        }
    }
}
