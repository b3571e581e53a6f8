//! Lines of JSON: whether one can be read does not hang on where it stands, nor on how the file is cut.

use std::path::Path;

use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chunkwise::prelude::*;

/// Options that must not matter: bytes of a block and rows of the sample.
fn ways() -> impl Iterator<Item = (u64, usize)> {
    [1, 2, 3, 7, 1000].into_iter().flat_map(|block| [(block, 1), (block, 1000)])
}

fn write(content: &[u8]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.jsonl");
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_string();
    (dir, path)
}

/// What is said of a file, without where it lies and from where it was read.
fn said<T>(path: &str, result: Result<T>) -> Option<String> {
    let text = result.err()?.message().to_string();
    let folder = Path::new(path).parent().unwrap().display().to_string();
    Some(text.replace(&format!("{folder}/"), ""))
}

#[test]
fn every_line_is_one_object() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    let bad: Vec<&[u8]> = vec![
        b"{\"n\":01}",
        b"{\"n\":1.}",
        b"{\"n\":.5}",
        b"{\"n\":+1}",
        b"{\"n\":1e400}",
        b"{\"n\":-1e999}",
        b"{\"n\":nan}",
        b"{\"t\":\"a\x01\"}",
        b"{\"t\":\"a\tb\"}",
        b"{\"t\":\"\\q\"}",
        b"{\"t\":\"\\ud800\"}",
        b"{\"t\":\"\xff\"}",
        b"{\"t\":\"x\xc3\"}",
        b"{\"n\":1}{\"n\":2}",
        b"{\"n\":1} {\"n\":2}",
        b"{\"n\":1},",
        b"{\"n\":",
        b"{\"t\":\"x",
        b"{\"n\":1,}",
        b"{\"n\":1,,\"t\":\"x\"}",
        b"{\"n\":1 \"t\":\"x\"}",
        b"{,\"n\":1}",
        b"{'n':1}",
        b"{n:1}",
        b"{\"n\" 1}",
        b"[{\"n\":1}]",
        b"{\"n\":[1,}",
        b"5",
        b"null",
        b"\"n\"",
        b"}",
        b"\x0b",
        b"\xc2\xa0",
        b"\xef\xbb\xbf{\"n\":1}",
        deep.as_bytes(),
    ];
    let good: Vec<&[u8]> = vec![
        b"{\"n\":1.5e2,\"t\":\"\\u00e9\\n\\\"\\ud83d\\ude00\"}",
        b" { \"t\" : null , \"n\" : -0.0 } \r",
        b"{}",
        b"",
        b" \t\r",
        b"{\"n\":1E-400}",
        "{\"t\":\"é\u{7f}\"}".as_bytes(),
    ];
    for (line, is_good) in bad.iter().map(|line| (line, false)).chain(good.iter().map(|line| (line, true))) {
        let shown = String::from_utf8_lossy(line);
        let is_object = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line).is_ok();
        assert!(is_good == is_object || line.trim_ascii().is_empty(), "{shown}");
        // In the sample, behind it, and at the end without a newline.
        for rest in [&b"\n{\"n\":4}\n"[..], b""] {
            let content = [b"{\"n\":0.5,\"t\":\"a\"}\n\n", *line, rest].concat();
            let (_dir, path) = write(&content);
            let mut verdicts = Vec::new();
            for (block, sample) in ways() {
                let reader = dataframe::read_json(&path).block_bytes(block).sample_rows(sample);
                let rows = reader.open().and_then(|df| df.compute()).map(|table| table.num_rows());
                if let Ok(rows) = rows {
                    let expected = content.split(|byte| *byte == b'\n').filter(|line| line.contains(&b'{')).count();
                    assert_eq!(rows, expected, "{shown} {block} {sample}");
                }
                verdicts.push(said(&path, rows));
            }
            let told = &verdicts[0];
            assert!(verdicts.iter().all(|one| one == told), "{shown}: {verdicts:?}");
            assert_eq!(told.is_none(), is_good, "{shown}: {told:?}");
            if let Some(told) = told {
                assert!(told.starts_with("f.jsonl, line 3: ") && told.contains(", at column "), "{shown}: {told}");
                assert!(!told.contains("line 1"), "{shown}: {told}");
            }
        }
    }
}

