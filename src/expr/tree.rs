//! Expressions as trees: what they are made of, whether two are equal, walks and drops. Nothing here recurses, so an
//! expression may be as deep as memory goes; a part that is shared is walked once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use super::{Aggregate, Expr, Function, Parameter, UnaryOp};
use crate::error::{Error, ErrorKind, Result};

impl Expr {
    /// What it is made of, in order.
    pub fn operands(&self) -> Vec<&Expr> {
        match self {
            Expr::Column(_) | Expr::Literal(_) | Expr::Parameter(_) | Expr::Selector(_) => Vec::new(),
            Expr::Alias(of, _) | Expr::Affix(of, ..) | Expr::Cast(of, ..) | Expr::Unary(_, of) => vec![of],
            Expr::Binary(left, _, right) => vec![left, right],
            Expr::Case(branches, otherwise) => {
                let branches = branches.iter().flat_map(|(condition, value)| [value, condition]);
                branches.chain(otherwise.as_deref()).collect()
            }
            Expr::Call(_, args) => args.iter().collect(),
            Expr::Aggregate(aggregate) => aggregate.args.iter().chain(&aggregate.filter).collect(),
        }
    }

    /// The same of other operands, as many as [`Expr::operands`] gives and in that order.
    pub(super) fn with_operands(&self, operands: Vec<Expr>) -> Expr {
        let mut operands = operands.into_iter();
        // A missing operand would be a defect of the caller: the old one stays.
        let mut next = |old: &Expr| operands.next().unwrap_or_else(|| old.clone());
        match self {
            Expr::Column(_) | Expr::Literal(_) | Expr::Parameter(_) | Expr::Selector(_) => self.clone(),
            Expr::Alias(of, name) => Expr::Alias(Arc::new(next(of)), name.clone()),
            Expr::Affix(of, before, behind) => Expr::Affix(Arc::new(next(of)), before.clone(), behind.clone()),
            Expr::Cast(of, to, lossy) => Expr::Cast(Arc::new(next(of)), to.clone(), *lossy),
            Expr::Unary(op, of) => Expr::Unary(*op, Arc::new(next(of))),
            Expr::Binary(left, op, right) => {
                let left = Arc::new(next(left));
                Expr::Binary(left, *op, Arc::new(next(right)))
            }
            Expr::Case(branches, otherwise) => {
                let branches = branches.iter().map(|(condition, value)| {
                    let value = next(value);
                    (next(condition), value)
                });
                let branches: Vec<(Expr, Expr)> = branches.collect();
                Expr::Case(branches.into(), otherwise.as_deref().map(|of| Arc::new(next(of))))
            }
            Expr::Call(function, args) => Expr::Call(function.clone(), args.iter().map(next).collect()),
            Expr::Aggregate(aggregate) => {
                let args = aggregate.args.iter().map(&mut next).collect();
                let filter = aggregate.filter.as_ref().map(&mut next);
                Expr::Aggregate(Arc::new(Aggregate { function: aggregate.function.clone(), args, filter }))
            }
        }
    }

    /// The columns it reads; those of selectors are not known before [`Expr::expand`].
    pub fn columns(&self) -> BTreeSet<Arc<str>> {
        let mut names = BTreeSet::new();
        for expr in self.parts() {
            if let Expr::Column(name) = expr {
                names.insert(name.clone());
            }
        }
        names
    }

