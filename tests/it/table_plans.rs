//! Plans of tables before and after each pass.

use chunkwise::prelude::*;
use chunkwise::runtime::config;

const PASSES: [&str; 5] = ["merge", "simplify", "predicates", "limits", "columns"];

/// The plan as it is, and after one pass alone; of `all`, after all of them.
fn plans<C: Compute>(pass: &str, what: &C) -> (String, String) {
    let settings = PASSES.map(|known| (format!("optimize.{known}"), (pass == known || pass == "all").to_string()));
    let text = config::with(settings, || what.explain()).unwrap();
    let (before, rest) = text.split_once("tables, optimized:\n").unwrap();
    let (after, _) = rest.split_once("tables, as they run:").unwrap();
    // Parameters are numbered through the process: here from 0 on.
    let first =
        before.split('@').skip(1).filter_map(|rest| rest.split([' ', ')', '\n']).next()?.parse::<u64>().ok()).min();
    let renumbered = |text: &str| {
        (0..9).fold(text.to_string(), |text, at| {
            text.replace(&format!("@{}", first.unwrap_or(0) + at), &format!("@{at}"))
        })
    };
    (renumbered(before.trim_start_matches("tables:\n")), renumbered(after))
}

#[track_caller]
fn check<C: Compute>(pass: &str, what: &C, before: &str, after: &str) {
    let found = plans(pass, what);
    assert_eq!((&*found.0, &*found.1), (before, after), "\n{}---\n{}", found.0, found.1);
}

fn table() -> DataFrame {
    dataframe::from_columns([("a", vec![1i64, 2, 3]), ("b", vec![4, 5, 6]), ("c", vec![7, 8, 9])])
}

#[test]
fn merge() {
    let t = table();
    let one = t.filter(col("a").gt(1)).group_by(["b"]).agg([col("c").sum()]);
    let two = t.filter(col("a").gt(1)).count_rows();
    check(
        "merge",
        &(&one, &two),
        "group_by b agg sum(c)\n  filter a > 1\n    #0 3 rows in memory\ncount_rows\n  filter a > 1\n    #0 again\n",
        "group_by b agg sum(c)\n  #1 filter a > 1\n    3 rows in memory\ncount_rows\n  #1 again\n",
    );
    // What is not equal stays apart.
    check(
        "merge",
        &(t.filter(col("a").gt(1)), t.filter(col("a").gt(2))),
        "filter a > 1\n  #0 3 rows in memory\nfilter a > 2\n  #0 again\n",
        "filter a > 1\n  #0 3 rows in memory\nfilter a > 2\n  #0 again\n",
    );
}

#[test]
fn simplify() {
    let t = table();
    check(
        "simplify",
        &t.filter(lit(true) & col("a").gt(lit(1) + 1) & col("b").lt(9)),
        "filter (true & (a > (1 + 1))) & (b < 9)\n  3 rows in memory\n",
        "filter b < 9\n  filter a > Int64(2)\n    3 rows in memory\n",
    );
    check(
        "simplify",
        &t.select([(col("a") / 2.0).alias("x"), col("b")]).select([col("x"), col("b").alias("y")]),
        "select x, b as y\n  select a / 2.0 as x, b\n    3 rows in memory\n",
        "select a / 2.0 as x, b as y\n  3 rows in memory\n",
    );
    // What would be computed twice stays a step of its own.
    check(
        "simplify",
        &t.select([(col("a") / 2.0).alias("x")]).select([col("x"), (col("x") / 3.0).alias("y")]),
        "select x, x / 3.0 as y\n  select a / 2.0 as x\n    3 rows in memory\n",
        "select x, x / 3.0 as y\n  select a / 2.0 as x\n    3 rows in memory\n",
    );
}

