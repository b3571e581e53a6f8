//! What is said of a column that is not there.

use arrow::datatypes::Schema;

use crate::error::{Error, ErrorKind};

/// Columns that a message lists at most.
const LISTED: usize = 30;

/// The error of a name that is no column: lists those there are, and the one that was meant if one is close.
pub fn unknown_column(name: &str, schema: &Schema) -> Error {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut listed = names.iter().take(LISTED).copied().collect::<Vec<&str>>().join(", ");
    if names.len() > LISTED {
        listed.push_str(&format!(" and {} more", names.len() - LISTED));
    }
    let close = names.iter().map(|known| (distance(name, known), *known)).min();
    let most = 1 + name.chars().count() / 4;
    let hint = match close {
        Some((distance, known)) if distance <= most => format!(" (did you mean `{known}`?)"),
        _ => String::new(),
    };
    let listed = if listed.is_empty() { "there are no columns".to_string() } else { format!("columns are {listed}") };
    Error::new(ErrorKind::Plan, format!("column `{name}` not found; {listed}{hint}"))
}

/// How many letters have to be changed, added or removed, where case does not count.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn names_the_columns_and_what_was_meant() {
        let fields = ["id", "value", "category"].map(|name| Field::new(name, DataType::Int64, true));
        let schema = Schema::new(fields.to_vec());
        assert_eq!(
            unknown_column("catgory", &schema).message(),
            "column `catgory` not found; columns are id, value, category (did you mean `category`?)"
        );
        assert_eq!(
            unknown_column("zebra", &schema).message(),
            "column `zebra` not found; columns are id, value, category"
        );
        assert_eq!((distance("kitten", "Sitting"), distance("", "abc")), (3, 3));
    }
}
