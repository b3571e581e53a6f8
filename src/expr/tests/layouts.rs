//! Columns that lie in other ways than the schema says, registers that are used again, constants as outputs.

use super::*;

/// A schema of plain text, and batches that hold it in several ways.
fn layouts() -> (SchemaRef, Vec<RecordBatch>) {
    let texts = vec![Some("b"), None, Some("a"), Some("b"), Some("c"), Some("a")];
    let plain = StringArray::from(texts.clone());
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5, 6]));
    let declared =
        Arc::new(Schema::new(vec![Field::new("t", DataType::Utf8, true), Field::new("n", DataType::Int64, true)]));
    let dictionary: DictionaryArray<Int32Type> = texts.into_iter().collect();
    // Nulls among the values, and values that no row has.
    let values = StringArray::from(vec![Some("a"), None, Some("b"), Some("never"), Some("c")]);
    let other = DictionaryArray::<Int32Type>::new(vec![2, 1, 0, 2, 4, 0].into(), Arc::new(values));
    let view = arrow::compute::cast(&plain, &DataType::Utf8View).unwrap();
    let large = arrow::compute::cast(&plain, &DataType::LargeUtf8).unwrap();
    let columns: Vec<ArrayRef> = vec![Arc::new(plain), Arc::new(dictionary), Arc::new(other), view, large];
    let batches = columns.into_iter().map(|column| {
        let fields = vec![Field::new("t", column.data_type().clone(), true), Field::new("n", DataType::Int64, true)];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![column, numbers.clone()]).unwrap()
    });
    (declared, batches.collect())
}

#[test]
fn text_in_any_layout() {
    let (schema, batches) = layouts();
    let t = || col("t").str();
    let cases = [
        (col("t").eq("b"), "true - false true false false"),
        (col("t").ge(lit("b")), "true - false true true false"),
        (col("t").is_null(), "false true false false false false"),
        (col("t").is_in(["a", "c"]), "false - true false true true"),
        (col("t").is_in([Some("a"), None]), "- - true - - true"),
        (col("t").fill_null("z"), "b z a b c a"),
        (t().to_uppercase(), "B - A B C A"),
        (t().to_uppercase().str().repeat(2).eq("AA"), "false - true false false true"),
        (t().len_bytes() + col("n"), "2 - 4 5 6 7"),
        (col("t").eq(t().to_lowercase()), "true - true true true true"),
        (concat_str([col("t"), col("t")], "+"), "b+b - a+a b+b c+c a+a"),
        (concat_str([col("t"), col("n").cast(DataType::Utf8)], ""), "b1 - a3 b4 c5 a6"),
        (when(col("t").eq("b")).then(col("n")).otherwise(0), "1 0 0 4 0 0"),
        (when(col("n").gt(3)).then(col("t")).otherwise("x"), "x x x b c a"),
        (col("t").replace([("a", "A")]), "b - A b c A"),
        (col("t").try_cast(DataType::Int64), "- - - - - -"),
        (col("t").map_text("id", |text| text.to_string()), "b - a b c a"),
    ];
    let exprs: Vec<Expr> = cases.iter().map(|(expr, _)| expr.clone()).collect();
    let all = Program::new(&exprs, &schema).unwrap();
    for batch in &batches {
        let layout = batch.column(0).data_type();
        let together = all.evaluate(batch).unwrap();
        for ((expr, expected), together) in cases.iter().zip(together) {
            let alone = Program::new(std::slice::from_ref(expr), &schema).unwrap().evaluate(batch).unwrap().remove(0);
            assert_eq!(shown(&alone), *expected, "{expr} of {layout}");
            assert_eq!(
                (together.data_type(), &together),
                (&expr.data_type(&schema).unwrap(), &alone),
                "{expr} of {layout}"
            );
            // The schema itself may say so, too.
            let own = expr.evaluate(batch).unwrap();
            assert_eq!(shown(&own), *expected, "{expr} of {layout}");
            for row in 0..batch.num_rows() {
                let one = all.evaluate(&batch.slice(row, 1)).unwrap();
                let at = exprs.iter().position(|other| other == expr).unwrap();
                assert_eq!(one[at].to_data(), alone.slice(row, 1).to_data(), "{expr} of {layout}, row {row}");
            }
        }
        // A plain column stays as it lies.
        let plain = Program::new(&[col("t").alias("u")], &schema).unwrap().evaluate(batch).unwrap().remove(0);
        assert_eq!(plain.data_type(), layout);
        let wrong = Program::new(&[col("t").cast(DataType::Int64)], &schema).unwrap().evaluate(batch).unwrap_err();
        assert_eq!(wrong.message(), "row 0: `cast(t as Int64)` cannot be read as Int64, where `t` is \"b\"");
    }
}

