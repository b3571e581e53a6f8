//! Wrong programs and wrong data of tables: of what kind the error is, and that it says what is wrong and where.

use std::sync::Arc;

use arrow::array::Array;
use arrow::array::*;
use arrow::datatypes::{Field, Schema};
use chunkwise::dataframe::IntoArray;
use chunkwise::prelude::*;

fn df() -> DataFrame {
    dataframe::from_columns([
        ("id", vec![1_i64, 2, 3].into_array()),
        ("value", vec![Some(1.5), None, Some(f64::NAN)].into_array()),
        ("category", vec!["a", "b", "7"].into_array()),
        ("ok", vec![true, false, true].into_array()),
    ])
}

/// The error of computing, which has to be of a kind and to say something.
#[track_caller]
fn wrong<C: Compute>(what: C, kind: ErrorKind, says: &[&str]) {
    let Err(error) = what.compute() else { panic!("computed, in place of {says:?}") };
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for part in says {
        assert!(text.contains(part), "`{part}` is not said: {text}");
    }
    assert!(text.contains(" at tests/it/bad_tables.rs:"), "the line is not said: {text}");
}

#[track_caller]
fn plan(what: DataFrame, says: &[&str]) {
    assert_eq!(what.schema().map(drop).unwrap_err().kind(), ErrorKind::Plan, "known when the plan is made");
    wrong(what, ErrorKind::Plan, says);
}

#[test]
fn columns_that_are_not_there() {
    let df = df();
    let says = "column `catgory` not found; columns are id, value, category, ok (did you mean `category`?)";
    let wrong = || col("catgory");
    let cases = [
        ("filter", df.filter(wrong().is_null())),
        ("filter", df.filter(col("id").gt(wrong().count()))),
        ("select", df.select(["catgory"])),
        ("select", df.select([(wrong().str().len_chars() + 1).alias("n")])),
        ("select", df.select([wrong().max()])),
        ("select", df.select([cols(["id", "catgory"])])),
        ("with_columns", df.with_columns([wrong().alias("x")])),
        ("with_columns", df.with_column(when(wrong().eq("a")).then(1).otherwise(2).alias("x"))),
        ("drop", df.drop(["id", "catgory"])),
        ("rename", df.rename([("catgory", "x")])),
        ("cast", df.cast([("catgory", DataType::Utf8)])),
        ("group_by", df.group_by(["catgory"]).agg([col("id").sum()])),
        ("group_by", df.group_by([wrong().str().to_lowercase()]).size()),
        ("agg", df.group_by(["id"]).agg([wrong().first()])),
        ("agg", df.group_by(["id"]).agg([col("value").sum().filter_by(wrong().eq("a"))])),
        ("agg", df.agg([wrong().count()])),
        ("agg_each", df.group_by(["id"]).agg_each(["catgory"], [Agg::Count])),
        ("unique", df.unique(["catgory"])),
        ("value_counts", df.value_counts("catgory")),
        ("value_counts_with_null", df.value_counts_with_null("catgory")),
        ("nlargest", df.nlargest(2, ["catgory"])),
        ("nsmallest", df.nsmallest(2, ["id", "catgory"])),
        ("fill_null", df.fill_null("catgory", 0)),
        ("fill_nan", df.fill_nan("catgory", 0.0)),
        ("replace", df.replace("catgory", [("a", "b")])),
        ("clip", df.clip("catgory", 0, 1)),
        ("drop_nulls", df.drop_nulls(["catgory"])),
        ("drop_nans", df.drop_nans(["catgory"])),
        ("col", df.col("catgory").to_dataframe()),
        ("filter", df.head(2).filter(wrong().is_null()).head(1).drop(["nothing"])),
    ];
    for (verb, case) in cases {
        plan(case, &[says, &format!("in {verb} at ")]);
    }
    let dir = tempfile::tempdir().unwrap();
    let error = df.to_csv(dir.path().join("x")).partition_by(["catgory"]).write().unwrap_err();
    assert!(error.to_string().starts_with(says), "{error}");
    // What was there before is not, after other verbs.
    plan(df.drop(["ok"]).filter(col("ok")), &["column `ok` not found; columns are id, value, category"]);
    plan(df.rename([("id", "key")]).filter(col("id").gt(0)), &["column `id` not found"]);
    plan(
        df.group_by(["category"]).size().filter(col("id").gt(0)),
        &["column `id` not found; columns are category, size"],
    );
}

