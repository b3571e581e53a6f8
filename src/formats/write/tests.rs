//! Files that appear whole or not at all, and what it takes to encode them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;

use super::keyed::NULL_NAME;
use super::*;
use crate::error::ErrorKind;
use crate::store::Budget;

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn beside(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn set(target: &Path, content: &str, if_exists: IfExists) -> crate::error::Result<()> {
    let staging = Staging::begin(target, true, "csv", if_exists)?;
    fs::write(staging.path().join(format!("{content}.csv")), content).unwrap();
    staging.commit(false)
}

#[test]
fn a_data_set_is_there_when_it_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("set");
    set(&target, "one", IfExists::Fail).unwrap();
    assert_eq!(beside(&target), ["one.csv"]);
    // Dropped before that.
    let staging = Staging::begin(&target, true, "csv", IfExists::Replace).unwrap();
    fs::write(staging.path().join("two.csv"), "two").unwrap();
    drop(staging);
    assert_eq!((beside(&target), beside(dir.path())), (vec!["one.csv".to_string()], vec!["set".to_string()]));
    set(&target, "two", IfExists::Append).unwrap();
    assert_eq!(beside(&target), ["one.csv", "two.csv"]);
    set(&target, "three", IfExists::Replace).unwrap();
    assert_eq!((beside(&target), beside(dir.path())), (vec!["three.csv".to_string()], vec!["set".to_string()]));

    let single = dir.path().join("single");
    for content in ["one", "two"] {
        let staging = Staging::begin(&single, false, "csv", IfExists::Replace).unwrap();
        fs::write(staging.path(), content).unwrap();
        assert!(content == "one" || text(&single) == "one");
        staging.commit(true).unwrap();
    }
    assert_eq!((text(&single), beside(dir.path())), ("two".to_string(), vec!["set".to_string(), "single".to_string()]));
}

/// A data set or a file that is written and not yet in place.
fn staged(target: &Path, directory: bool, content: &str, if_exists: IfExists) -> Staging {
    let staging = Staging::begin(target, directory, "csv", if_exists).unwrap();
    let file = if directory { staging.path().join(format!("{content}.csv")) } else { staging.path().to_path_buf() };
    fs::write(file, content).unwrap();
    staging
}

fn overtaken(result: crate::error::Result<()>, target: &Path) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error}");
    assert!(error.message().starts_with("another writer has "), "{error}");
    let end = "meanwhile: nothing was changed, write again";
    assert!(error.message().contains(target.to_str().unwrap()) && error.message().ends_with(end), "{error}");
}

#[test]
fn of_writers_that_overlap_none_loses_what_the_other_one_wrote() {
    use IfExists::{Append, Fail, Replace};
    for before in [false, true] {
        for (first, second) in [Replace, Append, Fail].map(|a| [Replace, Append, Fail].map(|b| (a, b))).concat() {
            if before && (first == Fail || second == Fail) {
                continue;
            }
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("set");
            if before {
                set(&target, "old", Replace).unwrap();
            }
            let (late, early) = (staged(&target, true, "late", first), staged(&target, true, "early", second));
            early.commit(false).unwrap();
            let expected = if before && second == Append { vec!["early.csv", "old.csv"] } else { vec!["early.csv"] };
            assert_eq!(beside(&target), expected, "{first:?} {second:?}");
            match (late.commit(false), first) {
                (result, Replace) => {
                    result.unwrap();
                    assert_eq!(beside(&target), ["late.csv"]);
                }
                (result, _) => {
                    overtaken(result, &target);
                    assert_eq!(beside(&target), expected, "{first:?} {second:?}");
                    set(&target, "late", Append).unwrap();
                    assert_eq!(beside(&target).len(), expected.len() + 1);
                }
            }
            assert_eq!(beside(dir.path()), ["set"]);
        }
    }
    for (first, second) in [Replace, Append, Fail].map(|a| [Replace, Append, Fail].map(|b| (a, b))).concat() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("single");
        let (late, early) = (staged(&target, false, "late", first), staged(&target, false, "early", second));
        early.commit(false).unwrap();
        match (late.commit(true), first) {
            (result, Replace) => result.unwrap(),
            (result, _) => overtaken(result, &target),
        }
        assert_eq!(text(&target), if first == Replace { "late" } else { "early" });
        assert_eq!(beside(dir.path()), ["single"]);
    }
}