#[test]
fn numbers_out_of_range() {
    for (value, of, says) in [
        ("1e400", None, "f.jsonl, line 2: key `a`: number out of range, at column "),
        ("1e400", Some(DataType::Float64), "f.jsonl, line 2: key `a`: number out of range, at column "),
        ("1e39", Some(DataType::Float32), "f.jsonl, line 2, column `a`: `1e39` is not a Float32"),
        ("-1e39", Some(DataType::Float32), "f.jsonl, line 2, column `a`: `-1e39` is not a Float32"),
        ("70000.0", Some(DataType::Float16), "f.jsonl, line 2, column `a`: `70000.0` is not a Float16"),
        ("\"1e400\"", Some(DataType::Float64), "f.jsonl, line 2, column `a`: `\"1e400\"` is not a Float64"),
    ] {
        let (_dir, path) = write(format!("{{\"a\":0.5}}\n{{\"a\":{value}}}\n{{\"a\":1.5}}\n").as_bytes());
        for (block, sample) in ways() {
            let mut reader = dataframe::read_json(&path).block_bytes(block).sample_rows(sample);
            if let Some(of) = &of {
                reader = reader.dtype("a", of.clone());
            }
            let told = said(&path, reader.open().and_then(|df| df.compute())).unwrap();
            assert!(told.starts_with(says), "{value} {block} {sample}: {told}");
        }
    }
}

#[test]
fn a_byte_order_mark_is_no_line() {
    for (content, expected) in [
        ("\u{feff}{\"a\":1}\n{\"a\":2}\n", vec![1, 2]),
        ("\u{feff}\n{\"a\":1}\n{\"a\":2}", vec![1, 2]),
        ("\u{feff}{\"a\":1}", vec![1]),
        ("{\"a\":1}\n", vec![1]),
    ] {
        let (_dir, path) = write(content.as_bytes());
        for block in 1..=content.len() as u64 + 1 {
            let df = dataframe::read_json(&path).block_bytes(block).open().unwrap();
            let table = df.compute().unwrap();
            assert_eq!(table.column::<Int64Type>("a").unwrap().values(), &expected, "{content} {block}");
        }
    }
    // Lines are counted as they stand in the file.
    let (_dir, path) = write("\u{feff}{\"a\":1}\n{\"a\":oh}\n".as_bytes());
    for (block, sample) in ways() {
        let reader = dataframe::read_json(&path).block_bytes(block).sample_rows(sample);
        let told = said(&path, reader.open().and_then(|df| df.compute())).unwrap();
        assert!(told.starts_with("f.jsonl, line 2: no JSON object: "), "{told}");
    }
}

#[test]
fn values_that_are_no_column_together() {
    for (lines, says) in [
        (
            &["{\"a\":{\"q\":1}}", "{\"b\":0,\"a\":3}"][..],
            ", line 2, column `a`: `3` is a number, and line 1 has an object",
        ),
        (
            &["{\"a\":null}", "", "{\"a\":\"x\"}", "{\"a\":{}}"],
            ", line 4, column `a`: `{}` is an object, and line 3 has a text",
        ),
        (
            &["{\"s\":{\"a\":{}}}", "{\"s\":{\"a\":[]}}"],
            ", line 2, column `s`: `{\"a\":[]}` holds values of other kinds than line 1 does",
        ),
        (&["{\"s\":1}", "{\"l\":[1,{}]}"], ", line 2, column `l`: `[1,{}]` holds values of several kinds"),
    ] {
        let (_dir, path) = write(lines.join("\n").as_bytes());
        let told = said(&path, dataframe::read_json(&path).open()).unwrap();
        assert_eq!(told, format!("f.jsonl{says}"));
    }
}

#[test]
fn types_that_are_not_made_of_json() {
    let (_dir, path) = write(b"{\"a\":\"x\"}\n");
    let codes = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let error = dataframe::read_json(&path).dtype("a", codes.clone()).open().unwrap_err();
    let told = said::<()>(&path, Err(error)).unwrap();
    let wanted =
        format!("f.jsonl: column `a` cannot be read from JSON as a {codes}: declare another type, and cast the column");
    assert_eq!(told, wanted);
}

#[test]
fn durations_are_not_written_as_text() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = dataframe::from_columns([("d", vec![1_i64, 2])]);
    let df = numbers.cast([("d", DataType::Duration(TimeUnit::Second))]);
    for (at, written) in
        [df.to_csv(dir.path().join("c")).write(), df.to_json(dir.path().join("j")).write()].into_iter().enumerate()
    {
        let error = written.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Plan, "{at}: {error}");
        assert!(error.to_string().contains("column `d` is a Duration(s): durations cannot be read back"), "{error}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
