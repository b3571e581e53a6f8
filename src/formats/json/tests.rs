//! Lines of JSON: blocks, types, projections, and what is said of files that are wrong.

use std::ops::ControlFlow;
use std::path::PathBuf;

use arrow::array::{Array, AsArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, TimeUnit};

use super::*;
use crate::expr::col;
use crate::formats::narrow::projected;
use crate::formats::scan::ReadContext;

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

    fn open(&self, pattern: &str, options: JsonOptions) -> Result<Arc<JsonSource>> {
        JsonSource::open(self.path(pattern).to_str().unwrap(), options).map(Arc::new)
    }

    fn read(&self, pattern: &str, options: JsonOptions) -> Result<RecordBatch> {
        let source = self.open(pattern, options)?;
        let columns = (0..source.schema().fields().len()).collect();
        read(&source, ScanRequest { columns, ..ScanRequest::default() })
    }

    fn fails(&self, pattern: &str, options: JsonOptions) -> String {
        let error = self.read(pattern, options).unwrap_err();
        error.message().replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn read(source: &Arc<JsonSource>, request: ScanRequest) -> Result<RecordBatch> {
    let scan = source.clone().scan(&request)?;
    let mut batches = Vec::new();
    for morsel in 0..scan.morsels().len() {
        scan.read(morsel, &ReadContext::default(), &mut |batch| {
            batches.push(batch);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(concat_batches(&projected(source.schema(), &request.columns), &batches).unwrap())
}

#[test]
fn types_and_what_is_missing() {
    let text = b"\xEF\xBB\xBF{\"i\":1,\"f\":0.5,\"t\":\"x\",\"l\":[1,2],\"s\":{\"a\":1,\"n\":null},\"z\":null}\r\n\n\
        {\"more\":1,\"t\":\"line\\nend\",\"f\":2,\"i\":null}\n{\"s\":{\"a\":3}}";
    let files = Files::new(&[("f.jsonl", text)]);
    let options = JsonOptions { sample_rows: 1, ignore_unknown: true, ..JsonOptions::default() };
    let source = files.open("f.jsonl", options.clone()).unwrap();
    let fields: Vec<String> =
        source.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    assert!(fields.contains(&"i Int64".to_string()) && fields.contains(&"z Utf8".to_string()), "{fields:?}");
    let batch = files.read("f.jsonl", options.clone()).unwrap();
    assert_eq!(batch.num_rows(), 3);
    let column = |name: &str| batch.column_by_name(name).unwrap().clone();
    assert_eq!(column("t").as_string::<i32>().value(1), "line\nend");
    assert_eq!(column("f").as_primitive::<arrow::datatypes::Float64Type>().value(1), 2.0);
    let inner = column("s").as_struct().column_by_name("a").unwrap().clone();
    assert_eq!(inner.as_primitive::<Int64Type>().value(2), 3);
    assert_eq!((column("i").null_count(), column("l").null_count(), column("z").null_count()), (2, 2, 3));
    let mut out = Vec::new();
    encode_lines(&batch, &mut out).unwrap();
    std::fs::write(files.path("g.ndjson"), &out).unwrap();
    assert_eq!(files.read("g.ndjson", options).unwrap(), batch);
    // Declared types, also of columns that are not in the sample.
    let files =
        Files::new(&[("f.json", b"{\"d\":\"2024-02-29\",\"n\":1}\n{\"d\":null,\"t\":\"2024-01-01T00:00:01\"}\n")]);
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let dtypes = vec![("d".into(), DataType::Date32), ("n".into(), DataType::Utf8), ("t".into(), time)];
    let options = JsonOptions { dtypes, sample_rows: 1, ..JsonOptions::default() };
    let batch = files.read("f.json", options).unwrap();
    assert_eq!(batch.column(0).as_primitive::<arrow::datatypes::Date32Type>().value(0), 19782);
    assert_eq!(batch.column(1).as_string::<i32>().value(0), "1");
    assert_eq!(
        batch.column(2).as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(1),
        1_704_067_201_000_000
    );
}

#[test]
fn blocks_of_every_size_columns_and_conditions() {
    let text = "{\"a\":1,\"b\":\"xé\"}\n\n{\"b\":\"y\\\"\",\"a\":2}\r\n{}\n{\"a\":3,\"b\":\"\"}";
    let files = Files::new(&[("f.jsonl", text.as_bytes())]);
    let whole = files.read("f.jsonl", JsonOptions::default()).unwrap();
    assert_eq!(whole.num_rows(), 4);
    for block in 1..=text.len() as u64 + 3 {
        let options = JsonOptions { block_bytes: Some(block), ..JsonOptions::default() };
        assert_eq!(files.read("f.jsonl", options.clone()).unwrap(), whole, "{block}");
        let source = files.open("f.jsonl", options).unwrap();
        let read = |columns: Vec<usize>, predicates| {
            read(&source, ScanRequest { columns, predicates, ..ScanRequest::default() }).unwrap()
        };
        assert_eq!(read(vec![1], vec![]), whole.project(&[1]).unwrap());
        assert_eq!(read(vec![], vec![]).num_rows(), 4);
        assert_eq!(read(vec![1], vec![col("a").gt(1)]).column(0).as_string::<i32>().value(0), "y\"");
        assert_eq!(read(vec![], vec![col("a").gt(1)]).num_rows(), 2);
    }
    assert_eq!(files.open("f.jsonl", JsonOptions::default()).unwrap().places(&["b"]).unwrap(), [1]);
}

#[test]
fn many_rows_in_several_batches() {
    let text: String = (0..50_000).map(|n| format!("{{\"n\":{n},\"t\":\"{}\"}}\n", "x".repeat(n % 50))).collect();
    let files = Files::new(&[("f.jsonl", text.as_bytes())]);
    for block_bytes in [1000, 100_000, 1 << 30] {
        let batch =
            files.read("f.jsonl", JsonOptions { block_bytes: Some(block_bytes), ..JsonOptions::default() }).unwrap();
        let numbers = batch.column(0).as_primitive::<Int64Type>();
        assert!(numbers.values().iter().copied().eq(0..50_000), "{block_bytes}");
    }
}

#[test]
fn wrong_lines_are_told() {
    let fails = |text: &[u8]| {
        let mut told = Vec::new();
        for block_bytes in [1, 10, 1000] {
            let files = Files::new(&[("f.jsonl", text)]);
            told.push(files.fails(
                "f.jsonl",
                JsonOptions { block_bytes: Some(block_bytes), sample_rows: 1, ..JsonOptions::default() },
            ));
        }
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
        told.pop().unwrap()
    };
    assert_eq!(
        fails(b"{\"a\":1,\"b\":2}\n\n{\"a\":5}\n{\"b\":3,\"a\":\"x\"}\n{\"a\":2}\n"),
        "f.jsonl, line 4, column `a`: `\"x\"` is not a Int64; the type was taken from the first 1 rows: declare another with \
         dtype(\"a\", …)"
    );
    let broken = fails(b"{\"a\":1}\n{\"a\":2\n{\"a\":3}\n");
    assert!(broken.starts_with("f.jsonl, line 2: "), "{broken}");
    let broken = fails(b"{\"a\":1}\n[1]\n");
    assert!(broken.starts_with("f.jsonl, line 2: "), "{broken}");
    let broken = fails(b"\n[{\"a\":1}]\n");
    assert!(broken.starts_with("f.jsonl, line 2: "), "{broken}");
    let broken = fails(b"{\"a\":\"x\"}\n{\"a\":\"\xFF\"}\n");
    assert!(broken.starts_with("f.jsonl, line 2: "), "{broken}");
    for none in [&b""[..], b"\n", b"{}\n"] {
        assert_eq!(fails(none), "f.jsonl has no objects with keys: declare the columns with dtype(name, …)");
    }
    let broken = fails(b"{\"a\":1}\n{\"a\":2}\n{\"a\":");
    assert!(broken.starts_with("f.jsonl, line 3: "), "{broken}");
}

#[test]
fn values_are_shown_as_they_are_written() {
    let declared = |data_type| JsonOptions {
        dtypes: vec![("a".to_string(), data_type)],
        sample_rows: 1,
        ..JsonOptions::default()
    };
    let digits = "7".repeat(100);
    let cut = format!("{}…", "7".repeat(80));
    for (value, data_type, told) in [
        ("18446744073709551616", DataType::Int64, "`18446744073709551616` is not a Int64"),
        ("9007199254740993.0", DataType::Int64, "`9007199254740993.0` is not a Int64"),
        ("-0.10E+1", DataType::UInt8, "`-0.10E+1` is not a UInt8"),
        (&digits, DataType::Int32, &format!("`{cut}` is not a Int32")),
        ("{\"y\" :2,  \"x\":1.50}", DataType::Int64, "`{\"y\" :2,  \"x\":1.50}` is not a Int64"),
        ("\"\\u0078\\\",}\"", DataType::Int64, "`\"\\u0078\\\",}\"` is not a Int64"),
        ("[\"]\", {\"a\":[]}]", DataType::Int64, "`[\"]\", {\"a\":[]}]` is not a Int64"),
    ] {
        let text = format!("{{\"b\":\"x\"}}\n{{\"b\":\"a\\\":,\",\"\\u0061\": {value} }}\n");
        let files = Files::new(&[("f.jsonl", text.as_bytes())]);
        assert_eq!(files.fails("f.jsonl", declared(data_type)), format!("f.jsonl, line 2, column `a`: {told}"));
    }
    let text = format!("{{\"a\":{digits}}}\n");
    let files = Files::new(&[("f.jsonl", text.as_bytes())]);
    let told = files.fails("f.jsonl", JsonOptions::default());
    assert!(told.starts_with(&format!("f.jsonl, line 1, key `a`: {cut} fits neither Int64 nor UInt64: ")), "{told}");
    // Of what is no JSON the library tells, which repeats whole values.
    let text = format!("{{\"a\":1}}\n[\"{}\"]\n", "x".repeat(10_000));
    let files = Files::new(&[("f.jsonl", text.as_bytes())]);
    let told = files.fails("f.jsonl", JsonOptions { sample_rows: 1, ..JsonOptions::default() });
    assert!(told.starts_with("f.jsonl, line 2: ") && told.chars().count() < 450, "{told}");
}

#[test]
fn the_first_wrong_line_is_found() {
    for rows in [1, 2, 3, 7, 64, 100] {
        for wrong in 0..rows {
            let line = |row: usize| match row {
                row if row == wrong => format!("{{\"n\":0.5}}{}\n", " ".repeat(row % 3)),
                row if row > wrong && row % 5 == 0 => "{\"q\":\n".to_string(),
                row if row % 7 == 3 => "{\"n\":1}\n \n".to_string(),
                row => format!("{{\"n\":{row}}}\n"),
            };
            let lines: Vec<String> = (0..rows).map(line).collect();
            let number = 1 + lines[..wrong].concat().matches('\n').count();
            let files = Files::new(&[("f.jsonl", lines.concat().as_bytes())]);
            let options = JsonOptions { dtypes: vec![("n".to_string(), DataType::Int64)], ..JsonOptions::default() };
            let options = JsonOptions { sample_rows: 0, ..options };
            for block in [1, 100, 1 << 20] {
                let options = JsonOptions { block_bytes: Some(block), ..options.clone() };
                let told = format!("f.jsonl, line {number}, column `n`: `0.5` is not a Int64");
                let found = files.open("f.jsonl", options.clone()).map(|_| files.fails("f.jsonl", options));
                assert_eq!(found.unwrap_or_else(|error| error.to_string()), told, "{rows} {wrong} {block}");
            }
        }
    }
    // The last of many columns.
    let line = |last: &str| {
        let keys: Vec<String> = (0..3_000).map(|n| format!("\"k{n}\":1")).collect();
        format!("{{{},\"last\":{last}}}\n", keys.join(","))
    };
    let text = [line("1"), line("2"), line("18446744073709551616")].concat();
    let files = Files::new(&[("f.jsonl", text.as_bytes())]);
    let told = files.fails("f.jsonl", JsonOptions { sample_rows: 1, ..JsonOptions::default() });
    assert!(told.starts_with("f.jsonl, line 3, column `last`: `18446744073709551616` is not a Int64; "), "{told}");
}

#[test]
fn no_value_is_lost() {
    let text = "{\"a\":1,\"s\":{\"x\":1},\"l\":[{\"y\":1}]}\n".repeat(3);
    let options = |block_bytes: u64, ignore_unknown: bool| JsonOptions {
        block_bytes: Some(block_bytes),
        ignore_unknown,
        sample_rows: 2,
        ..JsonOptions::default()
    };
    let sampled = "it is not in the first 2 rows: take more of them with sample_rows(…), declare it with";
    let ignored = "or pass over such keys with ignore_unknown()";
    let cases = [
        ("{\"a\":2,\"b\":3}", format!("key `b` is no column; {sampled} dtype(\"b\", …), {ignored}"), true),
        ("{\"s\":{\"x\":2,\"z\":3}}", format!("key `s.z` is no column; {sampled} dtype(\"s\", …), {ignored}"), true),
        ("{\"l\":[{},{\"z\":3}]}", format!("key `l.z` is no column; {sampled} dtype(\"l\", …), {ignored}"), true),
        ("{\"\":null}", format!("key `` is no column; {sampled} dtype(\"\", …), {ignored}"), true),
        ("{\"a\":2,\"a\":2}", "key `a` is there twice; a value of it would be lost".to_string(), false),
        ("{\"s\":{\"x\":2,\"x\":2}}", "key `s.x` is there twice; a value of it would be lost".to_string(), false),
    ];
    for (line, told, can_be_ignored) in cases {
        let files = Files::new(&[("f.jsonl", format!("{text}{line}\n{text}").as_bytes())]);
        for block in [1, 50, 1 << 20] {
            assert_eq!(files.fails("f.jsonl", options(block, false)), format!("f.jsonl, line 4: {told}"));
            let read = files.read("f.jsonl", options(block, true));
            assert_eq!(read.map(|batch| batch.num_rows()).ok(), can_be_ignored.then_some(7), "{line}");
        }
    }
    // Columns that are not wanted may be there; what is no column may not, whatever is wanted.
    let files = Files::new(&[("f.jsonl", text.as_bytes()), ("g.jsonl", b"{\"a\":1}\n{\"a\":2}\n{\"b\":1}\n")]);
    let source = files.open("f.jsonl", options(40, false)).unwrap();
    let of = |columns: Vec<usize>, predicates| ScanRequest { columns, predicates, ..ScanRequest::default() };
    for columns in [vec![], vec![0], vec![1], vec![2], vec![0, 2]] {
        assert_eq!(read(&source, of(columns, vec![])).unwrap().num_rows(), 3);
    }
    let source = files.open("g.jsonl", options(1, false)).unwrap();
    assert!(read(&source, of(vec![], vec![])).unwrap_err().message().contains("key `b` is no column"));
}

#[test]
fn many_keys_in_any_order() {
    let names: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
    let mut text = String::new();
    for row in 0..200_usize {
        // Turned, and with gaps.
        let keys = (0..40).map(|n| (n * 7 + row) % 40).filter(|n| (n + row) % 3 > 0);
        let parts: Vec<String> = keys.map(|n| format!("\"{}\":{}", names[n], row * 100 + n)).collect();
        text.push_str(&format!("{{{}}}\n", parts.join(",")));
    }
    let files = Files::new(&[("f.jsonl", text.as_bytes())]);
    let source = files.open("f.jsonl", JsonOptions::default()).unwrap();
    for columns in [(0..40).collect::<Vec<_>>(), vec![3, 17, 39], vec![20]] {
        let batch = read(&source, ScanRequest { columns, ..ScanRequest::default() }).unwrap();
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let n: usize = field.name()[1..].parse().unwrap();
            for (row, value) in column.as_primitive::<Int64Type>().iter().enumerate() {
                assert_eq!(value, (!(n + row).is_multiple_of(3)).then_some((row * 100 + n) as i64), "{n} {row}");
            }
        }
    }
}

#[test]
fn fractions_are_no_whole_numbers() {
    let hint = "the type was taken from the first 1 rows: declare another with dtype(\"a\", …)";
    for (first, value, good) in [
        ("1", "1.5", None),
        ("1", "-0.25", None),
        ("1", "1e-3", None),
        ("1", "1e300", None),
        ("1", "9223372036854775808", None),
        ("1", "9007199254740993.0", None),
        ("1", "2.0", Some("2")),
        ("1", "-3e2", Some("-300")),
        ("1", "9007199254740993", Some("9007199254740993")),
        ("[1]", "[2,2.5]", None),
        ("[1]", "[2,3.0]", Some("[2, 3]")),
    ] {
        let files = Files::new(&[("f.jsonl", format!("{{\"a\":{first}}}\n{{\"a\":{value}}}\n").as_bytes())]);
        let options = JsonOptions { sample_rows: 1, ..JsonOptions::default() };
        let of = if first == "1" { "Int64" } else { "List(Int64)" };
        match good {
            Some(good) => {
                let batch = files.read("f.jsonl", options).unwrap();
                assert_eq!(arrow::util::display::array_value_to_string(batch.column(0), 1).unwrap(), good);
            }
            None => {
                // Numbers are told as they are understood.
                let told = files.fails("f.jsonl", options);
                assert!(told.starts_with("f.jsonl, line 2, column `a`: `"), "{value}: {told}");
                assert!(told.ends_with(&format!("` is not a {of}; {hint}")), "{value}: {told}");
            }
        }
    }
    let stamp = vec![("a".to_string(), DataType::Timestamp(TimeUnit::Second, None))];
    let options = JsonOptions { dtypes: stamp, ..JsonOptions::default() };
    let files = Files::new(&[("f.jsonl", b"{\"a\":1.5}\n")]);
    assert!(files.fails("f.jsonl", options).starts_with("f.jsonl, line 1, column `a`: `1.5` is not a Timestamp"));
}

#[test]
fn values_deep_in_each_other_are_an_error() {
    let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
    for line in
        [format!("{{\"a\":{deep}}}"), format!("{{\"l\":{deep}}}"), format!("{{\"a\":{{\"b\":{deep}}}}}"), deep.clone()]
    {
        let files = Files::new(&[("f.jsonl", format!("{{\"a\":1,\"l\":[1]}}\n{line}\n").as_bytes())]);
        let told = files.fails("f.jsonl", JsonOptions { sample_rows: 1, ..JsonOptions::default() });
        let says = if line == deep { "expected an object" } else { "128 deep" };
        assert!(told.contains(says) && told.len() < 300, "{told}");
    }
    let files = Files::new(&[("f.jsonl", format!("{{\"a\":1}}\n{{\"b\":{deep}}}\n").as_bytes())]);
    let ignoring = JsonOptions { sample_rows: 1, ignore_unknown: true, ..JsonOptions::default() };
    assert!(
        files.fails("f.jsonl", ignoring).starts_with("f.jsonl, line 2: key `b`: lists and objects lie in each other")
    );
}

#[test]
fn files_without_rows() {
    let files = Files::new(&[("a.jsonl", b""), ("b.jsonl", b"\n \n"), ("c.jsonl", b"{\"a\":1}\n"), ("d.jsonl", b"")]);
    let batch = files.read("*.jsonl", JsonOptions::default()).unwrap();
    assert_eq!((batch.num_columns(), batch.num_rows()), (1, 1));
    let dtypes = vec![("b".into(), DataType::Boolean), ("a".into(), DataType::Int8)];
    for name in ["a.jsonl", "b.jsonl"] {
        let source = files.open(name, JsonOptions { dtypes: dtypes.clone(), ..JsonOptions::default() }).unwrap();
        let names: Vec<_> = source.schema().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        let batch = read(&source, ScanRequest { columns: vec![0, 1], ..ScanRequest::default() }).unwrap();
        assert_eq!((batch.num_columns(), batch.num_rows()), (2, 0));
    }
    std::fs::remove_file(files.path("c.jsonl")).unwrap();
    assert_eq!(
        files.fails("*.jsonl", JsonOptions::default()),
        "a.jsonl has no objects with keys, nor has any other file: declare the columns with dtype(name, …)"
    );
}

#[cfg(feature = "gzip")]
#[test]
fn compressed_files() {
    use std::io::Write as _;
    let text = "{\"a\":1,\"b\":[\"x\"]}\n".repeat(20_000);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let gzip = encoder.finish().unwrap();
    let files =
        Files::new(&[("f.json", text.as_bytes()), ("f.json.gz", &gzip), ("cut.json.gz", &gzip[..gzip.len() / 2])]);
    let plain = files.read("f.json", JsonOptions::default()).unwrap();
    assert_eq!(files.read("f.json.gz", JsonOptions::default()).unwrap(), plain);
    let error = files.read("cut.json.gz", JsonOptions::default()).unwrap_err();
    assert!(error.message().contains("cut.json.gz"), "{error}");
}

#[test]
fn large_integers_are_not_rounded() {
    let types = |text: &str, options: JsonOptions| -> Result<Vec<DataType>, String> {
        let files = Files::new(&[("f.jsonl", text.as_bytes())]);
        match files.open("f.jsonl", options.clone()) {
            Ok(source) => Ok(source.schema().fields().iter().map(|field| field.data_type().clone()).collect()),
            Err(_) => Err(files.fails("f.jsonl", options)),
        }
    };
    let one = |text: &str| types(text, JsonOptions::default()).map(|types| types[0].clone());
    assert_eq!(one("{\"a\":18446744073709551615}\n{\"a\":null}\n{\"a\":0}"), Ok(DataType::UInt64));
    assert_eq!(one("{\"a\":9223372036854775807}\n{\"a\":-1}"), Ok(DataType::Int64));
    assert_eq!(one("{\"a\":9223372036854775808}\n{\"a\":0.5}"), Ok(DataType::Float64));
    assert_eq!(one("{\"a\":1e30}\n{\"a\":99999999999999999999}"), Ok(DataType::Float64));
    assert_eq!(one("{\"a\":1}\n{\"a\":-0}"), Ok(DataType::Int64));
    let mixed = one("\n{\"a\":9223372036854775808}\n\n{\"a\":-1}\n{\"a\":2}").unwrap_err();
    assert!(mixed.starts_with("f.jsonl, line 4, key `a`: -1 stands among negative integers"), "{mixed}");
    let beyond = "{\"a\":{\"b\":[1]}}\n{\"a\":{\"b\":[]}}\n{\"a\":{\"b\":[2,18446744073709551616]}}\n";
    let error = one(beyond).unwrap_err();
    let expected = "f.jsonl, line 3, key `a.b`: 18446744073709551616 fits neither Int64 nor UInt64: declare a type with dtype(\"a\", …)";
    assert!(error.starts_with(expected), "{error}");
    // Nested values of fitting size, and all digits.
    let files = Files::new(&[("f.jsonl", b"{\"a\":{\"b\":[1,18446744073709551615]}}")]);
    let batch = files.read("f.jsonl", JsonOptions::default()).unwrap();
    let lists = batch.column(0).as_struct().column(0).as_list::<i32>();
    assert_eq!(lists.values().as_primitive::<arrow::datatypes::UInt64Type>().values(), &[1, u64::MAX]);
    // Declared types are not questioned, and rows behind the sample are not looked at.
    for declared in [DataType::Float64, DataType::Decimal128(38, 0)] {
        let options = JsonOptions { dtypes: vec![("a".into(), declared.clone())], ..JsonOptions::default() };
        assert_eq!(types("{\"a\":18446744073709551616}", options), Ok(vec![declared]));
    }
    let first = JsonOptions { sample_rows: 1, ..JsonOptions::default() };
    assert_eq!(types("{\"a\":18446744073709551615}\n{\"a\":-1}", first), Ok(vec![DataType::UInt64]));
}