#[test]
fn an_append_is_to_what_it_found() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("set");
    // Replaced by what looks the same, and may have got its number.
    set(&target, "old", IfExists::Replace).unwrap();
    let late = staged(&target, true, "late", IfExists::Append);
    for _ in 0..3 {
        set(&target, "old", IfExists::Replace).unwrap();
    }
    overtaken(late.commit(false), &target);
    assert_eq!(beside(&target), ["old.csv"]);
    // A file put into it by hand, and one that is written to.
    let late = staged(&target, true, "late", IfExists::Append);
    fs::write(target.join("hand.csv"), "hand").unwrap();
    overtaken(late.commit(false), &target);
    assert_eq!(beside(&target), ["hand.csv", "old.csv"]);
    let late = staged(&target, true, "late", IfExists::Append);
    fs::write(target.join("new.csv"), "new").unwrap();
    fs::rename(target.join("new.csv"), target.join("hand.csv")).unwrap();
    overtaken(late.commit(false), &target);
    assert_eq!(text(&target.join("hand.csv")), "new");
    // Taken away.
    let late = staged(&target, true, "late", IfExists::Append);
    fs::remove_dir_all(&target).unwrap();
    overtaken(late.commit(false), &target);
    assert_eq!(beside(dir.path()), Vec::<String>::new());
    // An empty directory is something too.
    let late = staged(&target, true, "late", IfExists::Fail);
    fs::create_dir(&target).unwrap();
    overtaken(late.commit(false), &target);
    assert_eq!(beside(dir.path()), ["set"]);
}