    /// The parameters in it, each once.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut found: Vec<Parameter> = Vec::new();
        for expr in self.parts() {
            if let Expr::Parameter(parameter) = expr
                && !found.contains(parameter)
            {
                found.push(parameter.clone());
            }
        }
        found
    }

    /// The name of the column it gives: its alias, or the first column in it.
    pub fn output_name(&self) -> Arc<str> {
        let (mut before, mut behind) = (String::new(), String::new());
        let mut fallback: Option<Arc<str>> = None;
        let mut seen = HashSet::new();
        let mut open = vec![self];
        let mut name = None;
        while let Some(expr) = open.pop() {
            match expr {
                Expr::Column(column) | Expr::Alias(_, column) => {
                    name = Some(column.clone());
                    break;
                }
                // Only around the whole.
                Expr::Affix(of, left, right) if open.is_empty() => {
                    before.push_str(left);
                    behind.insert_str(0, right);
                    open.push(of);
                    continue;
                }
                Expr::Parameter(parameter) if fallback.is_none() => fallback = Some(parameter.label.clone()),
                Expr::Aggregate(aggregate) if aggregate.args.is_empty() && fallback.is_none() => {
                    fallback = Some(aggregate.function.name().into());
                }
                _ => {}
            }
            if seen.insert(std::ptr::from_ref(expr)) {
                open.extend(expr.operands().into_iter().rev());
            }
        }
        let name = name.or(fallback).unwrap_or_else(|| "literal".into());
        if before.is_empty() && behind.is_empty() { name } else { format!("{before}{name}{behind}").into() }
    }

    /// The aggregate and what it is taken of, where the expression is one (under a name or not).
    pub fn as_aggregate(&self) -> Option<&Aggregate> {
        if let Expr::Aggregate(aggregate) = self.unnamed() { Some(aggregate) } else { None }
    }

    /// Without the names around it.
    pub fn unnamed(&self) -> &Expr {
        let mut expr = self;
        while let Expr::Alias(of, _) | Expr::Affix(of, ..) = expr {
            expr = of;
        }
        expr
    }

    /// Whether there is an aggregate somewhere in it.
    pub fn has_aggregate(&self) -> bool {
        self.parts().into_iter().any(|expr| matches!(expr, Expr::Aggregate(_)))
    }

    /// Whether there is a selector somewhere in it.
    pub fn has_selector(&self) -> bool {
        self.parts().into_iter().any(|expr| matches!(expr, Expr::Selector(_)))
    }

    /// # Errors
    /// Of kind `Plan` with the reason, where a part of it was made of what it does not take.
    pub fn check_valid(&self) -> Result<()> {
        let wrong = self.parts().into_iter().find_map(|part| match part {
            Expr::Call(Function::Invalid(reason), _) => Some(reason),
            _ => None,
        });
        wrong.map_or(Ok(()), |reason| Err(Error::new(ErrorKind::Plan, &**reason)))
    }

    /// Whether evaluating it again gives the same: everything but users' functions, of which nothing is known.
    pub fn is_deterministic(&self) -> bool {
        !self.parts().into_iter().any(|expr| matches!(expr, Expr::Call(Function::User(_), _)))
    }

    /// The conditions of which all have to be true: `a & b & c` in parts.
    pub fn conjuncts(&self) -> Vec<Expr> {
        let (mut parts, mut open, mut seen) = (Vec::new(), vec![self], HashSet::new());
        while let Some(expr) = open.pop() {
            let expr = expr.unnamed();
            // What stands there again says nothing new.
            if !seen.insert(std::ptr::from_ref(expr)) {
                continue;
            }
            match expr {
                Expr::Binary(left, super::BinaryOp::And, right) => open.extend([&**right, &**left]),
                other => parts.push(other.clone()),
            }
        }
        parts
    }

    /// All parts, each after what it is made of, itself last. A part that is shared stands there once.
    pub(super) fn parts(&self) -> Vec<&Expr> {
        let mut order = Vec::new();
        let mut seen = HashSet::new();
        let mut open = vec![(self, false)];
        while let Some((expr, done)) = open.pop() {
            if done {
                order.push(expr);
            } else if seen.insert(std::ptr::from_ref(expr)) {
                open.push((expr, true));
                open.extend(expr.operands().into_iter().rev().map(|operand| (operand, false)));
            }
        }
        order
    }

    /// Made anew from the leaves up: `change` is given a part with its new operands, and gives what stands in its place.
    ///
    /// Equal parts are made once and shared, also where they were not: a part that is shared stands at as many addresses as
    /// it has readers, and would be made so many times, at each rebuild more of them.
    pub(super) fn rebuild(&self, mut change: impl FnMut(Expr) -> Expr) -> Expr {
        // Parts by address, as places in `distinct`: a part, its operands, and what stands in its place.
        let mut places: HashMap<*const Expr, usize> = HashMap::new();
        let mut distinct: Vec<(&Expr, Vec<usize>, Expr)> = Vec::new();
        let mut known: HashMap<u64, Vec<usize>> = HashMap::new();
        let random = foldhash::fast::RandomState::default();
        for expr in self.parts() {
            let operands = expr.operands();
            let operands: Vec<usize> =
                operands.into_iter().map(|operand| places[&std::ptr::from_ref(operand)]).collect();
            let mut hasher = random.build_hasher();
            expr.hash_head(&mut hasher);
            operands.hash(&mut hasher);
            let alike = known.entry(hasher.finish()).or_default();
            let equal = |at: &&usize| distinct[**at].1 == operands && distinct[**at].0.same_head(expr);
            let place = match alike.iter().find(equal) {
                Some(at) => *at,
                None => {
                    let fresh = match operands.is_empty() {
                        true => expr.clone(),
                        false => expr.with_operands(operands.iter().map(|at| distinct[*at].2.clone()).collect()),
                    };
                    alike.push(distinct.len());
                    distinct.push((expr, operands, change(fresh)));
                    distinct.len() - 1
                }
            };
            places.insert(std::ptr::from_ref(expr), place);
        }
        // The whole is its own last part.
        distinct.pop().map_or_else(|| self.clone(), |(.., made)| made)
    }

    fn is_leaf(&self) -> bool {
        matches!(self, Expr::Column(_) | Expr::Literal(_) | Expr::Parameter(_) | Expr::Selector(_))
    }

    /// Whether both are the same but for their operands.
    pub(super) fn same_head(&self, other: &Expr) -> bool {
        match (self, other) {
            (Expr::Column(left), Expr::Column(right)) => left == right,
            (Expr::Literal(left), Expr::Literal(right)) => left == right,
            (Expr::Parameter(left), Expr::Parameter(right)) => left == right,
            (Expr::Alias(_, left), Expr::Alias(_, right)) => left == right,
            (Expr::Affix(_, left, a), Expr::Affix(_, right, b)) => left == right && a == b,
            (Expr::Cast(_, left, a), Expr::Cast(_, right, b)) => left == right && a == b,
            (Expr::Unary(left, _), Expr::Unary(right, _)) => left == right,
            (Expr::Binary(_, left, _), Expr::Binary(_, right, _)) => left == right,
            (Expr::Case(left, a), Expr::Case(right, b)) => left.len() == right.len() && a.is_some() == b.is_some(),
            (Expr::Call(left, a), Expr::Call(right, b)) => left == right && a.len() == b.len(),
            (Expr::Aggregate(left), Expr::Aggregate(right)) => {
                left.function == right.function
                    && left.args.len() == right.args.len()
                    && left.filter.is_some() == right.filter.is_some()
            }
            (Expr::Selector(left), Expr::Selector(right)) => left == right,
            _ => false,
        }
    }

    /// Hashes what [`Expr::same_head`] compares.
    pub(super) fn hash_head<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Expr::Column(name) | Expr::Alias(_, name) => name.hash(state),
            Expr::Literal(value) => value.hash(state),
            Expr::Parameter(parameter) => parameter.id.hash(state),
            Expr::Affix(_, before, behind) => (before, behind).hash(state),
            Expr::Cast(_, to, lossy) => (to, lossy).hash(state),
            Expr::Unary(op, _) => op.hash(state),
            Expr::Binary(_, op, _) => op.hash(state),
            Expr::Case(branches, otherwise) => (branches.len(), otherwise.is_some()).hash(state),
            Expr::Call(function, args) => (function, args.len()).hash(state),
            Expr::Aggregate(aggregate) => {
                (&aggregate.function, aggregate.args.len(), aggregate.filter.is_some()).hash(state);
            }
            Expr::Selector(selector) => selector.hash(state),
        }
    }

    /// Moves its operands out, so that it can be dropped without going deeper.
    fn unhook(&mut self, open: &mut Vec<Expr>) {
        let mut take = |of: &mut Arc<Expr>| {
            if !of.is_leaf()
                && let Some(own) = Arc::get_mut(of)
            {
                open.push(std::mem::replace(own, LEAF));
            }
        };
        match self {
            Expr::Column(_) | Expr::Literal(_) | Expr::Parameter(_) | Expr::Selector(_) => {}
            Expr::Alias(of, _) | Expr::Affix(of, ..) | Expr::Cast(of, ..) | Expr::Unary(_, of) => take(of),
            Expr::Binary(left, _, right) => {
                take(left);
                take(right);
            }
            Expr::Case(branches, otherwise) => {
                otherwise.iter_mut().for_each(take);
                let branches = Arc::get_mut(branches).into_iter().flatten();
                open.extend(branches.flat_map(|(condition, value)| [condition, value]).filter_map(own));
            }
            Expr::Call(_, args) => open.extend(Arc::get_mut(args).into_iter().flatten().filter_map(own)),
            Expr::Aggregate(aggregate) => {
                if let Some(Aggregate { args, filter, .. }) = Arc::get_mut(aggregate) {
                    open.extend(args.iter_mut().chain(filter).filter_map(own));
                }
            }
        }
    }
}