#[test]
fn types_that_do_not_fit() {
    let df = df();
    plan(df.filter(col("value")), &["`value` is a Float64 and no condition", "in filter at "]);
    plan(df.filter(col("id") + 1), &["is a Int64 and no condition"]);
    plan(df.filter(!col("id")), &["Int64"]);
    plan(df.filter(col("ok") & col("id")), &["Int64"]);
    plan(df.select([col("category") + 1]), &["`+` does not take Utf8 and Int64: cast the text to a number"]);
    plan(df.select([col("ok") * col("id")]), &["`*` does not take Boolean and Int64"]);
    plan(df.select([col("category").gt(1)]), &["category"]);
    plan(df.select([-col("category")]), &["category"]);
    plan(df.select([col("id").str().to_lowercase()]), &["id"]);
    plan(df.select([col("id").dt().year()]), &["id"]);
    plan(df.select([col("category").sqrt()]), &["category"]);
    plan(df.select([when(col("id")).then(1).otherwise(2).alias("x")]), &["id"]);
    plan(df.select([when(col("ok")).then("a").otherwise(2).alias("x")]), &["Utf8"]);
    plan(df.select([col("id").fill_null("none")]), &["Utf8"]);
    plan(df.select([col("category").str().contains("(")]), &["("]);
    plan(df.agg([col("category").sum()]), &["`sum` of `category`, which is Utf8", "in agg at "]);
    plan(df.agg([col("category").mean()]), &["`mean` of `category`, which is Utf8"]);
    plan(df.agg([col("id").any()]), &["any"]);
    plan(df.agg([corr(col("id"), col("category"))]), &["corr"]);
    plan(df.group_by(["id"]).sum(), &["category"]);
    plan(df.clip("id", "a", "b"), &["id"]);
    plan(df.select(["category"]).describe(), &["there are no columns of numbers"]);
    let numbers = dataframe::from_columns([("i", vec![1_i64].into_array()), ("u", vec![1_u64].into_array())]);
    plan(
        numbers.select([col("i") + col("u")]),
        &["`+` does not take Int64 and UInt64: no integer type holds both, cast one"],
    );
    plan(
        dataframe::concat([&df, &df.cast([("ok", DataType::Utf8)])]),
        &["column `ok` is a Boolean in one table and a Utf8"],
    );
    plan(dataframe::concat([]), &["no tables to put together"]);
}

#[test]
fn names_that_are_there_twice() {
    let df = df();
    let says = "two columns would be called `id`: give one another name with .alias(\"…\")";
    plan(df.select(["id", "id"]), &[says, "in select at "]);
    plan(df.select([col("id"), (col("value") + 1).alias("id")]), &[says]);
    plan(df.with_columns([col("value").alias("id"), col("ok").alias("id")]), &[says, "in with_columns at "]);
    plan(df.rename([("value", "id")]), &[says, "in rename at "]);
    plan(df.group_by(["category"]).agg([col("id").sum(), col("id").mean()]), &[says, "in agg at "]);
    plan(df.group_by(["id"]).agg([col("id").sum()]), &[says]);
    plan(df.group_by(["id", "id"]).size(), &[says]);
    plan(df.unique(["id", "id"]), &[says]);
    let twice = [("a", vec![1_i64].into_array()), ("a", vec![2_i64].into_array())];
    plan(dataframe::from_columns(twice), &["`a`", "in from_columns at "]);
}

#[test]
fn aggregates_where_none_can_be() {
    let df = df();
    plan(df.group_by([col("id").max()]).size(), &["`max(id)` has an aggregate in it", "in group_by at "]);
    plan(df.agg([col("id").max().sum()]), &["is an aggregate of an aggregate"]);
    plan(df.group_by(["id"]).agg([col("value").sum().filter_by(col("value").gt(col("value").mean()))]), &["aggregate"]);
    plan(df.group_by(["id"]).agg([col("value")]), &["`value` is no aggregate", "value.sum()"]);
    plan(df.group_by(["id"]).agg([col("value") - col("value").mean()]), &["value"]);
    plan(df.agg([lit(1).alias("one")]), &["is no aggregate"]);
    plan(
        df.select([col("id").filter_by(col("ok"))]),
        &["`filter_by` takes the rows of an aggregate, and there is none"],
    );
    plan(df.nlargest(2, [col("id").max()]), &["aggregate"]);
    plan(df.group_by([""; 0]).size(), &["no keys to group by"]);
    plan(df.nlargest(2, [""; 0]), &["no columns to compare rows by"]);
    plan(df.unique([col("id").max()]), &["aggregate"]);
}

