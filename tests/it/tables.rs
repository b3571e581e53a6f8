//! Tables from CSV files: what is read, and what is said of files and programs that are wrong.

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Float64Type, Int64Type};
use chunkwise::prelude::*;

struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Files {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Files(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_string()
    }

    fn open(&self, name: &str) -> DataFrame {
        dataframe::read_csv(self.path(name)).null_values(["", "NA"]).open().unwrap()
    }
}

fn message(error: &Error) -> String {
    let text = error.message().to_string();
    // Directories differ from run to run.
    let parts = text.split(' ').map(|part| match part.rfind('/') {
        Some(at) if part.contains(".csv") || part.contains(".gz") => part[at + 1..].to_string(),
        _ => part.to_string(),
    });
    parts.collect::<Vec<_>>().join(" ")
}

#[test]
fn types_nulls_and_order() {
    let files = Files::new(&[
        ("n9.csv", "id,name,x,ok\n1,ann,0.5,true\n2,NA,NA,false\n"),
        // Another order, one column more, quotes, a blank line, no newline at the end.
        ("n10.csv", "x,more,ok,id,name\n2,z,NA,3,\"bo,b\"\n\n1e3,z,true,,\"two\nlines\""),
    ]);
    let frame = files.open("n*.csv");
    assert_eq!(
        format!("{frame:?}"),
        "DataFrame: read_csv of 2 files, 2 partitions\n  id: Int64\n  name: Utf8\n  x: Float64\n  ok: Boolean"
    );
    let table = frame.compute().unwrap();
    assert_eq!(
        table.to_string(),
        "  id  name            x  ok\n\
         ----  ---------  ------  -----\n\
         \u{20}  1  ann           0.5  true\n\
         \u{20}  2  null         null  false\n\
         \u{20}  3  bo,b          2.0  null\n\
         null  two lines  1000.0  true\n"
    );
    let some = frame.select([col("x") * 2, col("name").alias("who")]).filter(col("who").ne("ann"));
    let table = some.compute().unwrap();
    assert_eq!(table.column::<Float64Type>("x").unwrap().iter().collect::<Vec<_>>(), [Some(4.0), Some(2000.0)]);
    assert_eq!(table.texts("who").unwrap().value(0), "bo,b");
    let more = frame.with_columns([(col("id") + 1).alias("next"), col("x").is_null().alias("x")]);
    assert_eq!(more.columns().unwrap(), ["id", "name", "x", "ok", "next"]);
    assert_eq!(more.compute().unwrap().array("x").unwrap().as_boolean().true_count(), 1);
    assert_eq!(frame.count_rows().compute().unwrap(), 4);
    assert_eq!(frame.filter(col("ok").eq(true)).count_rows().compute().unwrap(), 2);
}

#[test]
fn declared_types_and_delimiters() {
    let files = Files::new(&[("a.csv", "a;b\n1;007\n")]);
    let read = dataframe::read_csv(files.path("a.csv")).delimiter(';').dtype("b", DataType::Utf8);
    let table = read.open().unwrap().compute().unwrap();
    assert_eq!(table.texts("b").unwrap().value(0), "007");
    let error = read.clone().dtype("c", DataType::Int64).open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plan);
    assert_eq!(error.message(), "column `c` not found; columns are a, b (did you mean `a`?)");
    assert_eq!(read.clone().delimiter('é').open().unwrap_err().kind(), ErrorKind::Plan);
    assert_eq!(read.dtype("a", DataType::Null).open().unwrap_err().kind(), ErrorKind::Plan);
}

