//! Files are written and read back, whole and in part, sound and damaged.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::*;
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int8Type, Int32Type, Int64Type, Schema};
use arrow::ipc::writer::StreamWriter;

use super::{IpcCompression, IpcFileWriter, IpcOptions, IpcSource};
use crate::error::{ErrorKind, Result};
use crate::expr::col;
use crate::formats::scan::{ReadContext, ScanRequest, TableSource};

fn open(path: &Path) -> Result<Arc<IpcSource>> {
    IpcSource::open(&[path.to_str().unwrap()], IpcOptions::default()).map(Arc::new)
}

fn table(source: &Arc<IpcSource>, request: &ScanRequest) -> Result<(RecordBatch, u64)> {
    let bytes = AtomicU64::new(0);
    let count = |more| _ = bytes.fetch_add(more, Ordering::Relaxed);
    let context = ReadContext { count: &count, ..ReadContext::default() };
    let scan = source.clone().scan(request)?;
    let mut found = Vec::new();
    for morsel in 0..scan.morsels().len() {
        scan.read(morsel, &context, &mut |batch| {
            found.push(batch);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let schema = source.schema().project(&request.columns).unwrap();
    let whole = concat_batches(&Arc::new(schema), &found).unwrap();
    Ok((whole, bytes.load(Ordering::Relaxed)))
}

fn everything(source: &IpcSource) -> ScanRequest {
    ScanRequest { columns: (0..source.schema().fields().len()).collect(), ..ScanRequest::default() }
}

fn sample(rows: usize) -> RecordBatch {
    let text: Vec<Option<String>> = (0..rows).map(|row| (row % 6 > 0).then(|| "zü".repeat(row % 20))).collect();
    let dictionary: DictionaryArray<Int8Type> = (0..rows).map(|row| Some(["a", "b"][row % 2])).collect();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(
        (0..rows).map(|row| (row % 3 > 0).then(|| (0..row as i32 % 5).map(Some).collect::<Vec<_>>())),
    );
    let n = Int64Array::from_iter((0..rows).map(|row| (row % 7 > 0).then_some(row as i64)));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new(n.clone())),
        ("null", Arc::new(NullArray::new(rows))),
        ("text", Arc::new(StringArray::from(text.clone()))),
        ("view", Arc::new(StringViewArray::from_iter(text.clone()))),
        ("coded", Arc::new(dictionary)),
        ("list", Arc::new(list)),
        ("struct", Arc::new(StructArray::try_from(vec![("x", Arc::new(n) as ArrayRef)]).unwrap())),
        ("views", Arc::new(BinaryViewArray::from_iter(text.iter().map(|t| t.as_ref().map(|t| t.as_bytes()))))),
        ("bool", Arc::new(BooleanArray::from_iter((0..rows).map(|row| Some(row % 3 == 0))))),
        ("decimal", cast(&Int64Array::from_iter_values(0..rows as i64), &DataType::Decimal256(50, 2)).unwrap()),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn write(path: &Path, batches: &[RecordBatch], compression: IpcCompression) {
    let mut writer = IpcFileWriter::create(path, batches[0].schema(), compression).unwrap();
    batches.iter().for_each(|batch| writer.append(batch).unwrap());
    let (written, _) = writer.finish().unwrap();
    assert_eq!(written.bytes, std::fs::metadata(path).unwrap().len());
}

#[test]
fn batches_and_columns_are_read_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.arrow");
    let whole = sample(1000);
    let batches = [whole.slice(0, 300), whole.slice(300, 500), whole.slice(800, 200)];
    let mut kinds = vec![IpcCompression::None, IpcCompression::Lz4];
    if cfg!(feature = "zstd") {
        kinds.push(IpcCompression::Zstd);
    }
    for compression in kinds {
        write(&path, &batches, compression);
        let source = open(&path).unwrap();
        assert_eq!((source.rows(), source.partitions()), (Some(1000), 1));
        let (found, all_bytes) = table(&source, &everything(&source)).unwrap();
        assert_eq!(found.columns(), whole.columns());
        for column in 0..whole.num_columns() {
            let one = ScanRequest { columns: vec![column], predicates: vec![col("n").ge(250)], dictionaries: vec![] };
            let (found, bytes) = table(&source, &one).unwrap();
            let n = whole.column(0).as_primitive::<Int64Type>();
            let mask = BooleanArray::from_iter(n.iter().map(|n| Some(n.is_some_and(|n| n >= 250))));
            let wanted = arrow::compute::filter(whole.column(column), &mask).unwrap();
            assert_eq!(found.column(0), &wanted, "{column}");
            assert!(bytes < all_bytes / 2, "{column}: {bytes} of {all_bytes}");
        }
        let (found, bytes) = table(&source, &ScanRequest::default()).unwrap();
        assert_eq!((found.num_rows(), bytes), (1000, 0));
    }
}

#[test]
fn streams_and_growing_dictionaries_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.arrows");
    let whole = sample(40_000);
    let mut writer = StreamWriter::try_new(std::fs::File::create(&path).unwrap(), &whole.schema()).unwrap();
    writer.write(&whole.slice(0, 25_000)).unwrap();
    writer.write(&whole.slice(25_000, 15_000)).unwrap();
    writer.finish().unwrap();
    let source = open(&path).unwrap();
    assert_eq!(source.rows(), None);
    assert_eq!(table(&source, &everything(&source)).unwrap().0.columns(), whole.columns());

    let path = dir.path().join("delta.arrow");
    let keys = |keys: &[i8]| Int8Array::from(keys.to_vec());
    let values = |texts: &[&str]| Arc::new(StringArray::from(texts.to_vec()));
    let one: ArrayRef = Arc::new(DictionaryArray::new(keys(&[0, 1]), values(&["a", "b"])));
    let more: ArrayRef = Arc::new(DictionaryArray::new(keys(&[2, 0]), values(&["a", "b", "c"])));
    let batch = |array: &ArrayRef| RecordBatch::try_from_iter_with_nullable([("t", array.clone(), true)]).unwrap();
    write(&path, &[batch(&one), batch(&more)], IpcCompression::None);
    let source = open(&path).unwrap();
    let (found, _) = table(&source, &everything(&source)).unwrap();
    let found = cast(found.column(0), &DataType::Utf8).unwrap();
    assert_eq!(found.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "b", "c", "a"]);
}

