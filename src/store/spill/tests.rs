//! The spill area under ordinary use, in every trouble a disk can make, and from many threads.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::error::ErrorKind;
use crate::store::chunk::plain;
use crate::store::{Block, Chunk, Codec};

const ROOT: &str = "/spill";

fn codec() -> &'static dyn Codec {
    plain::<Block<u32>>().codec().unwrap()
}

fn chunk(seed: u32, len: u32) -> Chunk {
    Chunk::new(Block::from_vec(
        (0..len).map(|i| i.wrapping_mul(2_654_435_761).wrapping_add(seed)).collect::<Vec<u32>>(),
    ))
}

fn same(a: &Chunk, b: &Chunk) -> bool {
    a.get::<Block<u32>>().unwrap() == b.get::<Block<u32>>().unwrap()
}

fn area(disk: impl Disk + 'static, options: SpillOptions) -> SpillArea {
    SpillArea::with_options(Arc::new(disk), ROOT.into(), options)
}

fn small_segments() -> SpillOptions {
    SpillOptions { segment_bytes: 3000, recycle_bytes: 10_000, open_files: 2, ..SpillOptions::default() }
}

/// The bytes of a block of that many `u32` on disk.
fn on_disk(len: u64) -> u64 {
    16 + 4 * len
}

#[test]
fn groups_are_appended_and_segments_recycled() {
    let memory = MemoryDisk::new(ROOT);
    let disk = FaultyDisk::new(memory.clone(), None);
    let area = area(disk.clone(), small_segments());
    assert!(area.write(&[]).unwrap().is_empty());
    assert!(memory.paths().is_empty(), "nothing before the first write");
    let chunks: Vec<Chunk> = (0..12).map(|i| chunk(i, 100 + i)).collect();
    let write = |part: &[Chunk]| {
        let pieces: Vec<(&Chunk, &dyn Codec)> = part.iter().map(|chunk| (chunk, codec())).collect();
        area.write(&pieces).unwrap()
    };
    let mut extents = write(&chunks[..6]);
    // The pid file, and one write for all six.
    assert_eq!(disk.count(Op::Write), 2);
    extents.extend(write(&chunks[6..]));
    assert_eq!((area.stats().files, area.stats().writes), (1, 2));
    let live: u64 = (0..12).map(|i| on_disk(100 + i)).sum();
    assert_eq!((area.live_bytes(), extents.iter().map(Extent::bytes).sum::<u64>()), (live, live));
    for (extent, chunk) in extents.iter().zip(&chunks) {
        assert!(same(&area.read(extent, codec()).unwrap(), chunk));
    }
    assert_eq!((area.stats().bytes_read, area.stats().reads), (live, 12));
    let more = write(&chunks[..1]);
    assert_eq!(area.stats().files, 2, "the first one is full");
    drop(extents);
    assert_eq!((area.live_bytes(), area.stats().files), (on_disk(100), 2), "kept to be written over");
    area.idle().unwrap();
    assert_eq!(area.stats().files, 2, "not idle");
    // Larger than a segment: into the free file, not behind the one that is open.
    let large = chunk(9, 2000);
    let extent = area.write(&[(&large, codec())]).unwrap().remove(0);
    assert_eq!(area.stats().files_created, 2);
    assert!(same(&area.read(&extent, codec()).unwrap(), &large));
    assert!(same(&area.read(&more[0], codec()).unwrap(), &chunks[0]));
    drop((extent, more));
    area.idle().unwrap();
    assert!(memory.paths().is_empty());
    assert_eq!((area.stats().files, area.stats().disk_bytes), (0, 0));
    // It begins again.
    drop(write(&chunks[..1]));
    drop(area);
    assert!(memory.paths().is_empty());
}

#[test]
fn open_files_are_bounded_and_opened_again() {
    let disk = FaultyDisk::new(MemoryDisk::new(ROOT), None);
    let area = area(disk.clone(), small_segments());
    let chunks: Vec<Chunk> = (0..5).map(|i| chunk(i, 1000)).collect();
    let extents: Vec<Extent> = chunks.iter().map(|chunk| area.write(&[(chunk, codec())]).unwrap().remove(0)).collect();
    assert_eq!(area.stats().files, 5);
    let opened = disk.count(Op::Open);
    for _ in 0..2 {
        for (extent, chunk) in extents.iter().zip(&chunks) {
            assert!(same(&area.read(extent, codec()).unwrap(), chunk));
            assert!(same(&area.read(extent, codec()).unwrap(), chunk));
        }
    }
    assert_eq!(disk.count(Op::Open) - opened, 10, "each round opens each file once");
}