#[test]
fn groups() {
    let files = Files::new(&[("1.csv", "k,j,v\nb,1,1\na,1,2\n,1,100\nb,2,NA\n"), ("2.csv", "k,j,v\nb,1,5\nc,1,NA\n")]);
    let frame = files.open("?.csv");
    let all = [col("v").sum(), col("v").count().alias("n"), (col("v") / 2).mean().alias("half")];
    let by_one = frame.group_by(["k"]).agg(all.clone());
    assert_eq!(
        by_one.compute().unwrap().to_string(),
        "k  v  n  half\n-  -  -  ----\na  2  1   1.0\nb  6  2   1.5\nc  0  0  null\n"
    );
    let by_two = frame.group_by(["k", "j"]).agg([col("v").count()]);
    let table = by_two.filter(col("v").gt(0)).compute().unwrap();
    assert_eq!(table.to_string(), "k  j  v\n-  -  -\na  1  1\nb  1  2\n");
    // A group-by of a group-by.
    let counts = by_one.group_by(["n"]).agg([col("half").count().alias("groups")]).compute().unwrap();
    assert_eq!(counts.column::<Int64Type>("groups").unwrap().values(), &[0, 1, 1]);
    // Of no rows.
    let none = frame.filter(col("v").gt(1000)).group_by(["k"]).agg(all).compute().unwrap();
    assert_eq!((none.num_rows(), none.num_columns()), (0, 4));
    assert!(none.array("half").unwrap().is_empty());
}

#[test]
fn wrong_programs_are_told_with_their_line() {
    let files = Files::new(&[("a.csv", "id,value,category\n1,2,x\n")]);
    let frame = files.open("a.csv");
    let line = line!() + 1;
    let poisoned = frame.group_by(["catgory"]).agg([col("value").sum()]);
    let error = poisoned.filter(col("nothing").is_null()).compute().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Plan);
    assert_eq!(
        error.to_string(),
        format!(
            "column `catgory` not found; columns are id, value, category (did you mean `category`?)\n  in group_by at \
             {}:{line}",
            file!()
        )
    );
    assert_eq!(poisoned.schema().unwrap_err().to_string(), error.to_string());
    assert_eq!(poisoned.count_rows().compute().unwrap_err().to_string(), error.to_string());
    let says = |frame: DataFrame, text: &str| {
        let error = frame.compute().unwrap_err();
        assert!(error.to_string().starts_with(text), "{error}");
    };
    says(frame.filter(col("value")), "`value` is a Int64 and no condition\n  in filter at ");
    says(frame.group_by([col("value").sum()]).size(), "`sum(value)` has an aggregate in it: those belong into `agg`");
    says(frame.select(["id", "id"]), "two columns would be called `id`: give one another name with .alias(\"…\")");
    let by = frame.group_by(["id"]);
    says(by.agg([col("value")]), "`value` is no aggregate");
    says(by.agg([col("value").sum(), col("value").mean()]), "two columns would be called `value`");
    says(by.agg([col("category").mean()]), "`mean` of `category`, which is Utf8\n  in agg at ");
    says(frame.group_by([""; 0]).agg([col("value").sum()]), "no keys to group by");
    let error = (frame.col("value") / frame.filter(col("id").eq(1)).col("value")).to_array::<f64>().compute();
    assert!(error.unwrap_err().to_string().starts_with("columns of two tables have no common rows"));
    let error = frame.col("valu").to_bag::<i64>().compute().unwrap_err();
    assert!(error.to_string().contains("did you mean `value`?)\n  in col at "), "{error}");
    let error = frame.col("category").to_array::<f64>().mean().compute().unwrap_err();
    assert!(error.to_string().starts_with("column `category` is a Utf8 and no number\n  in to_array at "), "{error}");
    assert_eq!(frame.col("value").to_bag::<String>().compute().unwrap_err().kind(), ErrorKind::Plan);
}

