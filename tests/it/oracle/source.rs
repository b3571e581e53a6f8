//! Random tables, in memory and in files.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{Schema, SchemaRef};
use chunkwise::prelude::*;

use super::Pick;
use super::value::{Column, Rows, T, V};

/// A table and where it lies.
pub struct Source {
    pub rows: Rows,
    pub story: String,
    frame: DataFrame,
    _dir: Option<tempfile::TempDir>,
}

impl Source {
    pub fn frame(&self) -> &DataFrame {
        &self.frame
    }
}

const COLUMNS: [(&str, T); 13] = [
    ("i8", T::Int(8, true)),
    ("i16", T::Int(16, true)),
    ("i32", T::Int(32, true)),
    ("i64", T::Int(64, true)),
    ("u64", T::Int(64, false)),
    ("f32", T::F32),
    ("f64", T::F64),
    ("wild", T::F64),
    ("flag", T::Bool),
    ("text", T::Text),
    ("word", T::Text),
    ("date", T::Date),
    ("time", T::Micros),
];

pub fn random(pick: &mut Pick) -> Source {
    let len = match pick.below(6) {
        0 => 0,
        1 => 1 + pick.below(4),
        _ => pick.below(300),
    };
    let (nulls, extreme) = (pick.one(&[0, 5, 30, 100]), pick.chance(5));
    let mut chosen: Vec<(&str, T)> = COLUMNS.into_iter().filter(|_| pick.chance(60)).collect();
    if chosen.is_empty() {
        chosen.push(COLUMNS[3]);
    }
    let columns = chosen.iter().map(|(name, of)| {
        let dyadic = of.is_number() && *name != "wild" && !(extreme && of.is_int());
        Column { name: name.to_string(), of: *of, rough: None, dyadic }
    });
    let columns: Vec<Column> = columns.collect();
    let kinds: Vec<usize> = columns.iter().map(|_| pick.below(4)).collect();
    let mut rows: Vec<Vec<V>> = Vec::with_capacity(len);
    for _ in 0..len {
        let row = columns.iter().zip(&kinds).map(|(column, kind)| {
            let none = nulls == 100 && *kind == 0 || nulls < 100 && pick.chance(nulls);
            if none { V::Null } else { cell(pick, column, *kind, extreme) }
        });
        rows.push(row.collect());
    }
    let mut rows = Rows { columns, rows, shaky: false };
    match pick.below(if cfg!(feature = "parquet") { 7 } else { 5 }) {
        0..=2 => {
            let mut batches = batches(&rows, pick);
            let partitions = 1 + pick.below(5);
            if batches.is_empty() {
                batches.push(RecordBatch::new_empty(schema(&rows)));
            }
            let story = format!("{} rows in {} batches, {partitions} partitions", rows.rows.len(), batches.len());
            Source { rows, story, frame: dataframe::from_batches(batches, partitions), _dir: None }
        }
        3 => {
            // An empty field is null.
            for value in rows.rows.iter_mut().flatten() {
                if *value == V::Text(String::new()) {
                    *value = V::Null;
                }
            }
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("table.csv");
            std::fs::write(&path, csv(&rows)).unwrap();
            let block = 1 + pick.below(400) as u64;
            let mut read = dataframe::read_csv(path.to_str().unwrap()).block_bytes(block).partition_bytes(3 * block);
            for column in &rows.columns {
                read = read.dtype(&column.name, column.of.arrow());
            }
            let story = format!("{} rows of CSV in blocks of {block}", rows.rows.len());
            Source { story, frame: read.open().unwrap(), rows, _dir: Some(dir) }
        }
        4 => {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("table.arrow");
            let file = std::fs::File::create(&path).unwrap();
            let mut writer = arrow::ipc::writer::FileWriter::try_new(file, &schema(&rows)).unwrap();
            batches(&rows, pick).iter().for_each(|batch| writer.write(batch).unwrap());
            writer.finish().unwrap();
            let bytes = 1 + pick.below(5000) as u64;
            let read = dataframe::read_ipc(path.to_str().unwrap()).partition_bytes(bytes);
            let story = format!("{} rows of IPC, partitions of {bytes}", rows.rows.len());
            Source { story, frame: read.open().unwrap(), rows, _dir: Some(dir) }
        }
        #[cfg(feature = "parquet")]
        _ => parquet(rows, pick),
        #[cfg(not(feature = "parquet"))]
        _ => unreachable!("there are five"),
    }
}

#[cfg(feature = "parquet")]
fn parquet(rows: Rows, pick: &mut Pick) -> Source {
    use parquet::file::properties::WriterProperties;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table.parquet");
    let (group, dictionary, page) = (1 + pick.below(120), pick.chance(50), 1 + pick.below(50));
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .set_dictionary_enabled(dictionary)
        .set_data_page_row_count_limit(page)
        .set_write_batch_size(page)
        .build();
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, schema(&rows), Some(properties)).unwrap();
    batches(&rows, pick).iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
    let bytes = 1 + pick.below(5000) as u64;
    let frame = dataframe::read_parquet(path.to_str().unwrap()).partition_bytes(bytes).open().unwrap();
    let story = format!(
        "{} rows of Parquet, groups of {group}, pages of {page}, dictionaries: {dictionary}, partitions of {bytes}",
        rows.rows.len()
    );
    Source { rows, story, frame, _dir: Some(dir) }
}

