//! The columns of a schema by their names, for those who look many up.

use std::cell::{Cell, OnceCell};
use std::hash::BuildHasher;

use arrow::datatypes::{Field, Schema};
use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// So many names are looked for one by one: a table of all costs more than that.
const ONE_BY_ONE: u32 = 4;

/// A schema whose columns are found in one step each, however many there are. Of equal names the first one counts.
pub(crate) struct Lookup<'a> {
    schema: &'a Schema,
    /// Places by name, once it is worth while.
    places: OnceCell<HashTable<usize>>,
    asked: Cell<u32>,
}

impl<'a> Lookup<'a> {
    /// Those of a schema.
    pub fn new(schema: &'a Schema) -> Lookup<'a> {
        Lookup { schema, places: OnceCell::new(), asked: Cell::new(0) }
    }

    /// The schema they are of.
    pub fn schema(&self) -> &'a Schema {
        self.schema
    }

    /// Where a column stands.
    pub fn place(&self, name: &str) -> Option<usize> {
        let fields = self.schema.fields();
        if self.asked.get() < ONE_BY_ONE {
            self.asked.set(self.asked.get() + 1);
            return fields.iter().position(|field| field.name() == name);
        }
        let hash = |name: &str| FixedState::default().hash_one(name);
        let places = self.places.get_or_init(|| {
            let mut places = HashTable::with_capacity(fields.len());
            for (at, field) in fields.iter().enumerate() {
                let same = |known: &usize| fields[*known].name() == field.name();
                let entry = places.entry(hash(field.name()), same, |known| hash(fields[*known].name()));
                entry.or_insert(at);
            }
            places
        });
        places.find(hash(name), |at| fields[*at].name() == name).copied()
    }

    /// A column.
    pub fn field(&self, name: &str) -> Option<&'a Field> {
        self.place(name).map(|at| self.schema.field(at))
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn they_are_found_as_by_going_through_them() {
        for count in [0, 1, 3, 50] {
            let names = (0..count).map(|at| format!("c{}", at % 40));
            let schema = Schema::new(names.map(|name| Field::new(name, DataType::Int8, true)).collect::<Vec<_>>());
            let fields = Lookup::new(&schema);
            for at in 0..60 {
                let name = format!("c{at}");
                assert_eq!(fields.place(&name), schema.index_of(&name).ok(), "{name} of {count}");
                assert_eq!(fields.field(&name), schema.field_with_name(&name).ok());
            }
        }
    }
}