const LEAF: Expr = Expr::Literal(super::Value::Null);

fn own(of: &mut Expr) -> Option<Expr> {
    (!of.is_leaf()).then(|| std::mem::replace(of, LEAF))
}

impl Drop for Expr {
    fn drop(&mut self) {
        if self.is_leaf() {
            return;
        }
        let mut open = Vec::new();
        self.unhook(&mut open);
        while let Some(mut expr) = open.pop() {
            expr.unhook(&mut open);
        }
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Expr) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![(self, other)];
        while let Some((left, right)) = open.pop() {
            if std::ptr::eq(left, right) {
                continue;
            }
            if !left.same_head(right) {
                return false;
            }
            if !left.is_leaf() && seen.insert((std::ptr::from_ref(left), std::ptr::from_ref(right))) {
                open.extend(left.operands().into_iter().zip(right.operands()));
            }
        }
        true
    }
}

impl Eq for Expr {}

impl Hash for Expr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Parts that are shared count once on either side only where they are shared on both, so what is hashed is the
        // first part of it alone: equal expressions have equal beginnings.
        let (mut open, mut left) = (std::collections::VecDeque::from([self]), 64);
        while let Some(expr) = open.pop_front() {
            expr.hash_head(state);
            left -= 1;
            if left == 0 {
                break;
            }
            open.extend(expr.operands());
        }
    }
}

/// Whether it negates.
pub(super) fn negated(expr: &Expr) -> Option<&Expr> {
    if let Expr::Unary(UnaryOp::Not, of) = expr { Some(of) } else { None }
}