/// A value: `kind` says how many different ones a column has.
fn cell(pick: &mut Pick, column: &Column, kind: usize, extreme: bool) -> V {
    let skewed = |pick: &mut Pick, most: usize| match kind {
        0 => 0,
        1 => pick.below(3),
        // Mostly one value.
        2 if pick.chance(80) => 1,
        _ => pick.below(most),
    };
    match column.of {
        T::List(_) => panic!("lists are made by aggregates alone"),
        T::Bool => V::Bool(pick.chance(50)),
        T::Int(bits, signed) if extreme && pick.chance(10) => {
            let top = if signed { (1i128 << (bits - 1)) - 1 } else { (1i128 << bits) - 1 };
            V::Int(if pick.chance(50) || !signed { top } else { -top - 1 })
        }
        T::Int(8, _) => V::Int(skewed(pick, 60) as i128 - 20),
        T::Int(_, true) => V::Int(skewed(pick, 400) as i128 - 100),
        T::Int(_, false) => V::Int(skewed(pick, 400) as i128),
        T::F32 | T::F64 if column.name == "wild" => V::Float(match pick.below(12) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            3 => -0.0,
            4 => 0.0,
            5 => 0.1 * pick.below(100) as f64,
            _ => (skewed(pick, 100) as f64 - 50.0) / 4.0,
        }),
        T::F32 | T::F64 => V::Float(match pick.below(40) {
            0 if column.of == T::F32 => f64::NAN,
            1 => -0.0,
            _ => (skewed(pick, 200) as f64 - 60.0) / 4.0,
        }),
        T::Text if column.name == "word" => V::Text(format!("word {}", skewed(pick, 30))),
        T::Text => V::Text(pick.text()),
        T::Date => V::Time(skewed(pick, 30_000) as i64 - 10_000),
        T::Micros => V::Time((skewed(pick, 40_000) as i64 - 20_000) * 43_217_000_001),
    }
}

fn schema(rows: &Rows) -> SchemaRef {
    let fields = rows.columns.iter().map(|column| arrow::datatypes::Field::new(&column.name, column.of.arrow(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The rows in batches of random lengths, some of them empty.
fn batches(rows: &Rows, pick: &mut Pick) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let mut left = &rows.rows[..];
    while !left.is_empty() {
        let len = match pick.below(5) {
            0 => 0,
            1 => left.len(),
            _ => 1 + pick.below(80),
        };
        let (own, others) = left.split_at(len.min(left.len()));
        let arrays = rows.columns.iter().enumerate().map(|(at, column)| array(own, at, column.of));
        batches.push(RecordBatch::try_new(schema(rows), arrays.collect()).unwrap());
        left = others;
    }
    batches
}

fn array(rows: &[Vec<V>], at: usize, of: T) -> ArrayRef {
    let cells = || rows.iter().map(|row| &row[at]);
    macro_rules! ints {
        ($array:ty) => {
            Arc::new(
                cells().map(|cell| if let V::Int(value) = cell { Some(*value as _) } else { None }).collect::<$array>(),
            )
        };
    }
    let time = |cell: &V| if let V::Time(value) = cell { Some(*value) } else { None };
    let float = |cell: &V| if let V::Float(value) = cell { Some(*value) } else { None };
    match of {
        T::List(_) => panic!("lists are made by aggregates alone"),
        T::Bool => Arc::new(
            cells().map(|cell| if let V::Bool(value) = cell { Some(*value) } else { None }).collect::<BooleanArray>(),
        ),
        T::Int(8, _) => ints!(Int8Array),
        T::Int(16, _) => ints!(Int16Array),
        T::Int(32, _) => ints!(Int32Array),
        T::Int(_, true) => ints!(Int64Array),
        T::Int(_, false) => ints!(UInt64Array),
        T::F32 => Arc::new(cells().map(|cell| float(cell).map(|value| value as f32)).collect::<Float32Array>()),
        T::F64 => Arc::new(cells().map(float).collect::<Float64Array>()),
        T::Text => Arc::new(
            cells()
                .map(|cell| if let V::Text(value) = cell { Some(value.as_str()) } else { None })
                .collect::<StringArray>(),
        ),
        T::Date => Arc::new(cells().map(|cell| time(cell).map(|days| days as i32)).collect::<Date32Array>()),
        T::Micros => Arc::new(cells().map(time).collect::<TimestampMicrosecondArray>()),
    }
}

fn csv(rows: &Rows) -> String {
    let names: Vec<&str> = rows.columns.iter().map(|column| column.name.as_str()).collect();
    let mut text = names.join(",") + "\n";
    for row in &rows.rows {
        let fields = row.iter().zip(&rows.columns).map(|(value, column)| match value {
            V::List(_) => panic!("lists are made by aggregates alone"),
            // Alone in its line it would be a line without fields.
            V::Null if rows.columns.len() == 1 => "\"\"".to_string(),
            V::Null => String::new(),
            V::Bool(value) => value.to_string(),
            V::Int(value) => value.to_string(),
            V::Float(value) => format!("{value:?}"),
            V::Text(value) => format!("\"{value}\""),
            V::Time(value) => match column.of {
                T::Date => Date32Array::from(vec![*value as i32]).value_as_date(0).unwrap().to_string(),
                _ => format!("{:?}", TimestampMicrosecondArray::from(vec![*value]).value_as_datetime(0).unwrap()),
            },
        });
        text += &fields.collect::<Vec<_>>().join(",");
        text.push('\n');
    }
    text
}