/// Batches of one column, and the rows of all of them without a dictionary.
fn together(arrays: &[ArrayRef], dir: &Path) -> Result<(ArrayRef, ArrayRef)> {
    let batch = |array: &ArrayRef| RecordBatch::try_from_iter_with_nullable([("t", array.clone(), true)]).unwrap();
    let path = dir.join("a.arrow");
    let mut writer = IpcFileWriter::create(&path, batch(&arrays[0]).schema(), IpcCompression::None)?;
    arrays.iter().try_for_each(|array| writer.append(&batch(array)))?;
    writer.finish()?;
    let source = open(&path)?;
    let found = table(&source, &everything(&source))?.0.column(0).clone();
    let DataType::Dictionary(_, values) = arrays[0].data_type() else { panic!("no dictionary") };
    let plain: Vec<ArrayRef> = arrays.iter().map(|array| cast(array, values).unwrap()).collect();
    let plain: Vec<&dyn Array> = plain.iter().map(|array| &**array).collect();
    assert_eq!(found.data_type(), arrays[0].data_type());
    Ok((cast(&found, values).unwrap(), arrow::compute::concat(&plain).unwrap()))
}

#[test]
fn batches_may_have_other_dictionaries() {
    fn coded<K: arrow::datatypes::ArrowDictionaryKeyType>(keys: PrimitiveArray<K>, values: &ArrayRef) -> ArrayRef {
        Arc::new(DictionaryArray::new(keys, values.clone()))
    }
    let dir = tempfile::tempdir().unwrap();
    let text = |values: &[Option<&str>]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let texts = [
        text(&[Some("b"), None, Some("a"), Some("b")]),
        text(&[Some("c"), Some("a")]),
        text(&[Some("b"), None]),
        text(&[None, Some(""), Some("d"), Some("d"), Some("c")]),
        text(&[]),
        text(&[Some("b"), None, Some("a"), Some("b"), Some("c"), Some(""), Some("d"), Some("e")]),
        text(&[Some("a"), Some("c")]),
    ];
    let ints = texts.clone().map(|values| {
        let numbers =
            values.as_string::<i32>().iter().map(|text| text.map(|text| -(text.len() as i64) - i64::from(text > "b")));
        Arc::new(Int64Array::from_iter(numbers)) as ArrayRef
    });
    for values in [texts, ints] {
        // Every place, in front and behind nulls; each dictionary by two batches.
        let keys = |len: usize| (0..len as i32).rev().flat_map(|key| [Some(key), None]).collect::<Vec<_>>();
        let wide = values.iter().map(|values| coded::<Int32Type>(Int32Array::from(keys(values.len())), values));
        let wide: Vec<ArrayRef> =
            wide.flat_map(|array| [array.clone(), array.slice(array.len() / 2, array.len() / 2)]).collect();
        let small = DataType::Dictionary(Box::new(DataType::Int8), Box::new(values[0].data_type().clone()));
        let narrow: Vec<ArrayRef> = values
            .iter()
            .map(|values| {
                let keys = keys(values.len()).into_iter().map(|key| key.map(|key| key as i8));
                coded::<Int8Type>(Int8Array::from_iter(keys), values)
            })
            .collect();
        assert_eq!(narrow[0].data_type(), &small);
        for arrays in [wide, narrow] {
            let (found, expected) = together(&arrays, dir.path()).unwrap();
            assert_eq!(&found, &expected);
        }
    }
}