#[test]
fn wrong_files_are_told_with_line_and_column() {
    let good = "a,b\n1,x\n";
    let files = Files::new(&[
        ("value.csv", "b,a\n\"x\ny\",1\n\nz,2\nw,n/a\n"),
        ("short.csv", "a,b\n1,x\n2\n"),
        ("long.csv", "a,b\n1,x\n2,y,z\n"),
        ("lacking.csv", "a,c\n1,x\n"),
        ("twice.csv", "a,a\n1,2\n"),
        ("empty.csv", ""),
        ("only.csv", "a,b\n"),
        ("good.csv", good),
        ("fake.csv.gz", good),
    ]);
    // The schema is that of the good file, which comes first.
    let after_good = |name: &str| {
        let both = Files::new(&[("0.csv", good)]);
        std::fs::copy(files.path(name), both.path("1.csv")).unwrap();
        both
    };
    let run = |name: &str| {
        let both = after_good(name);
        both.open("?.csv").compute().unwrap_err()
    };
    let error = run("value.csv");
    assert_eq!(error.kind(), ErrorKind::Data);
    let text = message(&error);
    assert!(text.starts_with("1.csv, line 6, column `a`: `n/a` is not a Int64; the type was taken from"), "{text}");
    assert!(error.to_string().starts_with("task `read_csv #1` failed: "), "{error}");
    assert!(error.to_string().contains("\n  from read_csv at "), "{error}");
    assert_eq!(message(&run("short.csv")), "1.csv, line 3: 1 field where the header has 2");
    assert_eq!(message(&run("long.csv")), "1.csv, line 3: 3 fields where the header has 2");
    assert_eq!(message(&run("empty.csv")), "1.csv has no header row");
    // A column that a file does not have is null in its rows.
    let both = after_good("lacking.csv");
    assert_eq!(both.open("?.csv").col("a").to_bag::<i64>().compute().unwrap(), [1, 1]);
    assert_eq!(both.open("?.csv").filter(col("b").is_null()).count_rows().compute().unwrap(), 1);

    let open = |name: &str| dataframe::read_csv(files.path(name)).open();
    assert_eq!(message(&open("twice.csv").unwrap_err()), "twice.csv, line 1: two columns are called `a`");
    assert_eq!(message(&open("empty.csv").unwrap_err()), "empty.csv has no header row");
    assert_eq!(open("only.csv").unwrap().compute().unwrap().num_rows(), 0);
    let error = open("nothing-*.csv").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().starts_with("no file matches `") && error.to_string().contains("in read_csv at"));
    assert_eq!(
        open("fake.csv.gz").unwrap_err().kind(),
        if cfg!(feature = "gzip") { ErrorKind::Io } else { ErrorKind::Unsupported }
    );
}

#[cfg(feature = "gzip")]
#[test]
fn compressed_files_in_parts_and_cut_off() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/flights/flights-2013-02.csv.gz");
    let bytes = std::fs::read(source).unwrap();
    let files = Files::new(&[]);
    std::fs::write(files.path("cut.csv.gz"), &bytes[..bytes.len() / 2]).unwrap();
    let error = files.open("cut.csv.gz").count_rows().compute().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(message(&error).starts_with("cannot read cut.csv.gz: "), "{error}");
    // Two compressed files behind each other are one.
    let open = |path: &str| dataframe::read_csv(path).null_values(["", "NA"]).open().unwrap();
    let once = open(source).count_rows().compute().unwrap();
    std::fs::write(files.path("two.csv.gz"), [&bytes[..], &bytes[..]].concat()).unwrap();
    let twice = open(&files.path("two.csv.gz"));
    assert_eq!(twice.count_rows().compute().unwrap(), 2 * once + 1);
    let twice = twice.col("flight").sum().compute();
    // The second header is a row like any other, and fits no number.
    let text = message(&twice.unwrap_err());
    assert!(text.starts_with(&format!("two.csv.gz, line {}, column `", once + 2)), "{text}");
}

