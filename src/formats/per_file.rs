//! Columns that are the same in all rows of a file: the keys of its directories, and its path.
//!
//! All formats read them through here: which columns a source has beside those in its files, their values, and which files a condition on
//! them leaves out before any is opened.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions, StringArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Schema, SchemaRef};

use super::hive::{DataFile, KeyColumn, digest, key_columns};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Expr, Lookup, Program, unknown_column};

/// Which columns a source has beside those in its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileColumns {
    /// Whether directories such as `year=2024` make a column. It stands above one of that name in the files.
    pub hive: bool,
    /// Types of such columns, where they are not to be found out; the last one of a column counts.
    pub hive_types: Vec<(String, DataType)>,
    /// The name of a column with the paths of the files.
    pub include_path: Option<String>,
}

impl Default for FileColumns {
    fn default() -> Self {
        FileColumns { hive: true, hive_types: Vec::new(), include_path: None }
    }
}

impl FileColumns {
    /// The columns that the directories of some files give.
    pub(super) fn keys<'a>(&self, files: &'a [DataFile]) -> HashSet<&'a str> {
        let keys = files.iter().flat_map(|file| &file.keys).map(|(key, _)| key.as_str());
        if self.hive { keys.collect() } else { HashSet::new() }
    }
}

/// The columns of a source of files.
#[derive(Debug)]
pub(super) struct PerFile {
    schema: SchemaRef,
    /// Where each column comes from.
    from: Vec<From>,
    /// Each with a row for each file.
    keys: Vec<KeyColumn>,
    /// The paths of the files, where they are a column.
    paths: Option<ArrayRef>,
    digest: u128,
}

/// Where a column of the source comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// A column of the files.
    Files,
    /// A key of the directories, by its number.
    Key(usize),
    /// The path of the file.
    Path,
}

/// What conditions say before any file is opened.
pub(super) struct Judged {
    /// Those that are still to be asked for the rows.
    pub rest: Vec<Expr>,
    /// Which files may have rows for which all are true.
    pub kept: Vec<bool>,
}

impl Judged {
    /// What is left out, in words; nothing where nothing is.
    pub fn detail(&self) -> String {
        let (kept, all) = (self.kept.iter().filter(|kept| **kept).count(), self.kept.len());
        if kept == all { String::new() } else { format!("files {kept} of {all}") }
    }
}

impl PerFile {
    /// The columns of the files, then keys and path; a key takes the place of a column of its name. `declared` are types that an option for all
    /// columns declares; those for keys alone count more.
    ///
    /// # Errors
    /// Of kind `Plan`, where the column of paths has the name of another one, or a type is declared of a key that is not there; of kind
    /// `Data`, where a value is not of the declared type.
    pub fn new(
        of_files: impl IntoIterator<Item = FieldRef>,
        files: &[DataFile],
        options: &FileColumns,
        declared: &[(String, DataType)],
    ) -> Result<PerFile> {
        let known = options.keys(files);
        if let Some((name, _)) = options.hive_types.iter().find(|(name, _)| !known.contains(name.as_str())) {
            let why = if options.hive { "no directory of a file is called `key=value` for it" } else { "hive is off" };
            return Err(Error::new(ErrorKind::Plan, format!("the type of key `{name}` is declared, and {why}")));
        }
        let keys = if options.hive {
            let types: Vec<_> = declared.iter().chain(&options.hive_types).cloned().collect();
            key_columns(files, &types)?
        } else {
            Vec::new()
        };
        let paths = options.include_path.as_ref().map(|_| -> ArrayRef {
            Arc::new(files.iter().map(|file| Some(file.file.path.to_string_lossy())).collect::<StringArray>())
        });
        let mut fields: Vec<FieldRef> = of_files.into_iter().collect();
        let mut from = vec![From::Files; fields.len()];
        let key_fields = keys
            .iter()
            .enumerate()
            .map(|(index, key)| (Field::new(&key.name, key.values.data_type().clone(), true), From::Key(index)));
        let path = options.include_path.iter().map(|name| (Field::new(name, DataType::Utf8, true), From::Path));
        for (field, origin) in key_fields.chain(path) {
            match fields.iter().position(|known| known.name() == field.name()) {
                Some(_) if origin == From::Path => {
                    let name = field.name();
                    let text = format!("there is a column `{name}` already: give the column of paths another name");
                    return Err(Error::new(ErrorKind::Plan, text));
                }
                // What the directory says stands above what the file says.
                Some(place) => (fields[place], from[place]) = (Arc::new(field), origin),
                None => {
                    fields.push(Arc::new(field));
                    from.push(origin);
                }
            }
        }
        let digest = digest(&files.iter().map(|file| &file.keys).collect::<Vec<_>>());
        Ok(PerFile { schema: Arc::new(Schema::new(fields)), from, keys, paths, digest })
    }