#[test]
fn predicates() {
    let t = table();
    check(
        "predicates",
        &t.with_columns([(col("a") / 2.0).alias("x")]).filter(col("x").gt(0.5) & col("b").lt(6)),
        "filter (x > 0.5) & (b < 6)\n  select a, b, c, a / 2.0 as x\n    3 rows in memory\n",
        "select a, b, c, a / 2.0 as x\n  3 rows in memory, where ((a / 2.0) > 0.5) & (b < 6)\n",
    );
    // Keys of groups, both sides of a concat.
    check(
        "predicates",
        &t.group_by(["a"]).agg([col("b").sum()]).filter(col("a").gt(1)),
        "filter a > 1\n  group_by a agg sum(b)\n    3 rows in memory\n",
        "group_by a agg sum(b)\n  3 rows in memory, where a > 1\n",
    );
    check(
        "predicates",
        &dataframe::concat([&t, &t.filter(col("c").gt(7))]).filter(col("a").gt(1)),
        "filter a > 1\n  concat\n    #0 3 rows in memory\n    filter c > 7\n      #0 again\n",
        "concat\n  filter a > 1\n    #0 3 rows in memory\n  filter c > 7\n    filter a > 1\n      #0 again\n",
    );
    // Not below what others read, what takes some rows, or what may fail.
    let shared = t.with_columns([(col("a") / 2.0).alias("x")]);
    check(
        "predicates",
        &(&shared, shared.filter(col("a").gt(1))),
        "#1 select a, b, c, a / 2.0 as x\n  3 rows in memory\nfilter a > 1\n  #1 again\n",
        "#1 select a, b, c, a / 2.0 as x\n  3 rows in memory\nfilter a > 1\n  #1 again\n",
    );
    check(
        "predicates",
        &t.head(2).filter(col("a").gt(1)),
        "filter a > 1\n  head 2\n    3 rows in memory\n",
        "filter a > 1\n  head 2\n    3 rows in memory\n",
    );
    check(
        "predicates",
        &t.filter((col("a") * col("b")).gt(4)).filter(col("c").gt(7)),
        "filter c > 7\n  filter (a * b) > 4\n    3 rows in memory\n",
        "filter (a * b) > 4\n  3 rows in memory, where c > 7\n",
    );
}

#[test]
fn limits() {
    let t = table();
    check(
        "limits",
        &t.select([(col("a") + 1).alias("x")]).head(5).head(2),
        "head 2\n  head 5\n    select a + 1 as x\n      3 rows in memory\n",
        "select a + 1 as x\n  head 2\n    3 rows in memory\n",
    );
    check(
        "limits",
        &t.filter(col("a").gt(1)).head(2),
        "head 2\n  filter a > 1\n    3 rows in memory\n",
        "head 2\n  filter a > 1\n    3 rows in memory\n",
    );
}

#[test]
fn columns() {
    let t = table();
    check(
        "columns",
        &t.filter(col("a").gt(1)).select([col("b")]),
        "select b\n  filter a > 1\n    3 rows in memory\n",
        "select b\n  filter a > 1\n    3 rows in memory, 2 of 3 columns: a, b\n",
    );
    check(
        "columns",
        &t.with_columns([(col("a") + 1).alias("x")]).group_by(["b"]).agg([col("c").sum()]),
        "group_by b agg sum(c)\n  select a, b, c, a + 1 as x\n    3 rows in memory\n",
        "group_by b agg sum(c)\n  select b, c\n    3 rows in memory, 2 of 3 columns: b, c\n",
    );
    check(
        "columns",
        &t.count_rows(),
        "count_rows\n  3 rows in memory\n",
        "count_rows\n  3 rows in memory, 0 of 3 columns:\n",
    );
}

#[test]
fn all_together() {
    let t = table();
    let normal = (&t.col("a") - &t.col("a").mean()) / &t.col("a").std();
    check(
        "all",
        &normal.max(),
        "agg max(a)\n  select (a - $mean(a)@0) / $std(a)@1\n    #0 3 rows in memory\n    agg mean(a)\n      #0 again\n    agg std(a)\n      #0 again\n",
        "agg max(a)\n  select (a - $mean(a)@0) / $std(a)@1\n    3 rows in memory, 1 of 3 columns: a\n    select __aggregate_0 as a\n      #2 agg mean(a), std(a)\n        3 rows in memory, 1 of 3 columns: a\n    select __aggregate_1 as a\n      #2 again\n",
    );
    check(
        "all",
        &t.rename([("a", "k")]).filter(col("k").gt(1)).select(["c"]).head(1),
        "head 1\n  select c\n    filter k > 1\n      select a as k, b, c\n        3 rows in memory\n",
        "select c\n  head 1\n    3 rows in memory, 1 of 3 columns: c, where a > 1\n",
    );
}