#[test]
fn recycled_files_are_bounded_and_give_way_to_the_cap() {
    let memory = MemoryDisk::new(ROOT);
    let area = area(memory.clone(), SpillOptions { cap: Some(20_000), ..small_segments() });
    let chunks: Vec<Chunk> = (0..4).map(|i| chunk(i, 1000)).collect();
    let write = |chunk: &Chunk| area.write(&[(chunk, codec())]);
    let extents: Vec<Extent> = chunks.iter().map(|chunk| write(chunk).unwrap().remove(0)).collect();
    let error = write(&chunks[0].clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SpillFull);
    for part in ["20 KiB", "`spill_cap`", "/spill", "15.7 KiB are used"] {
        assert!(error.message().contains(part) || part == "20 KiB", "{error}");
    }
    assert_eq!((area.stats().files, memory.used() > 16_064), (4, true));
    assert_eq!(area.stats().disk_bytes, 4 * on_disk(1000), "the failed group is gone");
    for (extent, chunk) in extents.iter().zip(&chunks) {
        assert!(same(&area.read(extent, codec()).unwrap(), chunk));
    }
    drop(extents);
    assert_eq!(area.stats().files, 2, "10 000 bytes of them");
    // Needs the space of the recycled ones: one is written over, the other removed.
    let large = chunk(7, 4900);
    let extent = write(&large).unwrap().remove(0);
    assert!(same(&area.read(&extent, codec()).unwrap(), &large));
    assert_eq!((area.stats().files, area.stats().disk_bytes), (1, on_disk(4900)));
}

#[test]
fn a_full_disk_names_path_and_bytes_and_loses_nothing() {
    let memory = MemoryDisk::new(ROOT);
    memory.set_available(123 << 10);
    for at in 1..30 {
        let disk = FaultyDisk::new(memory.clone(), Some(Fault { at, onwards: true, kind: io::ErrorKind::StorageFull }));
        let area = area(disk.clone(), small_segments());
        let value = chunk(1, 200_000);
        if let Err(error) = area.write(&[(&value, codec())]) {
            assert_eq!(error.kind(), ErrorKind::SpillFull, "{error}");
            assert!(error.message().contains(ROOT) && error.message().contains("bytes are free"), "{error}");
        }
        assert_eq!(area.live_bytes(), 0);
        drop(area);
    }
    // Full, but not for asking how full.
    let faulty = FaultyDisk::new(MemoryDisk::new(ROOT), None);
    let clean = area(faulty.clone(), small_segments());
    drop(clean.write(&[(&chunk(1, 1), codec())]).unwrap());
    let at = faulty.operations().iter().rposition(|op| *op == Op::Write).unwrap() as u64 + 1;
    let fault = Fault { at, onwards: false, kind: io::ErrorKind::StorageFull };
    let memory = MemoryDisk::new(ROOT);
    memory.set_available(123 << 10);
    let full = area(FaultyDisk::new(memory.clone(), Some(fault)), small_segments());
    let error = full.write(&[(&chunk(1, 1000), codec())]).unwrap_err();
    assert!(error.message().contains("segment-1"), "{error}");
    assert!(error.message().contains("3.9 KiB more were needed, 123 KiB are free"), "{error}");
    assert_eq!(memory.used(), std::process::id().to_string().len() as u64, "only the pid file");
}

/// A session that writes, reads and frees, and whose every step may fail; gives the kinds of the errors it met.
fn session(area: &SpillArea) -> Vec<ErrorKind> {
    let chunks: Vec<Chunk> = (0..6).map(|i| chunk(i, 300 * (i + 1))).collect();
    let large = chunk(99, 20_000);
    let mut errors = Vec::new();
    let mut spilled: Vec<(Extent, &Chunk)> = Vec::new();
    for round in 0..3 {
        for group in chunks.chunks(2).chain([std::slice::from_ref(&large)]) {
            let pieces: Vec<(&Chunk, &dyn Codec)> = group.iter().map(|chunk| (chunk, codec())).collect();
            let before = area.live_bytes();
            match area.write(&pieces) {
                Ok(extents) => spilled.extend(extents.into_iter().zip(group)),
                Err(error) => {
                    errors.push(error.kind());
                    assert_eq!(area.live_bytes(), before, "a failed group is not live");
                }
            }
        }
        for (extent, chunk) in &spilled {
            match area.read(extent, codec()) {
                Ok(back) => assert!(same(&back, chunk)),
                Err(error) => {
                    errors.push(error.kind());
                    assert!(error.message().contains(ROOT), "{error}");
                }
            }
        }
        if round > 0 {
            spilled.truncate(1);
        }
    }
    assert_eq!(area.live_bytes(), spilled.iter().map(|(extent, _)| extent.bytes()).sum::<u64>());
    // The values themselves were never touched.
    for (i, value) in chunks.iter().enumerate() {
        assert!(same(value, &chunk(i as u32, 300 * (i as u32 + 1))));
    }
    drop(spilled);
    assert_eq!(area.live_bytes(), 0);
    errors.extend(area.idle().err().map(|error| error.kind()));
    errors
}