#[test]
fn more_values_than_keys_are_an_error_and_as_many_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let arrays = |len: i64| -> Vec<ArrayRef> {
        let values = |range: std::ops::Range<i64>| Arc::new(Int64Array::from_iter_values(range));
        let keys = || Int8Array::from_iter_values(0..64);
        let one = DictionaryArray::new(keys(), values(0..64));
        vec![Arc::new(one), Arc::new(DictionaryArray::new(keys(), values(len - 64..len)))]
    };
    let (found, expected) = together(&arrays(128), dir.path()).unwrap();
    assert_eq!(&found, &expected);
    let mut three = arrays(128);
    three.push(arrays(129)[1].clone());
    let error = together(&three, dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    let text =
        "column `t` has 129 values in its dictionaries, and keys of Int8 tell 128 apart: cast it to a dictionary";
    assert!(error.message().starts_with(text), "{error}");
}

#[test]
fn dictionaries_in_lists_are_written_where_they_are_the_same() {
    let field = Arc::new(arrow::datatypes::Field::new_dictionary("item", DataType::Int8, DataType::Utf8, true));
    let list = |texts: &[&str]| -> RecordBatch {
        let values: DictionaryArray<Int8Type> = texts.iter().copied().collect();
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([1, texts.len() - 1]);
        let list = ListArray::new(field.clone(), offsets, Arc::new(values), None);
        RecordBatch::try_from_iter_with_nullable([("l", Arc::new(list) as ArrayRef, true)]).unwrap()
    };
    let mut writer = IpcFileWriter::new(Vec::new(), "memory", list(&["a"]).schema(), IpcCompression::None).unwrap();
    for texts in [&["a", "b"][..], &["a", "b", "a"], &["a", "b", "c"]] {
        writer.append(&list(texts)).unwrap();
    }
    let error = writer.append(&list(&["c", "b"])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let text = "cannot write memory: dictionaries inside the values of column `l` differ from batch to batch";
    assert!(error.message().starts_with(text), "{error}");
}

#[test]
fn files_of_a_directory_are_one_table() {
    let dir = tempfile::tempdir().unwrap();
    let column =
        |name: &'static str, array: ArrayRef| RecordBatch::try_from_iter_with_nullable([(name, array, true)]).unwrap();
    write(&dir.path().join("f-10.feather"), &[column("a", Arc::new(Int32Array::from(vec![3])))], IpcCompression::None);
    write(&dir.path().join("f-9.feather"), &[column("b", Arc::new(Int32Array::from(vec![4])))], IpcCompression::None);
    let source = open(dir.path()).unwrap();
    let (found, _) = table(&source, &everything(&source)).unwrap();
    assert_eq!(found.column(0).as_primitive::<Int32Type>(), &Int32Array::from(vec![Some(4), None]));
    write(&dir.path().join("f-11.feather"), &[column("a", Arc::new(Int64Array::from(vec![5])))], IpcCompression::None);
    assert_eq!(open(dir.path()).unwrap_err().kind(), ErrorKind::Data);
    let options = IpcOptions { widen: true, ..IpcOptions::default() };
    let source = Arc::new(IpcSource::open(&[dir.path().to_str().unwrap()], options).unwrap());
    let (found, _) = table(&source, &ScanRequest { columns: vec![1], ..ScanRequest::default() }).unwrap();
    assert_eq!(found.column(0).as_primitive::<Int64Type>(), &Int64Array::from(vec![None, Some(3), Some(5)]));
}

#[test]
fn text_may_come_as_a_dictionary_and_other_schemas_are_refused() {
    let schema = Arc::new(Schema::new(vec![arrow::datatypes::Field::new("t", DataType::Utf8, true)]));
    let mut writer = IpcFileWriter::new(Vec::new(), "memory", schema, IpcCompression::None).unwrap();
    let coded: DictionaryArray<Int32Type> = [Some("a"), None].into_iter().collect();
    writer
        .append(&RecordBatch::try_from_iter_with_nullable([("t", Arc::new(coded) as ArrayRef, true)]).unwrap())
        .unwrap();
    let other: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let error = writer.append(&RecordBatch::try_from_iter([("t", other)]).unwrap()).unwrap_err();
    assert_eq!(error.message(), "column `t` is Int32 in a batch, and Utf8 in the file");
    assert_eq!(writer.finish().unwrap().0.rows, 2);
}

/// Reads a file, which may be damaged: what comes out is an error that names it, or rows.
fn attempt(path: &Path) {
    let result = open(path).and_then(|source| table(&source, &everything(&source)));
    if let Err(error) = result {
        assert!(error.to_string().contains("x.arrow"), "{error}");
        assert!(matches!(error.kind(), ErrorKind::Data | ErrorKind::Io), "{error:?}");
    }
}

#[test]
fn damaged_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.arrow");
    for compression in [IpcCompression::None, IpcCompression::Lz4] {
        let whole = sample(20);
        write(&path, &[whole.slice(0, 12), whole.slice(12, 8)], compression);
        let sound = std::fs::read(&path).unwrap();
        for length in (0..sound.len()).step_by(7) {
            replace(&path, &sound[..length]);
            attempt(&path);
        }
        for at in (0..sound.len()).step_by(5) {
            let mut broken = sound.clone();
            broken[at] ^= 1 << (at % 8);
            broken[(at * 31 + 7) % sound.len()] ^= 0xff;
            replace(&path, &broken);
            attempt(&path);
        }
    }
    std::fs::write(&path, "no Arrow").unwrap();
    assert!(open(&path).unwrap_err().message().ends_with("it does not begin as an Arrow IPC file or stream"));
}