#[test]
fn series_of_two_tables() {
    let (one, two) = (df(), df());
    let says = "columns of two tables have no common rows";
    wrong((one.col("id") + two.col("id")).to_dataframe(), ErrorKind::Plan, &[says, "join"]);
    wrong((one.col("id") + one.filter(col("ok")).col("id")).to_dataframe(), ErrorKind::Plan, &[says]);
    wrong((one.col("id") + one.head(2).col("id")).to_dataframe(), ErrorKind::Plan, &[says]);
    assert!((one.col("id") + one.col("value")).to_dataframe().compute().is_ok());
}

#[test]
fn tables_that_are_none() {
    let short = [("a", vec![1_i64].into_array()), ("b", vec![1_i64, 2].into_array())];
    plan(dataframe::from_columns(short), &["columns that are no table", "in from_columns at "]);
    plan(dataframe::from_batches(Vec::new(), 2), &["no batches: a table needs columns", "in from_batches at "]);
    let batch = |name: &str, array: ArrayRef| RecordBatch::try_from_iter([(name, array)]).unwrap();
    let a = batch("a", vec![1_i64].into_array());
    plan(dataframe::from_batches(vec![a.clone(), batch("b", vec![1_i64].into_array())], 1), &["in from_batches at "]);
    plan(dataframe::from_batches(vec![a, batch("a", vec![1.0].into_array())], 1), &["in from_batches at "]);
    plan(df().get_partition(1), &["there is no partition 1: there are 1", "in get_partition at "]);
}

#[test]
fn values_that_do_not_fit() {
    let df = df();
    let data = |df: DataFrame, says: &[&str]| {
        assert!(df.schema().is_ok());
        wrong(df, ErrorKind::Data, says);
    };
    data(df.cast([("category", DataType::Int64)]), &["`category` is \"a\"", "Int64", "in cast at "]);
    data(df.select([col("category").cast(DataType::Float64)]), &["`category` is \"a\"", "Float64"]);
    data(df.select([(col("id") * 100).cast(DataType::Int8)]), &["id", "200", "Int8"]);
    data(df.cast([("value", DataType::Int64)]), &["value", "NaN", "Int64"]);
    data(df.select([(col("id") - 2).cast(DataType::UInt64)]), &["id", "-1", "UInt64"]);
    data(df.select([col("category").str().to_date("%Y")]), &["category", "a"]);
    let large = || dataframe::from_columns([("n", vec![5_i64, i64::MAX].into_array())]);
    data(large().select([col("n") + 1]), &["row 1", "`n + 1` overflows Int64", "`n` is 9223372036854775807"]);
    data(large().select([col("n") * col("n")]), &["row 1", "`n * n` overflows Int64"]);
    data(large().select([-col("n") - 2]), &["overflows Int64"]);
    data(large().select([col("n").pow(3)]), &["overflow"]);
    data(large().agg([col("n").sum()]), &["`sum(n)` overflows: 9223372036854775812 is no Int64", "from agg at "]);
    data(large().agg([col("n").product()]), &["product", "n"]);
    data(large().group_by([lit(1).alias("k")]).agg([col("n").sum().alias("s")]), &["sum", "n"]);
    data(large().filter((col("n") + 1).gt(0)), &["overflows Int64", "in filter at "]);
    let least = dataframe::from_columns([("n", vec![i64::MIN].into_array())]);
    data(least.select([-col("n")]), &["overflows Int64"]);
    data(least.select([col("n").abs()]), &["overflows Int64"]);
    data(least.select([col("n").floor_div(-1)]), &["overflows Int64"]);
    // By name it wraps; what is tried is null.
    let wrapped = large().select([col("n").wrapping_add(1)]).compute().unwrap();
    assert_eq!(wrapped.column::<arrow::datatypes::Int64Type>("n").unwrap().value(1), i64::MIN);
    let tried = df.select([col("category").try_cast(DataType::Int64)]).compute().unwrap();
    assert_eq!(tried.array("category").unwrap().null_count(), 2);
    // Not looked at is not computed.
    assert!(large().select([col("n") + 1]).head(1).compute().is_ok());
}

#[test]
fn functions_of_the_user() {
    let df = df();
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
    let says =
        ["the function gave (id: Int64, value: Float64, category: Utf8, ok: Boolean), and (id: Int64) was declared"];
    wrong(df.map_batches(schema.clone(), Ok), ErrorKind::Task, &[says[0], "in map_batches at "]);
    wrong(df.map_partitions(schema.clone(), Ok), ErrorKind::Task, &["was declared", "in map_partitions at "]);
    let floats = dataframe::from_columns([("id", vec![1.0].into_array())]);
    wrong(floats.map_batches(schema.clone(), Ok), ErrorKind::Task, &["(id: Float64), and (id: Int64) was declared"]);
    let panics = df.map_batches(schema.clone(), |_| panic!("no such luck"));
    wrong(panics.clone(), ErrorKind::Panic, &["no such luck", "map_batches at "]);
    wrong(panics.count_rows(), ErrorKind::Panic, &["no such luck"]);
    let fails = df.map_partitions(schema, |_| Err(Error::new(ErrorKind::Task, "out of luck")));
    wrong(fails.agg([col("id").sum()]), ErrorKind::Task, &["out of luck", "map_partitions at "]);
    // A function of the user's has no say in which columns there are afterwards.
    let same = df.map_batches(df.schema().unwrap(), |batch| Ok(batch.slice(0, 1)));
    assert_eq!(same.compute().unwrap().num_rows(), 1);
    assert_eq!(df.compute().unwrap().num_rows(), 3, "the next run works");
}