#[test]
fn many_appends_at_once_keep_all_that_are_said_to_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("set");
    let done = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (target, done) = (&target, &done);
            scope.spawn(move || {
                for at in 0..20 {
                    let name = format!("{thread}-{at}");
                    // Where the directory goes in between, its files cannot be linked either.
                    if set(target, &name, IfExists::Append).is_ok() {
                        done.lock().unwrap().push(format!("{name}.csv"));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_unstable();
    assert!(!done.is_empty());
    assert_eq!((beside(&target), beside(dir.path())), (done, vec!["set".to_string()]));
}

#[test]
#[cfg(target_os = "linux")]
fn an_append_beside_somebody_who_keeps_the_directory_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("set");
    set(&target, "one", IfExists::Append).unwrap();
    let kept = fs::File::open(dir.path()).unwrap();
    fs4::FileExt::lock(&kept).unwrap();
    let error = set(&target, "two", IfExists::Append).unwrap_err();
    assert!(error.kind() == ErrorKind::Io && error.message().contains("keeps"), "{error}");
    assert_eq!((beside(&target), beside(dir.path())), (vec!["one.csv".to_string()], vec!["set".to_string()]));
    // What replaces all takes nothing away that it would not have anyway.
    set(&target, "three", IfExists::Replace).unwrap();
    drop(kept);
    set(&target, "four", IfExists::Append).unwrap();
    assert_eq!(beside(&target), ["four.csv", "three.csv"]);
}

#[test]
fn by_steps_nothing_is_replaced_either() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    fs::write(&one, "one").unwrap();
    staging::rename_new_by_steps(&one, &other).unwrap();
    fs::write(&one, "two").unwrap();
    let error = staging::rename_new_by_steps(&one, &other).unwrap_err();
    assert_eq!((error.kind(), text(&other)), (std::io::ErrorKind::AlreadyExists, "one".to_string()));
}

#[test]
fn what_dead_processes_left_is_removed_or_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("set");
    let leave = |own: &str, directories: &[&str]| {
        fs::write(dir.path().join(format!("{own}.lock")), "").unwrap();
        for directory in directories {
            fs::create_dir(dir.path().join(directory)).unwrap();
            fs::write(dir.path().join(directory).join("x.csv"), directory).unwrap();
        }
    };
    // Killed while it wrote, after it was in place, and between the two steps of an exchange.
    leave(".set.chunkwise-1-0", &[".set.chunkwise-1-0"]);
    leave(".set.chunkwise-1-1", &["set", ".set.chunkwise-1-1.old"]);
    drop(Staging::begin(&target, true, "csv", IfExists::Append).unwrap());
    assert_eq!((beside(dir.path()), text(&target.join("x.csv"))), (vec!["set".to_string()], "set".to_string()));
    fs::remove_dir_all(&target).unwrap();
    leave(".set.chunkwise-1-2", &[".set.chunkwise-1-2", ".set.chunkwise-1-2.old"]);
    let error = Staging::begin(&target, true, "csv", IfExists::Fail).err().unwrap();
    assert_eq!(error.message(), format!("`{}` is there already", target.display()));
    assert_eq!(beside(dir.path()), ["set"]);
    assert_eq!(text(&target.join("x.csv")), ".set.chunkwise-1-2.old");

    // What the living write stays, and so does what belongs to another target.
    let living = Staging::begin(&target, true, "csv", IfExists::Replace).unwrap();
    leave(".sets.chunkwise-1-3", &[".sets.chunkwise-1-3"]);
    drop(Staging::begin(&target, true, "csv", IfExists::Replace).unwrap());
    assert!(living.path().is_dir());
    assert_eq!(beside(dir.path()).len(), 5);
}

#[test]
#[cfg(unix)]
fn what_a_link_leads_to_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    fs::create_dir(&here).unwrap();
    fs::create_dir(&there).unwrap();
    let link = here.join("link");
    std::os::unix::fs::symlink(there.join("set"), &link).unwrap();
    fs::create_dir(there.join("set")).unwrap();
    for content in ["one", "two"] {
        set(&link, content, IfExists::Replace).unwrap();
        assert_eq!((beside(&here), beside(&there)), (vec!["link".to_string()], vec!["set".to_string()]));
        assert_eq!(beside(&there.join("set")), [format!("{content}.csv")]);
        assert!(link.is_symlink());
    }
    fs::remove_dir_all(there.join("set")).unwrap();
    set(&link, "three", IfExists::Fail).unwrap_err();
    set(&link, "three", IfExists::Replace).unwrap_err();
    assert_eq!((beside(&here), beside(&there)), (vec!["link".to_string()], Vec::<String>::new()));
}

#[test]
#[cfg(unix)]
fn what_cannot_be_removed_is_left_to_the_next_writer() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("set");
    fs::create_dir_all(target.join("k=1")).unwrap();
    fs::write(target.join("k=1/old.csv"), "old").unwrap();
    fs::set_permissions(target.join("k=1"), fs::Permissions::from_mode(0o500)).unwrap();
    set(&target, "new", IfExists::Replace).unwrap();
    assert_eq!(beside(&target), ["new.csv"]);
    // Whoever may remove everything has done so.
    let left: Vec<String> = beside(dir.path()).into_iter().filter(|name| name != "set").collect();
    if !left.is_empty() {
        assert_eq!(left.len(), 2, "{left:?}");
        let old = left.iter().find(|name| !name.ends_with(".lock")).unwrap();
        assert!(left.contains(&format!("{old}.lock")), "{left:?}");
        fs::set_permissions(dir.path().join(old).join("k=1"), fs::Permissions::from_mode(0o700)).unwrap();
        set(&target, "newer", IfExists::Replace).unwrap();
        assert_eq!(beside(dir.path()), ["set"]);
    }
}