#[test]
fn masks_have_no_nulls() {
    let (schema, batches) = layouts();
    for batch in &batches {
        for (condition, expected) in [
            (col("t").eq("b"), vec![true, false, false, true, false, false]),
            (col("t").eq("b") | col("n").gt(4), vec![true, false, false, true, true, true]),
            (lit(true), vec![true; 6]),
            (lit(Value::Null), vec![false; 6]),
            (col("n").eq(Value::Null), vec![false; 6]),
        ] {
            let mask = Program::new(std::slice::from_ref(&condition), &schema).unwrap().mask(batch).unwrap();
            assert_eq!((mask.null_count(), &mask), (0, &BooleanArray::from(expected)), "{condition}");
        }
    }
    let error = Program::new(&[col("n")], &schema).unwrap().mask(&batches[0]).unwrap_err();
    assert_eq!(error.message(), "`n` is a Int64 and no condition");
}

/// Buffers are used again in place: what was given out or comes from the batch may not change by that.
#[test]
fn nothing_is_changed_in_place_that_is_seen() {
    let x: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0]));
    let y: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.5), None, Some(0.25)]));
    let batch = RecordBatch::try_from_iter_with_nullable([("x", x, true), ("y", y, true)]).unwrap();
    let before = batch.clone();
    let part = col("x") * (1 - col("y"));
    let exprs = [
        part.clone(),
        part.clone() * (1 + col("y")),
        -part.clone(),
        part.clone() - part.clone(),
        (col("x") + 1.0).sqrt().sqrt(),
        lit(7),
        col("y"),
        part.clone() / (part + col("x")),
    ];
    let program = Program::new(&exprs, batch.schema_ref()).unwrap();
    for _ in 0..3 {
        let values: Vec<String> = program.evaluate(&batch).unwrap().iter().map(shown).collect();
        let expected = [
            "0.5 - 2.25",
            "0.75 - 2.8125",
            "-0.5 - -2.25",
            "0.0 - 0.0",
            "1.189207115002721 1.3160740129524924 1.4142135623730951",
            "7 7 7",
            "0.5 - 0.25",
            "0.3333333333333333 - 0.42857142857142855",
        ];
        assert_eq!(values, expected);
        assert_eq!(batch, before);
    }
}

#[test]
fn what_is_there_twice_is_computed_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let slow = col("a").map("slow", move |x: i64| {
        counted.fetch_add(1, Ordering::Relaxed);
        x
    });
    let exprs = [slow.clone() + 1, slow.clone() * 2, slow];
    let program = Program::new(&exprs, batch().schema_ref()).unwrap();
    let values: Vec<String> = program.evaluate(&batch()).unwrap().iter().map(shown).collect();
    assert_eq!(values, ["2 - -2", "2 - -6", "1 - -3"]);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[test]
fn columns_are_found_by_name_where_they_stand_elsewhere() {
    let batch = batch();
    let program = Program::new(&[col("b") + col("a")], batch.schema_ref()).unwrap();
    let turned = batch.project(&[1, 2, 0]).unwrap();
    assert_eq!(program.evaluate(&turned).unwrap(), program.evaluate(&batch).unwrap());
    let missing = program.evaluate(&batch.project(&[1]).unwrap()).unwrap_err();
    assert_eq!(missing.message(), "column `a` not found; columns are b (did you mean `b`?)");
}