#[test]
fn options_that_are_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    std::fs::write(&path, "a,b\n1,2\n").unwrap();
    let path = path.to_str().unwrap();
    let read = || dataframe::read_csv(path);
    let cases = [
        (read().delimiter('é').open(), "'é' cannot stand between fields"),
        (read().delimiter('\n').open(), "cannot stand between fields"),
        (read().delimiter('"').open(), "it stands around them"),
        (read().columns(["c"]).open(), "column `c` not found"),
        (read().columns(["a", "a"]).open(), "two columns would be called `a`"),
        (read().parse_dates(["c"]).open(), "column `c` not found"),
        (read().dtype("a", DataType::Null).open(), "a"),
    ];
    for (opened, says) in cases {
        let error = opened.unwrap_err();
        assert!(error.kind() == ErrorKind::Plan && error.to_string().contains(says), "{error}");
    }
    #[cfg(feature = "parquet")]
    for writer in [
        df().to_parquet(dir.path().join("x")).row_group_rows(0),
        df().to_parquet(dir.path().join("x")).bloom_filters(["ids"]),
    ] {
        let error = writer.write().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Plan, "{error}");
    }
    for pattern in ["nothing/*.csv", "nothing.csv"] {
        let error = dataframe::read_csv(dir.path().join(pattern).to_str().unwrap()).open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    }
}

#[test]
fn names_that_look_like_expressions() {
    // Equal as texts, and not the same.
    let df = dataframe::from_columns([
        ("a", vec![1_i64].into_array()),
        ("b", vec![2_i64].into_array()),
        ("a + b", vec![100_i64].into_array()),
        ("sum(a)", vec![7_i64].into_array()),
        ("null", vec![8_i64].into_array()),
        ("", vec![9_i64].into_array()),
    ]);
    let one = df.select([(col("a") + col("b")).alias("x")]);
    let two = df.select([col("a + b").alias("x")]);
    let three = df.agg([col("sum(a)").max().alias("x")]);
    let four = df.agg([col("a").sum().alias("x")]);
    let (one, two, three, four) = compute((one, two, three, four)).unwrap();
    let value = |table: Table| table.column::<arrow::datatypes::Int64Type>("x").unwrap().value(0);
    assert_eq!([value(one), value(two), value(three), value(four)], [3, 100, 7, 1]);
    let odd = df.select([(col("null") + col("")).alias("x")]).compute().unwrap();
    assert_eq!(value(odd), 17);
    // Constants that print alike are of different types.
    let one = df.select([lit(1).alias("x")]);
    let two = df.select([lit(1).cast(DataType::Int8).alias("x")]);
    let (one, two) = compute((one, two)).unwrap();
    assert_eq!(
        (one.schema().field(0).data_type(), two.schema().field(0).data_type()),
        (&DataType::Int64, &DataType::Int8)
    );
}

#[test]
fn no_files_at_all() {
    type Reader = (&'static str, fn(&str) -> Result<DataFrame>);
    let readers: Vec<Reader> = vec![
        ("read_csv", |path| dataframe::read_csv(path).open()),
        ("read_json", |path| dataframe::read_json(path).open()),
        ("read_ipc", |path| dataframe::read_ipc(path).open()),
        #[cfg(feature = "parquet")]
        ("read_parquet", |path| dataframe::read_parquet(path).open()),
    ];
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    for (verb, read) in readers {
        for (path, text) in [
            ("part-*.x", "no file matches `"),
            ("none/*/part.x", "no file matches `"),
            ("part.x", "no file matches `"),
            ("empty", "no file in "),
        ] {
            let path = dir.path().join(path).to_str().unwrap().to_string();
            let error = read(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{verb}: {error}");
            let said = error.to_string();
            assert!(said.contains(text) && said.contains(&path), "{verb}: {said}");
            assert!(said.contains(&format!("in {verb} at ")), "{verb}: {said}");
        }
    }
}