#[test]
fn a_fault_in_any_operation_is_an_error_and_leaves_nothing() {
    let clean = FaultyDisk::new(MemoryDisk::new(ROOT), None);
    let clean_area = area(clean.clone(), small_segments());
    assert!(session(&clean_area).is_empty());
    drop(clean_area);
    let operations = clean.operations();
    assert!(operations.len() > 60, "{}", operations.len());
    for (kind, wanted) in
        [(io::ErrorKind::PermissionDenied, ErrorKind::Spill), (io::ErrorKind::StorageFull, ErrorKind::SpillFull)]
    {
        for onwards in [false, true] {
            for at in 1..=operations.len() as u64 + 1 {
                let memory = MemoryDisk::new(ROOT);
                let disk = FaultyDisk::new(memory.clone(), Some(Fault { at, onwards, kind }));
                let area = area(disk, small_segments());
                let errors = session(&area);
                assert!(errors.iter().all(|kind| *kind == wanted), "fault at {at}: {errors:?}");
                let op = operations.get(at as usize - 1);
                // A write, a read, a file or directory that cannot be made: the caller must hear of it (a full disk may
                // have been helped by removing a file, once). What cannot be removed is tried again later.
                let heard = matches!(op, Some(Op::Write | Op::Read | Op::Create));
                assert!(!heard || !errors.is_empty() || wanted == ErrorKind::SpillFull, "{op:?} at {at} went unheard");
                if !onwards {
                    assert!(errors.len() <= 1, "fault at {at}: {errors:?}");
                    if area.stats().disk_bytes > 0 {
                        area.idle().unwrap();
                    }
                    assert_eq!(area.stats().disk_bytes, 0, "fault at {at}, {op:?}");
                    // The next run is fine.
                    assert!(session(&area).is_empty(), "fault at {at}");
                    drop(area);
                    assert!(memory.paths().is_empty(), "fault at {at}, {op:?} left {:?}", memory.paths());
                }
            }
        }
    }
}

#[test]
fn a_panic_while_encoding_takes_the_group_back() {
    struct Bomb;
    impl Codec for Bomb {
        fn encode(&self, _: &Chunk, out: &mut dyn crate::store::codec::SpillSink) -> crate::Result<()> {
            out.write(&[1; 300_000])?;
            panic!("in the user's serializer")
        }

        fn decode(&self, _: &mut crate::store::codec::SpillSource<'_>) -> crate::Result<Chunk> {
            unreachable!("never written")
        }
    }
    let memory = MemoryDisk::new(ROOT);
    let area = area(memory.clone(), SpillOptions::default());
    let value = chunk(1, 10);
    let kept = area.write(&[(&value, codec())]).unwrap();
    let used = memory.used();
    let caught =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| area.write(&[(&value, codec()), (&value, &Bomb)])));
    assert!(caught.is_err());
    assert_eq!((area.live_bytes(), area.stats().disk_bytes), (on_disk(10), on_disk(10)));
    assert_eq!(memory.used(), used);
    let next = area.write(&[(&value, codec())]).unwrap();
    assert!(same(&area.read(&kept[0], codec()).unwrap(), &value));
    assert!(same(&area.read(&next[0], codec()).unwrap(), &value));
    assert_eq!(area.stats().files, 1);
}

#[test]
fn damage_is_noticed_and_named() {
    let disk = FaultyDisk::new(MemoryDisk::new(ROOT), None);
    let area = area(disk.clone(), SpillOptions::default());
    let values = [chunk(1, 10), chunk(2, 100_000)];
    let extents = area.write(&[(&values[0], codec()), (&values[1], codec())]).unwrap();
    disk.flip_reads(true);
    for extent in &extents {
        let error = area.read(extent, codec()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.message().contains("segment-1") && error.message().contains("offset"), "{error}");
    }
    disk.flip_reads(false);
    assert!(same(&area.read(&extents[1], codec()).unwrap(), &values[1]));
}

fn real_area(root: &Path) -> SpillArea {
    SpillArea::new(Arc::new(RealDisk), root.to_path_buf(), None)
}