#[test]
fn columns_become_arrays_and_bags_and_delayed() {
    let files = Files::new(&[("1.csv", "x,t\n1,a\nNA,b\n3,NA\n"), ("2.csv", "x,t\n4,a\n")]);
    let frame = files.open("?.csv");
    let x = frame.col("x").to_array::<f64>();
    assert_eq!((x.nblocks().unwrap(), x.known_len().unwrap()), (2, None));
    let values = x.compute().unwrap();
    assert!(values[1].is_nan() && values[0] == 1.0 && values[3] == 4.0);
    let error = frame.col("x").to_array::<i64>().compute().unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Data, "column `x`: a null cannot be a i64"));
    let whole = frame.filter(col("x").is_not_null());
    assert_eq!(whole.col("x").to_array::<i64>().compute().unwrap(), ndarray::arr1(&[1, 3, 4]));
    assert_eq!(frame.col("x").to_bag::<i64>().compute().unwrap(), [1, 3, 4]);
    let tails = frame.col("t").to_bag::<String>();
    assert_eq!(tails.frequencies().compute().unwrap(), [("a".to_string(), 2), ("b".to_string(), 1)]);
    let sum = (whole.col("x") + &whole.col("x")).to_array::<f64>();
    let text = delayed_with((&frame, &tails, &sum.mean(), &frame.count_rows()), |(table, tails, mean, rows)| {
        format!("{} {} {mean:.3} {rows}", table.num_rows(), tails.join(""))
    });
    assert_eq!(text.compute().unwrap(), "4 aba 5.333 4");
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_column() {
    let files = Files::new(&[("good.csv", "a,b,c\nx,\"y,y\",z\n")]);
    let bad = |column: usize| {
        let fields: [&[u8]; 3] = std::array::from_fn(|at| if at == column { b"q\xFFq" as &[u8] } else { b"\"o,k\"" });
        [b"a,b,c\nx,\"y\ny\",z\n" as &[u8], &fields.join(&b','), b"\n"].concat()
    };
    for (column, name) in ["a", "b", "c"].into_iter().enumerate() {
        // The first file is sound, so that the sample finds nothing.
        std::fs::write(files.path("good2.csv"), bad(column)).unwrap();
        let error = files.open("good*.csv").select([col(name)]).compute().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(message(&error), format!("good2.csv, line 4, column `{name}`: the byte 0xFF is not UTF-8"));
        // Nobody looks at what is not wanted.
        let other = ["b", "c", "a"][column];
        assert_eq!(files.open("good*.csv").select([col(other)]).compute().unwrap().num_rows(), 3);
    }
}

#[test]
fn a_quote_that_is_never_closed() {
    let open = "a,b\n1,x\n2,\"y\n3,z\n";
    let files = Files::new(&[("open.csv", open), ("p1.csv", "a,b\n1,\"say \"\"no\"\"\"\n"), ("p2.csv", open)]);
    files.open("p1.csv").compute().unwrap();
    let error = dataframe::read_csv(files.path("open.csv")).open().unwrap_err();
    assert_eq!(message(&error), "open.csv, line 3: a quote is opened and never closed");
    std::fs::write(files.path("p3.csv"), "a,b\n1,x\n\"2,y\n3,z\n").unwrap();
    for name in ["p2.csv", "p3.csv"] {
        // The field that swallows the rest is the last of its row, or leaves too few.
        let other = if name == "p2.csv" { "p3.csv" } else { "p2.csv" };
        let (here, there) = (files.path(other), files.path("aside"));
        std::fs::rename(&here, &there).unwrap();
        for table in [files.open("p*.csv"), files.open("p*.csv").select([col("a")])] {
            let error = table.compute().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data);
            assert_eq!(message(&error), format!("{name}, line 3: a quote is opened and never closed"));
        }
        std::fs::rename(there, here).unwrap();
    }
}

#[test]
#[cfg(feature = "gzip")]
fn a_file_that_is_not_compressed_though_its_name_says_so() {
    let files = Files::new(&[("plain.csv.gz", "a,b\n1,2\n"), ("empty.csv.gz", "")]);
    for name in ["plain.csv.gz", "empty.csv.gz"] {
        let error = dataframe::read_csv(files.path(name)).open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(
            message(&error),
            format!("cannot read {name}: it is not compressed by gzip, though its name says so")
        );
    }
}