#[test]
fn directories_that_cannot_be_listed_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let error = staging::foreign(&dir.path().join("gone"), "csv").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.message().starts_with(&format!("cannot list {}", dir.path().display())), "{error}");
    fs::write(dir.path().join("notes"), "").unwrap();
    assert_eq!(staging::foreign(dir.path(), "csv").unwrap(), Some(dir.path().join("notes")));
}

#[test]
fn directories_are_exchanged_by_steps_where_the_system_cannot() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    for path in [&one, &other] {
        fs::create_dir(path).unwrap();
        fs::write(path.join("name"), path.file_name().unwrap().as_encoded_bytes()).unwrap();
    }
    staging::exchange_by_steps(&one, &other).unwrap();
    assert_eq!((text(&one.join("name")), text(&other.join("name"))), ("other".to_string(), "one".to_string()));
    // Without the first one the second stays where it is.
    fs::remove_dir_all(&one).unwrap();
    staging::exchange_by_steps(&one, &other).unwrap_err();
    assert_eq!((beside(dir.path()), text(&other.join("name"))), (vec!["other".to_string()], "one".to_string()));
}

/// Rows of all widths that are as hard to encode as any.
fn rows(start: u64, len: u64) -> RecordBatch {
    let noise =
        |at: u64| (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let all = || (start..start + len).map(noise);
    let columns: [(&str, ArrayRef); 5] = [
        ("n", Arc::new(Int64Array::from_iter_values(all().map(|n| n.cast_signed())))),
        ("f", Arc::new(Float64Array::from_iter_values(all().map(|n| -f64::from_bits(n >> 2 | 1 << 52))))),
        ("t", Arc::new(StringArray::from_iter_values(all().map(|n| format!("{n:x},{n:x}"))))),
        ("d", Arc::new(Int64Array::from_iter_values(all().map(|n| (n % 30_000).cast_signed())))),
        ("b", Arc::new(all().map(|n| Some(n % 2 == 0)).collect::<BooleanArray>())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn formats() -> Vec<Format> {
    vec![
        Format::Csv(Default::default()),
        Format::Json,
        Format::Ipc(Default::default()),
        #[cfg(feature = "parquet")]
        Format::Parquet(Default::default()),
        #[cfg(feature = "parquet")]
        Format::Parquet(crate::formats::parquet::ParquetEncoding {
            compression: crate::formats::parquet::Compression::None,
            dictionary: false,
            ..Default::default()
        }),
    ]
}

#[test]
fn encoding_takes_what_it_says() {
    for format in formats() {
        for batches in [1, 4, 40] {
            let batches: Vec<RecordBatch> = (0..batches).map(|at| rows(at * 10_000, 10_000)).collect();
            let bytes: u64 = batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum();
            let encoder = Encoder::new(&format, &batches[0].schema()).unwrap();
            let mut part = encoder.begin();
            let mut most = 0;
            for batch in batches {
                part.add(batch).unwrap();
                most = most.max(part.bytes());
            }
            let made: u64 = part.finish().unwrap().iter().map(Item::bytes).sum();
            let (most, need) = (most.max(made), encoder.need(bytes));
            assert!(most <= need, "{format:?}: {most} bytes for {bytes}, and {need} were said");
            // Nor much more of it than that, and what may be there for other rows.
            assert!(need <= 5 * most / 2 + (3 << 20), "{format:?}: {most} bytes for {bytes}, and {need} were said");
        }
    }
}

#[test]
fn parts_of_a_file_come_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let format = Format::Csv(Default::default());
    let encoder = Encoder::new(&format, &rows(0, 1).schema()).unwrap();
    let encoded = |at: u64| {
        let mut part = encoder.begin();
        part.add(rows(at, 1)).unwrap();
        part.finish().unwrap()
    };
    let budget = Budget::new(1 << 20);
    let mut expected = Vec::new();
    crate::formats::csv::encode_header(encoder.schema(), &Default::default(), &mut expected).unwrap();
    crate::formats::csv::encode(&rows(0, 4), &Default::default(), &mut expected).unwrap();
    // With room for all that waits, and with room for one part.
    for most in [1 << 20, 1] {
        let aside = Arc::new(Aside::new(dir.path().join("aside"), most, &budget));
        let file = Ordered::new(encoder.clone(), path.clone(), false, aside.clone());
        let mut early = 0;
        for number in [2, 3, 1, 0] {
            let part = match file.is_early(number) {
                true => Part { items: Vec::new(), aside: vec![aside.put(&rows(number.into(), 1)).unwrap()] },
                false => Part { items: encoded(number.into()), aside: Vec::new() },
            };
            early += u32::from(!part.aside.is_empty());
            file.deliver(number, part).unwrap();
        }
        assert_eq!((early, aside.is_full()), (if most == 1 { 2 } else { 0 }, false));
        assert_eq!(file.finish(5, true).unwrap_err().kind(), ErrorKind::Internal);
        let (written, counts) = file.finish(4, true).unwrap().unwrap();
        assert_eq!((written, counts.rows, counts.bytes), (path.clone(), 4, fs::metadata(&path).unwrap().len()));
        assert_eq!(fs::read(&path).unwrap(), expected);
        drop((file, aside));
        assert_eq!((budget.held(), beside(dir.path())), (0, vec!["a.csv".to_string()]));
    }
    // Without rows there is no file that nobody wants.
    let aside = Arc::new(Aside::new(dir.path().join("aside"), 1, &budget));
    let none = Ordered::new(encoder.clone(), dir.path().join("b.csv"), false, aside);
    assert!(none.finish(0, false).unwrap().is_none());
    assert_eq!(beside(dir.path()), ["a.csv"]);
}

#[test]
fn names_of_files() {
    let names = FileNames::parts("csv");
    assert_eq!(
        (names.name(7), names.number("part.12.csv"), names.extension()),
        ("part.7.csv".into(), Some(12), Some("csv"))
    );
    let names = FileNames { prefix: "day-".into(), suffix: "".into() };
    assert_eq!((names.name(7), names.number("day-3"), names.extension()), ("day-7".into(), Some(3), None));
    assert_eq!((names.number("day-3.csv"), names.number("day--1"), names.number("night-3")), (None, None, None));
}

#[test]
fn the_name_of_null_is_no_value() {
    let keys: SchemaRef = rows(0, 1).schema();
    let others = Arc::new(keys.project(&[0, 1, 3, 4]).unwrap());
    let encoder = Encoder::new(&Format::Json, &others).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (text, works) in [(Some(NULL_NAME), false), (None, true), (Some("__HIVE"), true)] {
        let mut columns = rows(0, 1).columns().to_vec();
        columns[2] = Arc::new(StringArray::from(vec![text]));
        let fields: Vec<_> = keys.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let schema: SchemaRef = Arc::new(arrow::datatypes::Schema::new(fields));
        let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
        let path = dir.path().to_path_buf();
        let held = Budget::new(0).force_reserve("write", 0);
        let name = "part.0.jsonl".to_string();
        let mut keyed = Keyed::new(encoder.clone(), path, schema, vec![2], name, 1 << 30, held);
        match keyed.add(&batch) {
            Ok(()) => assert!(works && keyed.finish(&|| Ok(())).unwrap().len() == 1),
            Err(error) => {
                assert!(!works && error.kind() == ErrorKind::Data, "{error}");
                assert!(error.message().starts_with("column `t`: the text `__HIVE_DEFAULT_PARTITION__`"), "{error}");
            }
        }
    }
    assert_eq!(beside(dir.path()), ["t=__HIVE", "t=__HIVE_DEFAULT_PARTITION__"]);
}

/// Rows of so many keys in turn, with numbers in so many other columns.
fn keyed_rows(rows: usize, keys: usize, columns: usize) -> RecordBatch {
    let key: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows).map(|row| (row % keys) as i64)));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows as i64).map(|row| row * row)));
    let others = (0..columns).map(|at| (format!("c{at}"), numbers.clone()));
    RecordBatch::try_from_iter(std::iter::once(("key".to_string(), key)).chain(others)).unwrap()
}

