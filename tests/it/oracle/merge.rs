//! Joins of the naive engine: two loops.

use chunkwise::prelude::*;

use super::Pick;
use super::expr::{self, E, Overflow};
use super::value::{Column, Rows, V, order};

/// A join of a table with some of its own rows and columns; without a kind each with each.
#[derive(Clone, Debug)]
pub struct Merge {
    how: Option<How>,
    keys: Vec<String>,
    others: Vec<String>,
    condition: E,
    nulls_equal: bool,
    /// Keys of the right table are called otherwise.
    renamed: bool,
}

impl Merge {
    /// One of these columns, if its rows are not too many.
    pub fn pick(pick: &mut Pick, input: &Rows, keys: Vec<String>, mut others: Vec<String>) -> Option<Merge> {
        let hows = [How::Inner, How::Left, How::Right, How::Semi, How::Anti].map(Some);
        let how = if pick.chance(10) { None } else { pick.one(&hows) };
        let keys = if how.is_some() { keys } else { Vec::new() };
        others.retain(|name| !keys.contains(name));
        let condition = expr::condition(pick, &input.columns, 1)?;
        let merge = Merge { how, keys, others, condition, nulls_equal: pick.chance(30), renamed: pick.chance(30) };
        let taken = |name: &String| ["_x", "_y", "r_"].iter().any(|mark| name.contains(mark));
        let clear = !input.columns.iter().any(|column| taken(&column.name)) && !merge.right_names().is_empty();
        // Pairs are many.
        (clear && merge.run(input).is_ok_and(|rows| rows.rows.len() <= 2000)).then_some(merge)
    }

    /// The columns of the right table: as they are called in the input, and there.
    fn right_names(&self) -> Vec<(String, String)> {
        let key = |name: &String| (name.clone(), if self.renamed { format!("r_{name}") } else { name.clone() });
        let other = |name: &String| (name.clone(), name.clone());
        self.keys.iter().map(key).chain(self.others.iter().map(other)).collect()
    }

    pub fn tell(&self, df: &DataFrame) -> DataFrame {
        let right = self.right_names().into_iter().map(|(from, to)| col(&from).alias(&to));
        let right = df.filter(self.condition.expr()).select(right.collect::<Vec<_>>());
        let Some(how) = self.how else { return df.cross_join(&right) };
        let names = self.right_names();
        let on = On::pairs(self.keys.iter().zip(&names).map(|(left, (_, right))| (left, right)));
        df.merge(&right, if self.nulls_equal { on.nulls_equal() } else { on }, how)
    }

    pub fn run(&self, input: &Rows) -> Result<Rows, Overflow> {
        let names = self.right_names();
        let places: Vec<usize> = names.iter().map(|(from, _)| input.place(from)).collect();
        let mut right: Vec<&Vec<V>> = Vec::new();
        for row in &input.rows {
            if self.condition.eval(&input.columns, row)? == V::Bool(true) {
                right.push(row);
            }
        }
        let alike = |name: &String| self.keys.contains(name) && !self.renamed;
        let in_right = |name: &String| names.iter().any(|(_, to)| to == name);
        let in_left = |name: &String| input.columns.iter().any(|column| column.name == *name);
        let filters = matches!(self.how, Some(How::Semi | How::Anti));
        // Of each column of the result: whether it is the right table's, and its place in the input.
        let mut columns: Vec<(Column, bool, usize)> = Vec::new();
        for (at, column) in input.columns.iter().enumerate() {
            let clash = in_right(&column.name) && !alike(&column.name) && !filters;
            let name = if clash { format!("{}_x", column.name) } else { column.name.clone() };
            let from_right = alike(&column.name) && self.how == Some(How::Right);
            columns.push((Column { name, ..column.clone() }, from_right, at));
        }
        for ((_, to), at) in names.iter().zip(&places).filter(|((_, to), _)| !filters && !alike(to)) {
            let name = if in_left(to) { format!("{to}_y") } else { to.clone() };
            columns.push((Column { name, ..input.columns[*at].clone() }, true, *at));
        }
        let keys: Vec<usize> = self.keys.iter().map(|name| input.place(name)).collect();
        let equal = |a: &[V], b: &[V]| {
            keys.iter().all(|at| order(&a[*at], &b[*at]).is_eq() && (a[*at] != V::Null || self.nulls_equal))
        };
        let mut rows = Vec::new();
        let mut push = |left: Option<&Vec<V>>, right: Option<&Vec<V>>| {
            let cell = |(_, from_right, at): &(Column, bool, usize)| {
                let row = if *from_right { right } else { left };
                row.map_or(V::Null, |row| row[*at].clone())
            };
            rows.push(columns.iter().map(cell).collect::<Vec<V>>());
        };
        if self.how == Some(How::Right) {
            for own in &right {
                let partners: Vec<&Vec<V>> = input.rows.iter().filter(|row| equal(row, own)).collect();
                partners.iter().for_each(|row| push(Some(row), Some(own)));
                if partners.is_empty() {
                    push(None, Some(own));
                }
            }
        } else {
            for own in &input.rows {
                let partners = right.iter().filter(|row| self.how.is_none() || equal(own, row));
                let partners: Vec<&Vec<V>> = partners.copied().collect();
                match self.how {
                    Some(How::Semi) if partners.is_empty() => {}
                    Some(How::Semi) => push(Some(own), None),
                    Some(How::Anti | How::Left) if partners.is_empty() => push(Some(own), None),
                    Some(How::Anti) => {}
                    _ => partners.iter().for_each(|row| push(Some(own), Some(row))),
                }
            }
        }
        Ok(Rows { columns: columns.into_iter().map(|(column, ..)| column).collect(), rows, shaky: input.shaky })
    }
}