/// What is said of each operation's memory.
#[test]
fn as_they_run() {
    let t = table();
    let says = |what: &dyn Fn() -> Result<String>, wanted: &str| {
        let text = what().unwrap();
        let (_, rest) = text.split_once("tables, as they run:\n").unwrap();
        let (found, _) = rest.split_once("lowered:").unwrap();
        assert_eq!(found, wanted, "\n{found}");
    };
    let lookup = table().select(["a", "c"]);
    let joined = t.filter(col("b").gt(4)).merge(&lookup, On::keys(["a"]), How::Left);
    says(
        &|| joined.group_by(["b"]).agg([col("c_y").sum()]).explain(),
        "group_by b agg sum(c_y)  [holds a row of each group for each thread]\n  \
           merge keeping all on a  [streams the first table, holds the second, at most about 48 B]\n    \
             3 rows in memory, 2 of 3 columns: a, b, where b > 4  [streams; 1 task of at most 48 B]\n    \
             select a, c  [streams]\n      \
               3 rows in memory, 2 of 3 columns: a, c  [streams; 1 task of at most 48 B]\n",
    );
    says(
        &|| t.filter(col("b").gt(4)).with_row_index("row").head(2).explain(),
        "row numbers as row  [streams; rows are counted first, and wait in pieces that spill]\n  \
           head 2  [holds at most 2 rows, in pieces that spill]\n    \
             3 rows in memory, where b > 4  [streams; 1 task of at most 72 B]\n",
    );
    says(
        &|| t.filter(col("b").gt(4)).sample(Sample::frac(0.5).seed(1)).nlargest(2, ["a"]).explain(),
        "top 2 by a descending  [holds twice 2 rows for each thread]\n  \
           sample 0.5 of the rows, seed 1  [streams; rows are counted first, and read twice]\n    \
             3 rows in memory, where b > 4  [streams; 1 task of at most 72 B]\n",
    );
    says(
        &|| t.repartition(2).map_partitions(t.schema()?, Ok).explain(),
        "map partitions  [holds a partition, at most about 36 B, twice]\n  \
           partitions in one piece  [holds a partition, at most about 36 B, which spills]\n    \
             repartition  [in pieces that spill]\n      \
               3 rows in memory  [streams; 1 task of at most 72 B]\n",
    );
}

/// Filters and columns go through joins, samples stay where they are.
#[test]
fn through_joins() {
    let t = table();
    let joined = |how| t.merge(&table().select(["a", "c"]), On::keys(["a"]), how);
    let condition = col("b").gt(4) & col("c_y").lt(9);
    check(
        "all",
        &joined(How::Inner).filter(condition.clone()).select(["b"]),
        "select b\n  filter (b > 4) & (c_y < 9)\n    merge inner on a\n      3 rows in memory\n      select a, c\n        3 rows in memory\n",
        "select b\n  merge inner on a\n    3 rows in memory, 2 of 3 columns: a, b, where b > 4\n    select a\n      3 rows in memory, 1 of 3 columns: a, where c < 9\n",
    );
    check(
        "all",
        &joined(How::Left).filter(condition).select(["b"]),
        "select b\n  filter (b > 4) & (c_y < 9)\n    merge keeping all on a\n      3 rows in memory\n      select a, c\n        3 rows in memory\n",
        "select b\n  filter c_y < 9\n    merge keeping all on a\n      3 rows in memory, 2 of 3 columns: a, b, where b > 4\n      select a, c\n        3 rows in memory, 2 of 3 columns: a, c\n",
    );
    check(
        "all",
        &t.sample(Sample::rows(2).seed(1)).filter(col("a").gt(1)).select(["b"]),
        "select b\n  filter a > 1\n    sample 2 rows, seed 1\n      3 rows in memory\n",
        "select b\n  filter a > 1\n    sample 2 rows, seed 1\n      3 rows in memory, 2 of 3 columns: a, b\n",
    );
}

/// Filters of columns that are repeated go below, and lists are read as long as rows are counted by them.
#[test]
fn through_lists() {
    let lists = [Some(vec![Some(1i64)]), None, Some(vec![Some(2), Some(3)])];
    let lists: arrow::array::ArrayRef =
        std::sync::Arc::new(arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(lists));
    let t = dataframe::from_columns([
        ("a", vec![1i64, 2, 3].into_array()),
        ("l", lists),
        ("c", vec![7i64, 8, 9].into_array()),
    ]);
    check(
        "all",
        &t.explode(["l"]).filter(col("a").gt(1) & col("l").lt(9)).select(["a"]),
        "select a\n  filter (a > 1) & (l < 9)\n    explode l\n      3 rows in memory\n",
        "select a\n  filter l < 9\n    explode l\n      3 rows in memory, 2 of 3 columns: a, l, where a > 1\n",
    );
    check(
        "all",
        &t.explode(["l"]).select(["c"]),
        "select c\n  explode l\n    3 rows in memory\n",
        "select c\n  explode l\n    3 rows in memory, 2 of 3 columns: l, c\n",
    );
    // Where the neighbours count, all rows and columns are there.
    let schema = t.select(["a"]).schema().unwrap();
    check(
        "all",
        &t.select(["a", "c"]).map_overlap(1, 0, schema, |t| t.select(["a"])).filter(col("a").gt(1)),
        "filter a > 1\n  map partitions with 1 rows before them and 0 behind\n    select a, c\n      3 rows in memory\n",
        "filter a > 1\n  map partitions with 1 rows before them and 0 behind\n    select a, c\n      3 rows in memory, 2 of 3 columns: a, c\n",
    );
}
