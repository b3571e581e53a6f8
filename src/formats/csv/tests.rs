//! Reading CSV files: against a naive reader over random texts and every size of blocks, types, nulls, and what is said of files
//! that are wrong.

use std::ops::ControlFlow;
use std::path::PathBuf;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::display::array_value_to_string;
use proptest::prelude::*;

use super::*;
use crate::expr::{Expr, col, lit};
use crate::formats::narrow::projected;
use crate::formats::per_file::FileColumns;
use crate::formats::scan::ReadContext;

fn paths(name: &str) -> FileColumns {
    FileColumns { include_path: Some(name.into()), ..FileColumns::default() }
}

/// Files in a directory of their own.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &[u8])]) -> Files {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Files(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, pattern: &str, options: CsvOptions) -> Result<Arc<CsvSource>> {
        CsvSource::open(self.path(pattern).to_str().unwrap(), options).map(Arc::new)
    }

    /// All columns of all files.
    fn read(&self, pattern: &str, options: CsvOptions) -> Result<RecordBatch> {
        let source = self.open(pattern, options)?;
        let columns = (0..source.schema().fields().len()).collect();
        read(&source, ScanRequest { columns, ..ScanRequest::default() })
    }

    /// The message of the error without the directory.
    fn fails(&self, pattern: &str, options: CsvOptions) -> String {
        let error = self.read(pattern, options).unwrap_err();
        error.message().replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn read(source: &Arc<CsvSource>, request: ScanRequest) -> Result<RecordBatch> {
    let scan = source.clone().scan(&request)?;
    let schema = projected(source.schema(), &request.columns);
    let mut parts: Vec<Vec<RecordBatch>> = vec![Vec::new(); scan.morsels().len()];
    // Not in order: what a block begins with must not depend on who was first.
    for morsel in (0..parts.len()).rev().step_by(2).chain((0..parts.len()).rev().skip(1).step_by(2)) {
        scan.read(morsel, &ReadContext::default(), &mut |batch| {
            parts[morsel].push(batch);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let batches: Vec<RecordBatch> = parts.into_iter().flatten().collect();
    Ok(concat_batches(&schema, &batches).unwrap())
}

fn rows(batch: &RecordBatch) -> Vec<Vec<Option<String>>> {
    let value = |column: usize, row: usize| {
        let array = batch.column(column);
        array.is_valid(row).then(|| array_value_to_string(array, row).unwrap())
    };
    (0..batch.num_rows()).map(|row| (0..batch.num_columns()).map(|column| value(column, row)).collect()).collect()
}

fn as_text(names: &[&str]) -> CsvOptions {
    let dtypes = names.iter().map(|name| (name.to_string(), DataType::Utf8)).collect();
    CsvOptions { dtypes, ..CsvOptions::default() }
}

type Row = Vec<Option<String>>;

/// The rows of a text letter by letter; nothing where a quote is never closed or has text behind it.
fn naive(text: &str, blank_is_no_row: bool) -> Option<Vec<Row>> {
    // First the fields as they are written.
    let mut rows: Vec<Vec<String>> = vec![vec![String::new()]];
    let mut open = false;
    let mut at_start = true;
    for letter in text.chars() {
        let closed = open && letter == '"';
        let field = rows.last_mut().unwrap().last_mut().unwrap();
        match letter {
            ',' if !open => rows.last_mut().unwrap().push(String::new()),
            '\n' if !open => rows.push(vec![String::new()]),
            '"' if open || at_start => {
                open = !open;
                field.push(letter);
            }
            _ => field.push(letter),
        }
        // A quote right behind a closing one opens again.
        at_start = !open && (matches!(letter, ',' | '\n') || (letter == '"' && closed));
    }
    if open {
        return None;
    }
    let mut read = Vec::new();
    for mut row in rows {
        let last = row.last_mut().unwrap();
        if last.ends_with('\r') {
            last.pop();
        }
        if row == [""] && blank_is_no_row {
            continue;
        }
        let fields = row.iter().map(|raw| match raw.strip_prefix('"') {
            None => Some((!raw.is_empty()).then(|| raw.clone())),
            Some(rest) => {
                let inner = rest.strip_suffix('"')?;
                let single = inner.replace("\"\"", "");
                (!single.contains('"')).then(|| Some(inner.replace("\"\"", "\"")))
            }
        });
        read.push(fields.collect::<Option<Row>>()?);
    }
    Some(read)
}

/// Texts of well-formed rows with some that are not.
fn texts() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "",
        "a",
        "bcd",
        "\"\"",
        "\"x\"",
        "\"q,\n\"",
        "\"a\"\"b\"",
        "\"\"\"\"",
        "é",
        "5\" d",
        "\"\r\n\"",
    ]);
    let row = prop::collection::vec(field, 3).prop_map(|fields| fields.join(","));
    let noise = prop::sample::select(vec!["\"", ",", "\n", "\r", "a", "\"\"", "\",\"", "\n\n", "x\"y"]);
    let end = prop::sample::select(vec!["\n", "\n", "\n", "\r\n", ""]);
    let good = (row, end).prop_map(|(row, end)| row + end);
    let part = prop_oneof![9 => good, 1 => noise.prop_map(str::to_string)];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

fn compare(text: &str, block_bytes: u64, options: CsvOptions) -> std::result::Result<(), TestCaseError> {
    let whole = format!("a,b,c\n{text}");
    let files = Files::new(&[("f.csv", whole.as_bytes())]);
    let options = CsvOptions { block_bytes: Some(block_bytes), sample_rows: 1, ..options };
    let skip = options.bad_rows == BadRows::Skip;
    let expected = naive(text, true).and_then(|rows| {
        let fits = |row: &Row| row.len() == 3 || (row.len() < 3 && options.short_rows == ShortRows::Null);
        let all_fit = rows.iter().all(fits);
        let kept = rows.into_iter().filter(fits).map(|mut row| {
            row.resize(3, None);
            row
        });
        (all_fit || skip).then(|| kept.collect::<Vec<Row>>())
    });
    let read = files.read("f.csv", options).map(|batch| rows(&batch));
    match (&read, &expected) {
        (Ok(read), Some(expected)) => prop_assert_eq!(read, expected),
        (Err(_), None) => {}
        // What is wrong may be in a row that is left out.
        (Ok(_), None) if skip => {}
        _ => prop_assert!(false, "{:?} instead of {:?}", read, expected),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_in_any_blocks(text in texts(), block in prop::sample::select(vec![1_u64, 2, 3, 5, 7, 16, 63, 64, 65, 100, 1 << 20])) {
        compare(&text, block, as_text(&["a", "b", "c"]))?;
        compare(&text, block, CsvOptions { short_rows: ShortRows::Null, ..as_text(&["a", "b", "c"]) })?;
        compare(&text, block, CsvOptions { bad_rows: BadRows::Skip, ..as_text(&["a", "b", "c"]) })?;
    }

    #[test]
    fn some_columns_and_rows_are_those_of_all(text in texts(), block in 1_u64..200) {
        let options = CsvOptions { block_bytes: Some(block), sample_rows: 1, bad_rows: BadRows::Skip, ..as_text(&["a", "b", "c"]) };
        let files = Files::new(&[("f.csv", format!("a,b,c\n{text}").as_bytes())]);
        let Ok(source) = files.open("f.csv", options) else { return Ok(()) };
        let all = read(&source, ScanRequest { columns: vec![0, 1, 2], ..ScanRequest::default() });
        let Ok(all) = all.map(|all| rows(&all)) else { return Ok(()) };
        for columns in [vec![], vec![0], vec![1], vec![2], vec![0, 2]] {
            let some = read(&source, ScanRequest { columns: columns.clone(), ..ScanRequest::default() }).unwrap();
            let expected: Vec<Row> = all.iter().map(|row| columns.iter().map(|at| row[*at].clone()).collect()).collect();
            prop_assert_eq!(rows(&some), expected);
            let predicates: Vec<Expr> = vec![col("b").gt(lit("a")), col("a").is_not_null()];
            let some = read(&source, ScanRequest { columns: columns.clone(), predicates, ..ScanRequest::default() }).unwrap();
            let keep = |row: &&Row| row[0].is_some() && row[1].as_deref().is_some_and(|b| b > "a");
            let kept = all.iter().filter(keep);
            let expected: Vec<Row> = kept.map(|row| columns.iter().map(|at| row[*at].clone()).collect()).collect();
            prop_assert_eq!(rows(&some), expected);
        }
    }
}

#[test]
fn blocks_of_every_size() {
    let text =
        "x,\"a\nb\",\"\"\"\n\"\r\n5\" d,\",\n,\n\",z\n\n\"\n\",\"\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\",é\n1,2,3";
    for block in 1..=text.len() as u64 + 8 {
        compare(text, block, as_text(&["a", "b", "c"])).unwrap();
    }
    let plain = "1,2,3\n4,5,6\n\n\r\n7,8,9\r\n".repeat(9);
    for block in 1..=plain.len() as u64 + 8 {
        compare(&plain, block, as_text(&["a", "b", "c"])).unwrap();
        compare(&plain, block, CsvOptions { quote: None, ..as_text(&["a", "b", "c"]) }).unwrap();
    }
}

fn types(batch: &RecordBatch) -> Vec<DataType> {
    batch.schema().fields().iter().map(|field| field.data_type().clone()).collect()
}

#[test]
fn types_from_the_sample_and_declared() {
    let text = b"\xEF\xBB\xBFi,f,b,d,t,s,n\r\n1,0.5,true,2024-02-29,2024-02-29 10:00:00,x,\r\n,NaN,,,,,\r\n 3 ,\"1e3\",False,\"2024-03-01\",2024-03-01T00:00:00.25,\"\",\r\n";
    let files = Files::new(&[("f.csv", text)]);
    let batch = files.read("f.csv", CsvOptions::default()).unwrap();
    let micros = || DataType::Timestamp(TimeUnit::Microsecond, None);
    let expected = [
        DataType::Int64,
        DataType::Float64,
        DataType::Boolean,
        DataType::Date32,
        micros(),
        DataType::Utf8,
        DataType::Utf8,
    ];
    assert_eq!(types(&batch), expected);
    let text = |row: &[Option<&str>]| -> Row { row.iter().map(|field| field.map(str::to_string)).collect() };
    let none = None;
    assert_eq!(
        rows(&batch),
        [
            text(&[
                Some("1"),
                Some("0.5"),
                Some("true"),
                Some("2024-02-29"),
                Some("2024-02-29T10:00:00"),
                Some("x"),
                none
            ]),
            text(&[none, Some("NaN"), none, none, none, none, none]),
            text(&[
                Some("3"),
                Some("1000.0"),
                Some("false"),
                Some("2024-03-01"),
                Some("2024-03-01T00:00:00.250"),
                Some(""),
                none
            ]),
        ]
    );
    // Every type that can be declared, from one text.
    let files = Files::new(&[("n.csv", b"v\n12\n\"\"\n-\n\"7\"\n".as_slice())]);
    for data_type in [
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Float16,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(9, 2),
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    ] {
        let dtypes = vec![("v".to_string(), data_type.clone())];
        let null_values = vec!["".to_string(), "-".to_string()];
        let batch = files.read("n.csv", CsvOptions { dtypes, null_values, ..CsvOptions::default() }).unwrap();
        assert_eq!(batch.schema().field(0).data_type(), &data_type);
        let text = matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
            || matches!(data_type, DataType::Dictionary(_, _));
        let nulls: Vec<bool> = (0..4).map(|row| batch.column(0).is_null(row)).collect();
        assert_eq!(nulls, [false, !text, true, false], "{data_type}");
    }
    let wrong = |data_type: DataType| {
        let dtypes = vec![("v".to_string(), data_type)];
        files.read("n.csv", CsvOptions { dtypes, ..CsvOptions::default() }).unwrap_err()
    };
    // Bytes are read as they are written.
    let files = Files::new(&[("n.csv", b"v\n0aFF\n\n\"\"\n".as_slice()), ("odd.csv", b"v\n0aFF\n0g\n".as_slice())]);
    for data_type in [DataType::Binary, DataType::LargeBinary, DataType::BinaryView] {
        let declared = || CsvOptions { dtypes: vec![("v".to_string(), data_type.clone())], ..CsvOptions::default() };
        let batch = files.read("n.csv", declared()).unwrap();
        let bytes = arrow::compute::cast(batch.column(0), &DataType::Binary).unwrap();
        assert_eq!(bytes.as_binary::<i32>().value(0), [10, 255], "{data_type}");
        let error = files.read("odd.csv", declared()).unwrap_err();
        assert!(error.to_string().contains("line 3") && error.to_string().contains("`0g`"), "{error}");
    }
    let list = DataType::new_list(DataType::Int64, true);
    assert_eq!(wrong(list).message(), "column `v`: a CSV file cannot hold a List(Int64)");
    assert_eq!(wrong(DataType::Null).kind(), ErrorKind::Plan);
}

#[test]
fn dates_in_formats_and_nulls_per_column() {
    let text = b"d,t,a,b,z\n29.02.2024,1/3/24 7:05,NA,NA,2024-01-01T00:00:00Z\n,-,-,-,2024-01-01T02:00:00+02:00\n";
    let files = Files::new(&[("f.csv", text)]);
    let options = CsvOptions {
        dtypes: vec![("d".into(), DataType::Date32)],
        parse_dates: vec!["t".into()],
        date_formats: vec![("d".into(), "%d.%m.%Y".into()), ("t".into(), "%d/%m/%y %H:%M".into())],
        null_values: vec!["".into(), "NA".into()],
        column_null_values: vec![("b".into(), vec!["-".into()]), ("t".into(), vec!["-".into()])],
        ..CsvOptions::default()
    };
    let batch = files.read("f.csv", options.clone()).unwrap();
    let shown = rows(&batch);
    let seen: Vec<Vec<&str>> =
        shown.iter().map(|row| row.iter().map(|field| field.as_deref().unwrap_or("null")).collect()).collect();
    let zoned = "2024-01-01T00:00:00Z";
    assert_eq!(
        seen,
        [["2024-02-29", "2024-03-01T07:05:00", "null", "NA", zoned], ["null", "null", "-", "null", zoned]]
    );
    let bad = CsvOptions { date_formats: vec![("d".into(), "%Q".into())], ..options.clone() };
    assert_eq!(files.fails("f.csv", bad), "column `d`: \"%Q\" is no format of dates");
    let unknown = CsvOptions { parse_dates: vec!["tt".into()], ..options };
    assert!(
        files.fails("f.csv", unknown).starts_with("column `tt` not found; columns are d, t, a, b, z (did you mean `")
    );
}

#[test]
fn headers_names_comments_and_paths() {
    let files = Files::new(&[
        ("n9.csv", b"junk\n# c \"\nx;y\n1;'a;b'\n#\"2;3\n3;c".as_slice()),
        ("n10.csv", b"junk\ny;more;x\n'#d';;4\n#\n"),
        ("n11.csv", b"junk\ny\n"),
        ("n12.csv", b"junk\ny\nz\n"),
    ]);
    let options = CsvOptions {
        delimiter: b';',
        quote: Some(b'\''),
        comment: Some(b'#'),
        skip_rows: 1,
        file_columns: paths("path"),
        ..CsvOptions::default()
    };
    for block in [1, 2, 3, 10, 1000] {
        let batch = files.read("n*.csv", CsvOptions { block_bytes: Some(block), ..options.clone() }).unwrap();
        let seen = rows(&batch);
        let of = |row: usize| -> Vec<&str> {
            seen[row].iter().map(|field| field.as_deref().map_or("null", |f| f.rsplit('/').next().unwrap())).collect()
        };
        assert_eq!(batch.num_rows(), 4);
        assert_eq!(of(0), ["1", "a;b", "n9.csv"]);
        assert_eq!(of(1), ["3", "c", "n9.csv"]);
        assert_eq!(of(2), ["4", "#d", "n10.csv"]);
        assert_eq!(of(3), ["null", "z", "n12.csv"]);
    }
    let taken = CsvOptions { file_columns: paths("x"), ..options };
    assert!(files.fails("n9.csv", taken).starts_with("there is a column `x` already"));
    let files = Files::new(&[("f.csv", b"1,2\n3,4\n".as_slice())]);
    let bare = CsvOptions { has_header: false, ..CsvOptions::default() };
    let batch = files.read("f.csv", bare.clone()).unwrap();
    assert_eq!((batch.schema().field(1).name().as_str(), batch.num_rows()), ("column_2", 2));
    let named = CsvOptions { column_names: vec!["p".into(), "q".into()], ..bare };
    assert_eq!(files.read("f.csv", named.clone()).unwrap().schema().field(1).name(), "q");
    // With a header, names replace those of the file.
    assert_eq!(files.read("f.csv", CsvOptions { has_header: true, ..named.clone() }).unwrap().num_rows(), 1);
    let few = CsvOptions { column_names: vec!["p".into()], ..named };
    assert_eq!(files.fails("f.csv", few), "f.csv has 2 columns, and 1 names are given for them");
}

#[test]
fn wrong_files_are_told_with_line_and_column() {
    let fails = |text: &[u8], options: CsvOptions| {
        let mut told = Vec::new();
        for block_bytes in [1, 4, 1000] {
            let files = Files::new(&[("f.csv", text)]);
            told.push(files.fails("f.csv", CsvOptions { block_bytes: Some(block_bytes), ..options.clone() }));
        }
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
        told.pop().unwrap()
    };
    let one = || CsvOptions { sample_rows: 1, ..CsvOptions::default() };
    let hint = "; the type was taken from the first 1 rows: declare another with dtype(\"a\", …) or name what is null with \
                null_values";
    assert_eq!(
        fails(b"b,a\n\"x\ny\",1\n\nz,2\nw,n/a\n", one()),
        format!("f.csv, line 6, column `a`: `n/a` is not a Int64{hint}")
    );
    assert_eq!(
        fails(b"a\n1\n99999999999999999999\n", one()),
        format!("f.csv, line 3, column `a`: `99999999999999999999` is not a Int64{hint}")
    );
    let declared = CsvOptions { dtypes: vec![("a".into(), DataType::UInt8)], ..one() };
    assert_eq!(fails(b"a\n1\n\"256\"\n", declared.clone()), "f.csv, line 3, column `a`: `256` is not a UInt8");
    assert_eq!(fails(b"a\n1\n-1\n", declared), "f.csv, line 3, column `a`: `-1` is not a UInt8");
    let decimal = CsvOptions { dtypes: vec![("a".into(), DataType::Decimal128(5, 1))], ..one() };
    assert_eq!(fails(b"a\n1\n\n1x\n", decimal), "f.csv, line 4, column `a`: `1x` is not a Decimal128(5, 1)");
    assert_eq!(fails(b"a,b\n1,2\r\n3\n", one()), "f.csv, line 3: 1 field where the header has 2");
    assert_eq!(fails(b"a,b\n1,2\n3,4,5\n", one()), "f.csv, line 3: 3 fields where the header has 2");
    let padded = CsvOptions { short_rows: ShortRows::Null, ..one() };
    assert_eq!(fails(b"a,b\n1\n3,4,5\n", padded), "f.csv, line 3: 3 fields where the header has 2");
    assert_eq!(fails(b"a,b\nx,y\nx,\"y\nz\n", one()), "f.csv, line 3: a quote is opened and never closed");
    assert_eq!(fails(b"a,b\nx,y\n\"x,y\n", as_text(&["a"])), "f.csv, line 3: a quote is opened and never closed");
    assert_eq!(
        fails(b"a,b\nx,y\nx,\"y\"z\n", as_text(&["a"])),
        "f.csv, line 3, column `b`: \"y\"z has text behind its closing quote"
    );
    assert_eq!(fails(b"a,b\nx,y\nx,q\xFFq\n", one()), "f.csv, line 3, column `b`: the byte 0xFF is not UTF-8");
    assert_eq!(fails(b"a,a\n1,2\n", one()), "f.csv, line 1: two columns are called `a`");
    assert_eq!(fails(b"", one()), "f.csv has no header row");
    assert_eq!(fails(b"\n\n", one()), "f.csv has no header row");
    assert_eq!(fails(b"\"a\n", one()), "f.csv, line 1: a quote is opened and never closed");
    let same = CsvOptions { delimiter: b'"', ..one() };
    assert_eq!(fails(b"a\n", same), "'\"' cannot be both delimiter and quote of a CSV file");
    let unknown = CsvOptions { dtypes: vec![("ab".into(), DataType::Utf8)], ..one() };
    assert_eq!(fails(b"a\n1\n", unknown), "column `ab` not found; columns are a (did you mean `a`?)");
    // What is wrong in columns that nobody wants is not seen.
    let files = Files::new(&[("f.csv", b"a,b\n1,2\n2,x\n3,\xFF\n".as_slice())]);
    let source = files.open("f.csv", one()).unwrap();
    assert_eq!(read(&source, ScanRequest { columns: vec![0], ..ScanRequest::default() }).unwrap().num_rows(), 3);
    let lossy = CsvOptions { lossy: true, ..as_text(&["b"]) };
    assert_eq!(rows(&files.read("f.csv", lossy).unwrap())[2][1].as_deref(), Some("\u{FFFD}"));
}

#[test]
fn rows_that_are_left_out_are_counted() {
    let files = Files::new(&[("f.csv", b"a,b\n1,2\n3\n4,5,6\n7,8\n9\n".as_slice())]);
    for block_bytes in [1, 5, 100] {
        let options = CsvOptions { bad_rows: BadRows::Skip, block_bytes: Some(block_bytes), ..CsvOptions::default() };
        let source = files.open("f.csv", options).unwrap();
        let batch = read(&source, ScanRequest { columns: vec![0], ..ScanRequest::default() }).unwrap();
        assert_eq!((batch.num_rows(), source.skipped_rows()), (2, 3));
    }
}

#[test]
fn files_that_change_or_vanish() {
    let files = Files::new(&[("f.csv", b"a\n1\n2\n".as_slice())]);
    let source = files.open("f.csv", CsvOptions::default()).unwrap();
    let fails = || read(&source, ScanRequest { columns: vec![0], ..ScanRequest::default() }).unwrap_err();
    std::fs::write(files.path("f.csv"), "a\n1\n2\n3\n").unwrap();
    let error = fails();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().ends_with("f.csv has changed since it was opened: open it again"), "{error}");
    std::fs::remove_file(files.path("f.csv")).unwrap();
    let error = fails();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.message().starts_with("cannot open ") && error.message().contains("f.csv"), "{error}");
    assert_eq!(files.open("f*.csv", CsvOptions::default()).unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn many_tiny_files_and_empty_ones() {
    let files = Files::new(&[]);
    for number in 0..10_000 {
        let text = if number % 10 == 9 { "n,t".to_string() } else { format!("n,t\n{number},x\n") };
        std::fs::write(files.path(&format!("p{number}.csv")), text).unwrap();
    }
    let source = files.open("p*.csv", CsvOptions::default()).unwrap();
    assert_eq!(source.partitions(), 10_000);
    let batch = read(&source, ScanRequest { columns: vec![0], ..ScanRequest::default() }).unwrap();
    let numbers = batch.column(0).as_primitive::<arrow::datatypes::Int64Type>();
    assert!(numbers.values().iter().copied().eq((0..10_000).filter(|number| number % 10 != 9)));
}

#[test]
fn long_files_in_blocks_give_what_one_block_gives() {
    let mut text = b"n,s,f\n".to_vec();
    for row in 0..60_000 {
        let tail = if row % 7 == 0 { "\"two\nlines, \"\"quoted\"\"\"" } else { "plain text of a row" };
        text.extend_from_slice(format!("{row},{tail},{}.5\n", row * 3).as_bytes());
    }
    let files = Files::new(&[("f.csv", &text)]);
    let whole = files.read("f.csv", CsvOptions { block_bytes: Some(1 << 30), ..CsvOptions::default() }).unwrap();
    assert_eq!(whole.num_rows(), 60_000);
    for block_bytes in [1000, 4096, 100_001, 1 << 20] {
        let options =
            CsvOptions { block_bytes: Some(block_bytes), partition_bytes: Some(300_000), ..CsvOptions::default() };
        let source = files.open("f.csv", options.clone()).unwrap();
        assert_eq!(
            u64::from(source.partitions()),
            source.blocks.blocks.len().div_ceil((300_000 / block_bytes).max(1) as usize) as u64
        );
        assert_eq!(files.read("f.csv", options).unwrap(), whole, "{block_bytes}");
    }
    // A field that is longer than what is read at a time.
    let long = "x,".repeat(700_000);
    let text = format!("a,b\n1,\"{long}\"\n2,y\n");
    let files = Files::new(&[("f.csv", text.as_bytes())]);
    for block_bytes in [100_000, 1 << 30] {
        let batch =
            files.read("f.csv", CsvOptions { block_bytes: Some(block_bytes), ..CsvOptions::default() }).unwrap();
        assert_eq!(batch.num_rows(), 2);
        assert_eq!(batch.column(1).as_string::<i32>().value(0), long);
    }
}

#[test]
fn many_threads_read_what_one_reads() {
    let field = |row: usize| if row.is_multiple_of(5) { "\"a,\n\"\"b\"" } else { "\"c\"" };
    let text: String = (0..30_000).map(|row| format!("{row},{},5\" d\n", field(row))).collect();
    let files = Files::new(&[("f.csv", format!("n,q,l\n{text}").as_bytes())]);
    let options = CsvOptions { block_bytes: Some(5_000), ..CsvOptions::default() };
    let source = files.open("f.csv", options).unwrap();
    let scan = source.scan(&ScanRequest { columns: vec![0, 1, 2], ..ScanRequest::default() }).unwrap();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let parts = std::sync::Mutex::new(vec![0_i64; scan.morsels().len()]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let morsel = next.fetch_add(1, Ordering::Relaxed);
                    if morsel >= scan.morsels().len() {
                        return;
                    }
                    scan.read(morsel, &ReadContext::default(), &mut |batch| {
                        let numbers = batch.column(0).as_primitive::<arrow::datatypes::Int64Type>();
                        assert!(numbers.values().windows(2).all(|pair| pair[0] + 1 == pair[1]));
                        parts.lock().unwrap()[morsel] += numbers.values().iter().sum::<i64>();
                        Ok(ControlFlow::Continue(()))
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(parts.into_inner().unwrap().iter().sum::<i64>(), (0..30_000).sum::<i64>());
}

#[cfg(feature = "gzip")]
#[test]
fn compressed_files() {
    use std::io::Write as _;
    let text: String =
        std::iter::once("a,b\n".to_string()).chain((0..90_000).map(|n| format!("{n},\"t\n{n}\"\n"))).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let gzip = encoder.finish().unwrap();
    let files = Files::new(&[
        ("f.csv", text.as_bytes()),
        ("f.csv.gz", &gzip),
        ("cut.csv.gz", &gzip[..gzip.len() / 2]),
        ("no.csv.gz", b"a\n1\n"),
    ]);
    let plain = files.read("f.csv", CsvOptions::default()).unwrap();
    assert_eq!(files.read("f.csv.gz", CsvOptions::default()).unwrap(), plain);
    let error = files.read("cut.csv.gz", CsvOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.message().starts_with("cannot read ") && error.message().contains("cut.csv.gz"), "{error}");
    assert_eq!(
        files.fails("no.csv.gz", CsvOptions::default()),
        "cannot read no.csv.gz: it is not compressed by gzip, though its name says so"
    );
    let declared = CsvOptions { dtypes: vec![("b".into(), DataType::Int64)], ..CsvOptions::default() };
    assert!(files.fails("f.csv.gz", declared).starts_with("f.csv.gz, line 2, column `b`: `t"));
}

#[cfg(feature = "zstd")]
#[test]
fn files_compressed_by_zstandard() {
    let text = "a,b\n1,\"x\ny\"\n".to_string() + &"2,z\n".repeat(100_000);
    let zstd = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
    let files =
        Files::new(&[("f.csv", text.as_bytes()), ("f.csv.zst", &zstd), ("cut.csv.zst", &zstd[..zstd.len() / 2])]);
    let plain = files.read("f.csv", CsvOptions::default()).unwrap();
    assert_eq!(files.read("f.csv.zst", CsvOptions::default()).unwrap(), plain);
    assert_eq!(files.read("cut.csv.zst", CsvOptions::default()).unwrap_err().kind(), ErrorKind::Io);
}

#[cfg(not(feature = "zstd"))]
#[test]
fn files_that_need_a_feature() {
    let files = Files::new(&[("f.csv.zst", b"".as_slice())]);
    let error = files.read("f.csv.zst", CsvOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().ends_with("f.csv.zst is compressed: reading it needs the feature `zstd` of chunkwise"));
}

#[test]
fn what_is_written_is_read_back() {
    let text = b"i,f,b,s\n1,0.1,true,\"a,\"\"b\"\"\n\"\n,,,\n-5,1e300,false,\"\"\n";
    let files = Files::new(&[("f.csv", text)]);
    let batch = files.read("f.csv", CsvOptions::default()).unwrap();
    let mut out = Vec::new();
    encode_header(&batch.schema(), &CsvWriteOptions::default(), &mut out).unwrap();
    encode(&batch, &CsvWriteOptions::default(), &mut out).unwrap();
    std::fs::write(files.path("g.csv"), &out).unwrap();
    assert_eq!(files.read("g.csv", CsvOptions::default()).unwrap(), batch);
}

#[test]
fn one_column_of_nulls_and_empty_texts() {
    let read_back = |batch: &RecordBatch, options: &CsvWriteOptions, reading: CsvOptions| {
        let mut out = Vec::new();
        if options.header {
            encode_header(batch.schema_ref(), options, &mut out).unwrap();
        }
        encode(batch, options, &mut out).unwrap();
        for block in [1, 3, 1 << 20] {
            let files = Files::new(&[("f.csv", &out)]);
            let reading = CsvOptions { block_bytes: Some(block), ..reading.clone() };
            assert_eq!(files.read("f.csv", reading).unwrap(), *batch, "{:?} {block}", String::from_utf8_lossy(&out));
        }
    };
    let texts = [
        vec![None],
        vec![Some("")],
        vec![None, None, Some("")],
        vec![Some("x"), None, Some(""), None],
        vec![Some("a\n\nb"), None, Some("\n"), Some("\r"), Some("NA"), Some("\"")],
    ];
    for text in texts {
        for name in ["t", "", "a,b"] {
            let column: ArrayRef = Arc::new(arrow::array::StringArray::from(text.clone()));
            let batch = RecordBatch::try_from_iter_with_nullable([(name, column, true)]).unwrap();
            let declared = CsvOptions { dtypes: vec![(name.into(), DataType::Utf8)], ..CsvOptions::default() };
            read_back(&batch, &CsvWriteOptions::default(), declared.clone());
            read_back(&batch, &CsvWriteOptions { quoting: Quoting::Always, ..Default::default() }, declared.clone());
            let named = CsvOptions { has_header: false, column_names: vec![name.into()], ..declared.clone() };
            read_back(&batch, &CsvWriteOptions { header: false, ..Default::default() }, named);
            let marked = CsvOptions { null_values: vec!["NA".into()], ..declared };
            if !text.contains(&Some("NA")) {
                read_back(&batch, &CsvWriteOptions { null: "NA".into(), ..Default::default() }, marked);
            }
        }
    }
    let numbers: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![None, Some(1), None]));
    let batch = RecordBatch::try_from_iter_with_nullable([("n", numbers, true)]).unwrap();
    read_back(&batch, &CsvWriteOptions::default(), CsvOptions::default());
    // Comments are no rows, and lines may end in both ways.
    let files = Files::new(&[("f.csv", b"\n#x\nt\r\n\r\n#y\n\nz\n\n#")]);
    let comments = CsvOptions { comment: Some(b'#'), ..CsvOptions::default() };
    for block in [1, 4, 1 << 20] {
        let read = files.read("f.csv", CsvOptions { block_bytes: Some(block), ..comments.clone() }).unwrap();
        assert_eq!(rows(&read), [vec![None], vec![None], vec![Some("z".to_string())], vec![None]]);
    }
}

#[test]
fn texts_of_few_kinds_may_come_as_codes() {
    let mut text = b"k,n,u\n".to_vec();
    for row in 0..40_000 {
        let kind = ["a", "\"b\"", "", "\"\"", "NA", "\"c\"\"d\"", "longer than sixteen letters"][row * row % 7];
        text.extend_from_slice(format!("{kind},{row},u{row}\n").as_bytes());
    }
    let files = Files::new(&[("f.csv", &text)]);
    for block_bytes in [30_000, 1 << 30] {
        let options = CsvOptions {
            null_values: vec!["".into(), "NA".into()],
            block_bytes: Some(block_bytes),
            ..CsvOptions::default()
        };
        let source = files.open("f.csv", options).unwrap();
        for predicates in [vec![], vec![col("n").gt(lit(17_000))], vec![col("k").eq(lit("c\"d"))]] {
            let request = ScanRequest { columns: vec![0, 2], predicates, dictionaries: vec![0, 2] };
            let plain = read(&source, ScanRequest { dictionaries: vec![], ..request.clone() }).unwrap();
            let coded = request.predicates.first().is_none_or(|predicate| !predicate.columns().contains("k"));
            let scan = source.clone().scan(&request).unwrap();
            let mut batches = Vec::new();
            for morsel in 0..scan.morsels().len() {
                let mut seen = 0;
                scan.read(morsel, &ReadContext::default(), &mut |batch| {
                    let is_coded =
                        |column: usize| matches!(batch.column(column).data_type(), DataType::Dictionary(_, _));
                    assert_eq!(is_coded(0), coded);
                    // There are too many of the other.
                    assert!(seen == 0 || !is_coded(1) || block_bytes == 30_000);
                    seen += 1;
                    let columns = batch.columns().iter();
                    let columns = columns.map(|array| arrow::compute::cast(array, &DataType::Utf8).unwrap());
                    batches.push(RecordBatch::try_new(plain.schema(), columns.collect()).unwrap());
                    Ok(ControlFlow::Continue(()))
                })
                .unwrap();
            }
            assert_eq!(concat_batches(&plain.schema(), &batches).unwrap(), plain);
        }
    }
}