#[test]
fn expressions_that_share_their_parts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n");
    let small = dataframe::from_columns([("k", vec![1.0, 2.0, 1.0, 3.0]), ("v", vec![1.0, 2.0, 3.0, 4.0])]);
    small.to_parquet(&path).compute().unwrap();
    // Written out each would have 2^60 parts.
    let mean = |of: Expr| (0..60).fold(of, |expr, _| (expr.clone() + expr) / 2);
    let either =
        (0..60).fold(col("v").gt(1), |expr, at| (expr.clone() & col("k").lt(at + 5)) | (expr & col("k").ge(at + 5)));
    let sources = [small, dataframe::read_parquet(path.to_str().unwrap()).open().unwrap()];
    for frame in sources {
        let twice =
            (0..60).fold(frame.clone(), |frame, _| frame.with_columns([((col("v") + col("v")) / 2).alias("v")]));
        let both = [
            frame.with_columns([mean(col("v")).alias("v")]),
            twice,
            frame.select([col("k"), mean(col("v") - col("v").mean()) + col("v").mean()]).rename([("v", "v")]),
        ];
        for table in both {
            let kept = table.filter(either.clone());
            assert!(kept.explain().unwrap().len() < 1 << 20);
            let groups =
                kept.group_by([mean(col("k"))]).agg([mean(col("v")).sum(), mean(col("v").max()).alias("most")]);
            assert_eq!(
                groups.compute().unwrap().to_string(),
                "  k    v  most\n---  ---  ----\n1.0  3.0   3.0\n2.0  2.0   2.0\n3.0  4.0   4.0\n"
            );
            assert_eq!(kept.count_rows().compute().unwrap(), 3);
            let first = kept.nlargest(2, [mean(col("v"))]).compute().unwrap();
            assert_eq!(first.column::<Float64Type>("v").unwrap().values(), &[4.0, 3.0]);
        }
        let error = frame.filter(mean(col("v"))).compute().unwrap_err();
        assert!(error.message().len() < 400, "{error}");
    }
}

#[test]
fn first_and_last_rows_of_more_than_memory() {
    const ROWS: i64 = 150_000;
    let files = Files::new(&[]);
    let (source, out) = (files.path("in"), files.path("out"));
    let pad = concat_str([col("n"), lit("-".repeat(100))], "").alias("pad");
    for part in 0..30 {
        let numbers: Vec<i64> = (part * (ROWS / 30)..(part + 1) * (ROWS / 30)).collect();
        let table = dataframe::from_columns([("n", numbers)]).with_column(pad.clone());
        table.to_ipc(&source).append().compute().unwrap();
    }
    let df = dataframe::read_ipc(&source).open().unwrap();
    let even = df.filter((col("n") % 2).eq(0));
    let cases: [(DataFrame, Vec<i64>); 5] = [
        (df.head(120_000), (0..120_000).collect()),
        (df.tail(120_000), (30_000..ROWS).collect()),
        (df.head(400_000), (0..ROWS).collect()),
        (
            even.tail(70_000).with_columns([col("n") + 1]),
            (10_000..ROWS).filter(|n| n % 2 == 0).map(|n| n + 1).collect(),
        ),
        (even.head(70_000).tail(65_000), (10_000..140_000).filter(|n| n % 2 == 0).collect()),
    ];
    for threads in [0, 2] {
        // The rows of the first cases take 14 to 18 MiB.
        let builder = Runtime::builder().memory_limit(8 << 20);
        let builder = match threads {
            0 => builder.scheduler(chunkwise::runtime::config::Scheduler::Synchronous),
            _ => builder.threads(threads),
        };
        let runtime = builder.build().unwrap();
        for (case, (df, expected)) in cases.iter().enumerate() {
            let written = df.to_ipc(&out).compute_on(&runtime).unwrap();
            assert_eq!(written.rows, expected.len() as u64, "{case}");
            let report = runtime.last_report();
            assert!(report.spilled_bytes > 0, "{case}: {report}");
            // What comes before its turn does not pile up.
            assert!(report.peak_accounted_bytes <= 2 * report.limit_bytes, "{case}: {report}");
            let read = dataframe::read_ipc(&out).open().unwrap().compute().unwrap();
            assert!(read.column::<Int64Type>("n").unwrap().values().iter().eq(expected), "{case}");
            let sums = df.agg([col("n").sum(), col("pad").max()]).compute_on(&runtime).unwrap();
            assert_eq!(sums.column::<Int64Type>("n").unwrap().value(0), expected.iter().sum::<i64>(), "{case}");
            let report = runtime.last_report();
            assert!(report.peak_accounted_bytes <= report.limit_bytes, "{case}: {report}");
            assert_eq!(df.count_rows().compute_on(&runtime).unwrap(), expected.len() as u64, "{case}");
        }
        // No more is read than has to be.
        assert_eq!(df.head(7000).count_rows().compute_on(&runtime).unwrap(), 7000);
        let read = runtime.last_report().source_bytes;
        assert!(read <= 2 << 20, "{read}");
    }
}
