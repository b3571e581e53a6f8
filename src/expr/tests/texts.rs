//! Text, lists and structs.

use super::*;

fn texts() -> RecordBatch {
    let words = StringArray::from(vec![Some("Hello World"), Some("éa-b-c"), None, Some(""), Some("+042")]);
    let mut lists = ListBuilder::new(Int32Builder::new());
    lists.append_value([Some(3), None, Some(1), Some(3)]);
    lists.append_value([]);
    lists.append_null();
    lists.append_value([Some(7)]);
    lists.append_value([Some(2), Some(5)]);
    let fields = Fields::from(vec![Field::new("x", DataType::Int32, true)]);
    let inner: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(2), Some(3), None, Some(5)]));
    let structs = StructArray::new(fields, vec![inner], Some(vec![true, false, true, true, true].into()));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("w", Arc::new(words)),
        ("n", Arc::new(Int32Array::from(vec![Some(3), Some(1), Some(2), None, Some(4)]))),
        ("o", Arc::new(StringArray::from(vec!["World", "é", "x", "", "2"]))),
        ("l", Arc::new(lists.finish())),
        ("s", Arc::new(structs)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

/// Texts with `|` between them, so that spaces and empty ones are seen.
#[track_caller]
fn gives(expr: Expr, expected: &str) {
    let marked = concat_str([expr.clone().fill_null("-"), lit("|")], "");
    check_in(&texts(), marked, expected.replace('|', "| ").trim_end());
    assert_eq!(expr.data_type(texts().schema_ref()).unwrap(), DataType::Utf8);
}

fn w() -> TextExpr {
    col("w").str()
}

#[test]
fn edits() {
    gives(w().to_lowercase(), "hello world|éa-b-c|-||+042|");
    gives(w().to_uppercase(), "HELLO WORLD|ÉA-B-C|-||+042|");
    gives(w().to_titlecase(), "Hello World|Éa-B-C|-||+042|");
    gives(w().capitalize(), "Hello world|Éa-b-c|-||+042|");
    gives(w().reverse(), "dlroW olleH|c-b-aé|-||240+|");
    gives(w().slice(1, 3), "ell|a-b|-||042|");
    gives(w().slice(-3, None), "rld|b-c|-||042|");
    gives(w().slice(-5, 2), "Wo|a-|-||+|");
    gives(w().head(2), "He|éa|-||+0|");
    gives(w().tail(2), "ld|-c|-||42|");
    gives(w().tail(0), "||-|||");
    gives(w().pad_start(5, '·'), "Hello World|éa-b-c|-|·····|·+042|");
    gives(w().pad_end(5, '.'), "Hello World|éa-b-c|-|.....|+042.|");
    gives(w().zfill(6), "Hello World|éa-b-c|-|000000|+00042|");
    gives(w().repeat(2), "Hello WorldHello World|éa-b-céa-b-c|-||+042+042|");
    gives(w().strip_chars("+Hd"), "ello Worl|éa-b-c|-||042|");
    gives(w().lstrip_chars("+H"), "ello World|éa-b-c|-||042|");
    gives(w().strip_prefix("Hello "), "World|éa-b-c|-||+042|");
    gives(w().strip_suffix("-c"), "Hello World|éa-b|-||+042|");
    gives(w().replace_literal("-", "+"), "Hello World|éa+b-c|-||+042|");
    gives(w().replace_all_literal("-", ""), "Hello World|éabc|-||+042|");
    gives(w().replace("(l+)o", "<$1>"), "He<ll> World|éa-b-c|-||+042|");
    gives(w().replace_all("[aeiou]", "*"), "H*ll* W*rld|é*-b-c|-||+042|");
    gives(w().split_part("-", 1), "-|b|-|-|-|");
    gives(w().split_part("-", -1), "Hello World|c|-||+042|");
    gives(w().extract(r"(\w)-(\w)", 2), "-|b|-|-|-|");
    gives(w().extract(r"\d+", 0), "-|-|-|-|042|");
    gives(concat_str([col("w"), col("n").cast(DataType::Utf8)], "="), "Hello World=3|éa-b-c=1|-|-|+042=4|");
    gives(concat_str([col("n"), lit(1)], ","), "3,1|1,1|2,1|-|4,1|");
    gives(w().concat(["!"]), "Hello World!|éa-b-c!|-|!|+042!|");
    gives(lit(" \t x ").str().strip(), "x|x|x|x|x|");
    gives(lit(" x ").str().lstrip(), "x |x |x |x |x |");
    gives(lit(" x ").str().rstrip(), " x| x| x| x| x|");
}

#[test]
fn finds() {
    let texts = texts();
    let check = |expr: Expr, expected: &str| check_in(&texts, expr, expected);
    check(w().len_chars(), "11 6 - 0 4");
    check(w().len_bytes(), "11 7 - 0 4");
    check(w().contains("^H.*d$"), "true false - false false");
    check(w().contains("lo W"), "true false - false false");
    check(w().contains_literal("."), "false false - false false");
    check(w().contains_literal(col("o")), "true true - true true");
    check(w().starts_with("é"), "false true - false false");
    check(w().ends_with(col("o")), "true false - true true");
    check(w().like("%o_W%"), "true false - false false");
    check(w().ilike("hello%"), "true false - false false");
    check(w().find("-"), "- 2 - - -");
    check(w().count_matches("[a-c]"), "0 3 - 0 0");
    check(w().split("-"), "[Hello World] [éa, b, c] - [] [+042]");
    check(w().split("-").list().len(), "1 3 - 1 1");
    check(w().extract_all("[lo]+"), "[llo, o, l] [] - [] []");
    check(w().is_alpha(), "false false - false false");
    check(w().slice(1, None).str().is_digit(), "false false - false true");
    check(w().is_ascii(), "true false - true true");
    check(w().is_lower(), "false true - false false");
    check(w().is_upper(), "false false - false false");
    check(w().to_integer_lossy(), "- - - - 42");
    check(w().to_decimal_lossy(1), "- - - - 42.0");
    let plan = |expr: Expr| expr.data_type(texts.schema_ref()).unwrap_err().message().to_string();
    assert!(
        plan(w().contains("(")).starts_with("`contains(w, \"(\")`: \"(\" is no regular expression: unclosed group")
    );
    assert!(plan(w().extract("a", 1)).ends_with("the pattern has 0 groups, and group 1 is asked for"));
    assert!(plan(col("n").str().to_lowercase()).ends_with("it takes text, not Int32: cast it first"));
    assert!(plan(w().to_date("%Q")).ends_with("\"%Q\" is no format of dates and times"));
}

#[test]
fn lists_and_structs() {
    let texts = texts();
    let check = |expr: Expr, expected: &str| check_in(&texts, expr, expected);
    let l = || col("l").list();
    check(l().len(), "4 0 - 1 2");
    check(l().get(1), "- - - - 5");
    check(l().first(), "3 - - 7 2");
    check(l().last(), "3 - - 7 5");
    check(l().get(-4), "3 - - - -");
    check(l().contains(7), "false false - true false");
    check(l().contains(col("n")), "true false - - false");
    check(l().sum(), "7 0 - 7 7");
    check(l().mean(), "2.3333333333333335 - - 7.0 3.5");
    check(l().min(), "1 - - 7 2");
    check(l().max(), "3 - - 7 5");
    check(l().sort(), "[1, 3, 3, -] [] - [7] [2, 5]");
    check(l().unique(), "[3, -, 1] [] - [7] [2, 5]");
    check(l().slice(-2, None), "[1, 3] [] - [7] [2, 5]");
    check(l().slice(-3, 2), "[-, 1] [] - [] [2]");
    check(l().slice(1, 1), "[-] [] - [] [5]");
    check(w().split("-").list().join("+"), "Hello World éa+b+c -  +042");
    check(col("s").field("x"), "1 - 3 - 5");
    let plan = |expr: Expr| expr.data_type(texts.schema_ref()).unwrap_err().message().to_string();
    assert_eq!(plan(col("s").field("y")), "`field(s, \"y\")`: the struct has no field `y`; fields are x");
    assert_eq!(plan(l().join(",")), "`list_join(l, \",\")`: it takes lists of text, not of Int32");
}

#[test]
fn lists_of_floats_have_one_zero_and_one_nan() {
    let mut lists = ListBuilder::new(Float64Builder::new());
    lists.append_value([Some(0.0), Some(-0.0), None, Some(-f64::NAN), Some(f64::NAN), Some(1.0)]);
    lists.append_value([Some(-f64::NAN), Some(1.0), Some(-0.0), Some(0.0), Some(-1.0)]);
    lists.append_value([Some(-f64::NAN), None, Some(f64::NAN)]);
    lists.append_value([None, None]);
    let array: ArrayRef = Arc::new(lists.finish());
    for data_type in [DataType::Float64, DataType::Float32, DataType::Float16] {
        let array = arrow::compute::cast(&array, &DataType::new_list(data_type.clone(), true)).unwrap();
        let batch = RecordBatch::try_from_iter([("l", array)]).unwrap();
        let l = || col("l").list();
        let gives = |expr: Expr, wanted: &str| {
            let found = expr.evaluate(&batch).unwrap();
            let wide = match found.data_type() {
                DataType::List(_) => DataType::new_list(DataType::Float64, true),
                DataType::Boolean => DataType::Boolean,
                _ => DataType::Float64,
            };
            let found = arrow::compute::cast(&found, &wide).unwrap();
            assert_eq!(super::shown(&found).replace("-NaN", "NaN"), wanted, "{expr} of {data_type}");
        };
        gives(l().min(), "0.0 -1.0 NaN -");
        gives(l().max(), "1.0 1.0 NaN -");
        gives(l().sort(), "[0.0, -0.0, 1.0, NaN, NaN, -] [-1.0, -0.0, 0.0, 1.0, NaN] [NaN, NaN, -] [-, -]");
        gives(l().unique(), "[0.0, -, NaN, 1.0] [NaN, 1.0, -0.0, -1.0] [NaN, -] [-]");
        gives(l().contains(0.0), "true true false false");
    }
}