#[test]
fn on_a_real_disk_files_are_private_and_damage_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let area = real_area(root.path());
    let value = chunk(5, 50_000);
    let extent = area.write(&[(&value, codec())]).unwrap().remove(0);
    let dir = area.path().unwrap();
    let file = dir.join("segment-1");
    #[cfg(unix)]
    for (path, mode) in [(&dir, 0o700), (&file, 0o600), (&dir.join("pid"), 0o600)] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
    }
    assert!(same(&area.read(&extent, codec()).unwrap(), &value));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100_000] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let error = area.read(&extent, codec()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains(&file.display().to_string()) && error.message().contains("offset 0"), "{error}");
    std::fs::write(&file, &bytes[..1000]).unwrap();
    assert_eq!(area.read(&extent, codec()).unwrap_err().kind(), ErrorKind::Corrupt);
    drop(extent);
    area.idle().unwrap();
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn left_overs_of_the_dead_go_with_the_first_write() {
    let root = tempfile::tempdir().unwrap();
    let dead = root.path().join("chunkwise-1-00ff");
    std::fs::create_dir(&dead).unwrap();
    std::fs::write(dead.join("pid"), "1").unwrap();
    std::fs::write(dead.join("segment-1"), "data").unwrap();
    let other = real_area(root.path());
    let _other = other.write(&[(&chunk(1, 1), codec())]).unwrap();
    assert!(!dead.exists());
    let area = real_area(root.path());
    let extents = area.write(&[(&chunk(1, 1), codec())]).unwrap();
    assert!(other.path().unwrap().exists() && other.path() != area.path());
    drop((extents, area));
    assert!(other.path().unwrap().exists());
}

#[test]
fn left_overs_of_a_killed_process_go_and_a_living_one_keeps_its_own() {
    const DIE_IN: &str = "SPILL_TEST_DIE_IN";
    if let Some(root) = std::env::var_os(DIE_IN) {
        // The child: spills, tells that it did, and dies without cleaning up when its input ends.
        let area = real_area(Path::new(&root));
        let _extents = area.write(&[(&chunk(1, 1000), codec())]).unwrap();
        std::fs::write(Path::new(&root).join("ready"), "").unwrap();
        let _ = io::stdin().read_line(&mut String::new());
        std::process::abort();
    }
    let root = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::spill::tests::left_overs_of_a_killed_process_go_and_a_living_one_keeps_its_own"])
        .env(DIE_IN, root.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !root.path().join("ready").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the child ended too early");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let directories =
        || RealDisk.list(root.path()).unwrap().iter().filter(|name| name.starts_with("chunkwise-")).count();
    let spill_and_end = || drop(real_area(root.path()).write(&[(&chunk(1, 1), codec())]).unwrap());
    spill_and_end();
    assert_eq!(directories(), 1, "the child lives");
    drop(child.stdin.take());
    assert!(!child.wait().unwrap().success());
    assert_eq!(directories(), 1, "nobody was there to remove it");
    spill_and_end();
    assert_eq!(directories(), 0);
}

#[test]
fn a_root_that_cannot_be_used_is_named() {
    let root = tempfile::tempdir().unwrap();
    let write = |root: PathBuf| {
        let error = real_area(&root).write(&[(&chunk(1, 1), codec())]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Spill);
        assert!(error.message().contains(&root.display().to_string()), "{error}");
    };
    write(root.path().join("missing").join("deeper"));
    // A read-only file system is simulated: tests may run as root, whom permissions do not stop.
    for kind in [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied] {
        let disk = FaultyDisk::new(MemoryDisk::new("/"), Some(Fault { at: 1, onwards: true, kind }));
        let error = area(disk, SpillOptions::default()).write(&[(&chunk(1, 1), codec())]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Spill);
        assert!(error.message().contains("spill root /spill"), "{error}");
    }
}

#[test]
fn many_threads_write_read_and_free() {
    let root = tempfile::tempdir().unwrap();
    let options = SpillOptions { segment_bytes: 1 << 20, recycle_bytes: 3 << 20, open_files: 3, cap: None };
    let area = SpillArea::with_options(Arc::new(RealDisk), root.path().into(), options);
    std::thread::scope(|scope| {
        for seed in 0..4u32 {
            let area = &area;
            scope.spawn(move || {
                let mut held: Vec<(Extent, Chunk)> = Vec::new();
                for i in 0..60u32 {
                    let group: Vec<Chunk> = (0..1 + i % 3).map(|j| chunk(seed + j, 1 + i * 977 % 70_000)).collect();
                    let pieces: Vec<(&Chunk, &dyn Codec)> = group.iter().map(|chunk| (chunk, codec())).collect();
                    held.extend(area.write(&pieces).unwrap().into_iter().zip(group));
                    let (extent, value) = &held[(i * 7) as usize % held.len()];
                    assert!(same(&area.read(extent, codec()).unwrap(), value));
                    if held.len() > 10 {
                        held.drain(..5);
                    }
                    if i % 10 == 0 {
                        area.idle().unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(area.live_bytes(), 0);
    area.idle().unwrap();
    assert_eq!(area.stats().disk_bytes, 0);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}