/// A writer of files by the first column, which counts its memory in a budget.
fn keyed_writer(format: &Format, rows: &RecordBatch, directory: &Path, limit: u64, budget: &Budget) -> Keyed {
    let all: Vec<usize> = (1..rows.num_columns()).collect();
    let encoder = Encoder::new(format, &Arc::new(rows.schema().project(&all).unwrap())).unwrap();
    let held = budget.force_reserve("write", 0);
    Keyed::new(encoder, directory.to_path_buf(), rows.schema(), vec![0], "part.0".to_string(), limit, held)
}

#[cfg(feature = "parquet")]
#[test]
fn the_ends_of_open_files_are_counted() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let rows = keyed_rows(20_000, 20, 30);
    let format = Format::Parquet(Default::default());
    let run = |budget: &Budget| -> crate::error::Result<(u64, Vec<(usize, u64)>)> {
        let dir = tempfile::tempdir().unwrap();
        let mut keyed = keyed_writer(&format, &rows, dir.path(), 16 << 20, budget);
        // More than may wait.
        (0..4).try_for_each(|_| keyed.add(&rows))?;
        let open = budget.held();
        let groups =
            |path: &Path| SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap().metadata().num_row_groups();
        let written = keyed.finish(&|| Ok(()))?;
        let files = written.iter().map(|(path, counts)| (groups(path), counts.rows)).collect::<Vec<_>>();
        Ok((open, files))
    };
    let budget = Budget::new(1 << 30);
    let (open, files) = run(&budget).unwrap();
    assert!(files.len() == 20 && files.iter().all(|(_, rows)| *rows == 4_000), "{files:?}");
    let groups: usize = files.iter().map(|(groups, _)| groups).sum();
    // Each file ends with what waited.
    assert!(groups > 30, "{files:?}");
    let each = 30 * (2 << 10);
    assert!(open >= (groups - 20) as u64 * each && budget.peak() <= groups as u64 * each, "{open} {files:?}");
    assert_eq!(budget.held(), 0);
    let error = run(&Budget::new(open - 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert!(error.message().contains("partition by columns with fewer values, or raise memory_limit"), "{error}");
}

#[test]
fn as_many_files_are_open_as_there_is_memory_for() {
    let rows = keyed_rows(4_000, 40, 1);
    for (format, least) in [(Format::Ipc(Default::default()), 8 * (256 << 10)), (Format::Json, 16 * (64 << 10))] {
        for limit in [8 << 20, 1 << 30] {
            let (dir, budget) = (tempfile::tempdir().unwrap(), Budget::new(1 << 30));
            let mut keyed = keyed_writer(&format, &rows, dir.path(), limit, &budget);
            for start in (0..4_000).step_by(8) {
                keyed.add(&rows.slice(start, 8)).unwrap();
            }
            // Those of more values wait on disk.
            assert_eq!(dir.path().join("_chunkwise_buckets").exists(), limit < 1 << 30);
            let written = keyed.finish(&|| Ok(())).unwrap();
            assert!(written.len() == 40 && written.iter().all(|(_, counts)| counts.rows == 100));
            let most = if limit < 1 << 30 { least } else { 5 * least };
            assert!((1..=most).contains(&budget.peak()), "{} of {most}", budget.peak());
            assert_eq!((beside(dir.path()).len(), budget.held()), (40, 0));
        }
    }
}