/// A new file: one that is emptied first waits for the disk.
fn replace(path: &Path, content: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, content).unwrap();
}

#[test]
fn a_task_holds_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let rows = 70_000;
    let number = |column: i64| Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row * column))) as ArrayRef;
    let mut columns: Vec<(String, ArrayRef)> = (0..40).map(|at| (format!("c{at}"), number(at))).collect();
    let text = StringArray::from_iter_values((0..rows).map(|row| format!("{row:04}")));
    columns.push(("text".to_string(), Arc::new(text)));
    columns.push(("decimal".to_string(), cast(&number(3), &DataType::Decimal128(30, 2)).unwrap()));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    for (name, compression) in [("plain", IpcCompression::None), ("lz4", IpcCompression::Lz4)] {
        let path = dir.path().join(name);
        let mut writer = IpcFileWriter::create(&path, batch.schema(), compression).unwrap();
        writer.append(&batch).unwrap();
        writer.finish().unwrap();
        let source = open(&path).unwrap();
        for columns in [vec![7], vec![41], vec![0, 5, 39, 41], (0..42).collect::<Vec<_>>()] {
            let scan =
                source.clone().scan(&ScanRequest { columns: columns.clone(), ..ScanRequest::default() }).unwrap();
            let need = scan.morsels()[0].need;
            let mut held = std::collections::HashMap::new();
            let mut at = 0;
            scan.read(0, &ReadContext::default(), &mut |part| {
                let wanted = batch.project(&columns).unwrap().slice(at, part.num_rows());
                assert_eq!(part.columns(), wanted.columns());
                at += part.num_rows();
                for array in part.columns() {
                    let data = array.to_data();
                    for buffer in data.buffers().iter().chain(data.nulls().map(|nulls| nulls.buffer())) {
                        held.insert(buffer.data_ptr(), buffer.capacity() as u64);
                    }
                }
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
            let held: u64 = held.values().sum();
            assert!(held <= need + (8 << 10), "{name} {columns:?}: {held} of {need}");
            assert!(held >= columns.len() as u64 * rows as u64 * 8, "{name}: {held}");
        }
    }
}
