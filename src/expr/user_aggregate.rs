//! Aggregates of the user's own.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::{Aggregate, AggregateFunction, Expr, Value};
use crate::error::{Error, ErrorKind, Result};

/// An aggregate that the user made; two of them are never equal.
#[derive(Clone)]
pub struct UserAggregate {
    name: Arc<str>,
    /// Nothing of one of the library's own, which its name tells from others.
    id: Option<u64>,
    data_type: DataType,
    make: Arc<dyn Fn() -> Box<dyn UserState> + Send + Sync>,
}

/// The running value of one group.
pub trait UserState: Send {
    /// Takes in rows of the group, one array per argument.
    ///
    /// # Errors
    /// What the user's function returns.
    fn update(&mut self, values: &[ArrayRef]) -> Result<()>;

    /// Takes in the value of later rows of the same group.
    ///
    /// # Errors
    /// What the user's function returns.
    fn merge(&mut self, other: Box<dyn UserState>) -> Result<()>;

    /// The result, as an array of one value of the type that was declared.
    ///
    /// # Errors
    /// What the user's function returns; of kind `Task`, where it is of another type.
    fn finish(self: Box<Self>) -> Result<ArrayRef>;

    /// Itself, to be recognized.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl UserAggregate {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is one of the library's own.
    pub(crate) fn is_built_in(&self) -> bool {
        self.id.is_none()
    }

    /// The type of its result.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The running value of a group without rows.
    pub fn init(&self) -> Box<dyn UserState> {
        (self.make)()
    }
}

impl fmt::Debug for UserAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(f, "{} #{id}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl PartialEq for UserAggregate {
    fn eq(&self, other: &UserAggregate) -> bool {
        self.id == other.id && (self.id.is_some() || self.name == other.name)
    }
}

impl Eq for UserAggregate {}

impl Hash for UserAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
        self.name.hash(state);
    }
}

/// An aggregate of one's own over some expressions: `init` makes the running value of a group, `update` takes in some of its rows (an array for
/// each expression), `merge` the running value of later rows of the same group, `finish` makes the result.
///
/// Rows come in their order, cut anywhere; nulls come too.
///
/// ```
/// use arrow::array::AsArray;
/// use arrow::datatypes::Int64Type;
/// use chunkwise::prelude::*;
///
/// let range = aggregate(
///     "range",
///     [col("v")],
///     DataType::Int64,
///     || (i64::MAX, i64::MIN),
///     |state, values| {
///         for v in values[0].as_primitive::<Int64Type>().iter().flatten() {
///             *state = (state.0.min(v), state.1.max(v));
///         }
///         Ok(())
///     },
///     |state, other| {
///         *state = (state.0.min(other.0), state.1.max(other.1));
///         Ok(())
///     },
///     |(least, most)| Ok(most - least),
/// );
/// let df = dataframe::from_columns([("k", vec![1i64, 2, 1]), ("v", vec![10, 20, 35])]);
/// let table = df.group_by(["k"]).agg([range.alias("range")]).compute()?;
/// assert_eq!(table.to_string(), "k  range\n-  -----\n1     25\n2      0\n");
/// # Ok::<(), chunkwise::Error>(())
/// ```
pub fn aggregate<S, V>(
    name: &str,
    args: impl IntoIterator<Item = Expr>,
    data_type: DataType,
    init: impl Fn() -> S + Send + Sync + 'static,
    update: impl Fn(&mut S, &[ArrayRef]) -> Result<()> + Send + Sync + 'static,
    merge: impl Fn(&mut S, S) -> Result<()> + Send + Sync + 'static,
    finish: impl Fn(S) -> Result<V> + Send + Sync + 'static,
) -> Expr
where
    S: Send + 'static,
    V: Into<Value>,
{
    let functions = Arc::new(Functions {
        name: name.into(),
        data_type: data_type.clone(),
        update: Box::new(update),
        merge: Box::new(merge),
        finish: Box::new(move |state| finish(state).map(Into::into)),
    });
    let make = move || -> Box<dyn UserState> { Box::new(Running { state: init(), functions: functions.clone() }) };
    let user = UserAggregate { name: name.into(), id: Some(next_id()), data_type, make: Arc::new(make) };
    of_user(user, args)
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn of_user(user: UserAggregate, args: impl IntoIterator<Item = Expr>) -> Expr {
    let function = AggregateFunction::User(user);
    Expr::Aggregate(Arc::new(Aggregate { function, args: args.into_iter().collect(), filter: None }))
}

/// An aggregate of the library's that is made as a user's would be; those of one name are one.
pub(crate) fn built_in_aggregate(
    name: &'static str,
    args: impl IntoIterator<Item = Expr>,
    data_type: DataType,
    make: impl Fn() -> Box<dyn UserState> + Send + Sync + 'static,
) -> Expr {
    of_user(UserAggregate { name: name.into(), id: None, data_type, make: Arc::new(make) }, args)
}

type Update<S> = dyn Fn(&mut S, &[ArrayRef]) -> Result<()> + Send + Sync;
type Merge<S> = dyn Fn(&mut S, S) -> Result<()> + Send + Sync;
type Finish<S> = dyn Fn(S) -> Result<Value> + Send + Sync;

struct Functions<S> {
    name: Arc<str>,
    data_type: DataType,
    update: Box<Update<S>>,
    merge: Box<Merge<S>>,
    finish: Box<Finish<S>>,
}

struct Running<S> {
    state: S,
    functions: Arc<Functions<S>>,
}

impl<S: Send + 'static> UserState for Running<S> {
    fn update(&mut self, values: &[ArrayRef]) -> Result<()> {
        (self.functions.update)(&mut self.state, values)
    }

    fn merge(&mut self, other: Box<dyn UserState>) -> Result<()> {
        let other = other.into_any().downcast::<Running<S>>();
        let other = other.map_err(|_| Error::internal("values of two aggregates are to be put together"))?;
        (self.functions.merge)(&mut self.state, other.state)
    }

    fn finish(self: Box<Self>) -> Result<ArrayRef> {
        let Running { state, functions } = *self;
        let value = (functions.finish)(state)?;
        value.to_array_of(&functions.data_type).ok_or_else(|| {
            let (name, wanted) = (&functions.name, &functions.data_type);
            Error::new(ErrorKind::Task, format!("the aggregate `{name}` gave {value}, and {wanted} was declared"))
        })
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