    /// Some columns only, in the order in which they are named.
    ///
    /// # Errors
    /// Of kind `Plan`, where one is not there or is named twice.
    #[cfg(feature = "parquet")]
    pub fn select(self, names: &[String]) -> Result<PerFile> {
        let mut places: Vec<usize> = Vec::with_capacity(names.len());
        let (fields, mut seen) = (Lookup::new(&self.schema), HashSet::with_capacity(names.len()));
        for name in names {
            let Some(place) = fields.place(name) else {
                return Err(unknown_column(name, &self.schema));
            };
            if !seen.insert(place) {
                return Err(Error::new(ErrorKind::Plan, format!("column `{name}` is wanted twice")));
            }
            places.push(place);
        }
        let fields: Vec<FieldRef> = places.iter().map(|place| self.schema.fields()[*place].clone()).collect();
        let from = places.iter().map(|place| self.from[*place]).collect();
        Ok(PerFile { schema: Arc::new(Schema::new(fields)), from, ..self })
    }

    /// All columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What tells it from others of the same files: which directories give keys depends on the path that names the files.
    pub fn digest(&self) -> u128 {
        self.digest
    }

    /// Whether a column comes from the rows of the files.
    pub fn in_rows(&self, column: usize) -> bool {
        self.from[column] == From::Files
    }

    /// The value of a column in all rows of a file, as an array of one row; null where the column comes from the files and this one lacks it.
    pub fn constant(&self, column: usize, file: usize) -> ArrayRef {
        match (self.values(column), self.schema.field(column)) {
            (Some(values), _) => values.slice(file, 1),
            (None, field) => arrow::array::new_null_array(field.data_type(), 1),
        }
    }

    /// A column that is the same in all rows of a file, of so many rows; as a dictionary where it is text and `coded` says so.
    pub fn column(&self, column: usize, file: usize, rows: usize, coded: bool) -> ArrayRef {
        repeat(self.constant(column, file), rows, coded)
    }

    /// The values of a column that is the same in all rows of a file, of all files.
    fn values(&self, column: usize) -> Option<&ArrayRef> {
        match self.from[column] {
            From::Files => None,
            From::Key(key) => Some(&self.keys[key].values),
            From::Path => self.paths.as_ref(),
        }
    }

    /// Which conditions are settled, of so many files, by what is known before any is opened.
    ///
    /// # Errors
    /// Of kind `Plan`, where a condition does not fit the schema.
    pub fn judge(&self, predicates: &[Expr], files: usize) -> Result<Judged> {
        let mut judged = Judged { rest: Vec::new(), kept: vec![true; files] };
        let known = Lookup::new(&self.schema);
        for predicate in predicates {
            let (mut fields, mut arrays, mut settled) = (Vec::new(), Vec::new(), true);
            for name in predicate.columns() {
                let place = known.place(&name).ok_or_else(|| unknown_column(&name, &self.schema))?;
                match self.values(place) {
                    Some(values) => {
                        fields.push(self.schema.fields()[place].clone());
                        arrays.push(values.clone());
                    }
                    None => settled = false,
                }
            }
            if !settled {
                judged.rest.push(predicate.clone());
                continue;
            }
            let schema = Arc::new(Schema::new(fields));
            let program = Program::new(std::slice::from_ref(predicate), &schema)?;
            let options = RecordBatchOptions::new().with_row_count(Some(files));
            let all = RecordBatch::try_new_with_options(schema, arrays, &options);
            let mask = program.mask(&all.map_err(|error| Error::internal(error.to_string()))?)?;
            judged
                .kept
                .iter_mut()
                .enumerate()
                .for_each(|(file, kept)| *kept &= mask.is_valid(file) && mask.value(file));
        }
        Ok(judged)
    }
}

/// One value in many rows; as a dictionary where it is text and `coded` says so.
fn repeat(one: ArrayRef, rows: usize, coded: bool) -> ArrayRef {
    if coded && *one.data_type() == DataType::Utf8 {
        let key = one.is_valid(0).then_some(0);
        let keys: Int32Array = std::iter::repeat_n(key, rows).collect();
        if let Ok(array) = DictionaryArray::<Int32Type>::try_new(keys, one.clone()) {
            return Arc::new(array);
        }
    }
    let firsts = UInt32Array::from(vec![0; rows]);
    take(&one, &firsts, None).unwrap_or_else(|_| arrow::array::new_null_array(one.data_type(), rows))
}
