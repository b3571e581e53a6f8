//! Tables to files: tasks encode their morsels side by side, one task puts all in place.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::super::kernels;
use super::super::plan::{Layout, Op, WriteOp, Written};
use super::pipeline::Pipeline;
use super::{Lowering, Made, meta};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::write::{Aside, Encoder, FileNames, IfExists, Keyed, Ordered, Part, Segment, Staging, keyed};
use crate::graph::{Chunk, Exchange, Inputs, Kind, LayerRef, TaskContext, exchange};
use crate::plan::RegionLowering;
use crate::store::{Budget, Reservation, chunk};

/// Bytes that the batches on their way through the steps of a task take.
const BATCH_NEED: u64 = 1 << 20;

impl Lowering {
    pub(super) fn write(&self, at: usize, op: &WriteOp, lowering: &mut RegionLowering<'_, '_>) -> Result<Made> {
        let node = &self.plan.nodes[at];
        let (pipeline, bounds) = self.front(at, lowering)?;
        let (tasks, inputs, (bytes, need)) = (pipeline.tasks, pipeline.inputs(), pipeline.most());
        let bytes = self.output_bytes(node.inputs[0], bytes, tasks);
        let schema = self.plan.nodes[node.inputs[0]].schema.clone();
        let (encoder, keys) = op.encoder(&schema)?;
        // With keys the rows of a morsel wait for their turn as they are.
        let encode = match &op.layout {
            Layout::Keys(_) => bytes,
            Layout::Single | Layout::Partitions => encoder.need(bytes),
        };
        let keyed = if keys.is_empty() { 0 } else { Keyed::need(&encoder, self.limit_bytes) };
        let need = need + bytes.min(BATCH_NEED) + encode + keyed;
        let tenant = WriteExchange {
            pipeline,
            op: op.clone(),
            encoder,
            schema,
            keys,
            bounds,
            tasks,
            need,
            encode,
            limit_bytes: self.limit_bytes,
        };
        let layer_meta = meta(node, node.verb);
        let parts: LayerRef<Written> =
            lowering.gated(node.member, |draft| exchange(draft, layer_meta, tasks, inputs, 1, tenant))?;
        Ok(Made::each(parts.layer(), 1))
    }

    /// About how many bytes the rows that a task gives take at most, of a node whose pipeline has so many `tasks`, of which the
    /// largest reads a morsel of `bytes`.
    fn output_bytes(&self, at: usize, bytes: u64, tasks: u32) -> u64 {
        let node = &self.plan.nodes[at];
        let is_known = node.bytes.len() == node.schema.fields().len() && node.bytes.iter().all(|bytes| *bytes > 0);
        // Of the whole table, before rows are left out.
        let out = node.bytes.iter().sum::<u64>().saturating_mul(u64::from(node.partitions));
        let mut base = at;
        while self.made[base].is_none()
            && matches!(
                self.plan.nodes[base].op,
                Op::Filter(_) | Op::Select(_) | Op::Map(_) | Op::Join(_) | Op::Explode(_) | Op::Number(_)
            )
        {
            base = self.plan.nodes[base].inputs[0];
        }
        match &self.plan.nodes[base].op {
            Op::Scan(scan) if self.made[base].is_none() => {
                let all = scan.source.column_bytes();
                let read: u64 = scan.columns.iter().filter_map(|column| all.get(*column)).sum();
                let share = if read > 0 { out as f64 / read as f64 } else { 1.0 };
                (bytes as f64 * if is_known { share } else { share.max(1.0) }) as u64
            }
            // Pieces, which are as large as the largest of them.
            _ => bytes.max(out / u64::from(tasks.max(1))),
        }
    }
}

/// A table on its way into files.
struct WriteExchange {
    pipeline: Pipeline,
    op: WriteOp,
    encoder: Encoder,
    schema: SchemaRef,
    /// The columns that stand in the names of directories.
    keys: Vec<usize>,
    /// Which morsels are of which partition.
    bounds: Arc<[u32]>,
    tasks: u32,
    need: u64,
    /// Of that, for what becomes of the rows of a morsel, or for the rows where they wait as they are.
    encode: u64,
    limit_bytes: u64,
}

/// The part of the memory limit that may be taken by what waits for earlier morsels before rows go aside.
const EARLY_PART: u64 = 8;

/// What is written in a run. When it is dropped before all is in place, nothing of it is left.
struct Files {
    budget: Budget,
    open: OnceLock<Result<Open>>,
    written: Mutex<Option<Written>>,
}

struct Open {
    layout: OpenLayout,
    /// What waits for earlier morsels.
    aside: Arc<Aside>,
    // Last, so that files are closed before their directory goes.
    staging: Mutex<Option<Staging>>,
}

enum OpenLayout {
    /// One file.
    Single(Box<Ordered>),
    /// A file for each partition, made when its first morsel comes and ended with its last.
    Partitions {
        files: Mutex<BTreeMap<u32, (Arc<Ordered>, u32)>>,
        done: Mutex<Vec<(PathBuf, keyed::Counts)>>,
        first: u32,
    },
    /// A file for each value of the keys, with the number of the first one.
    Keys(Mutex<KeyQueue>, Box<Mutex<Option<Keyed>>>, u32),
}

/// Morsels that wait for earlier ones.
struct KeyQueue {
    next: u32,
    waiting: BTreeMap<u32, Early>,
    /// What the writer of keys holds at most.
    _held: Reservation,
}

/// The rows of a morsel that waits.
struct Early {
    rows: Vec<RecordBatch>,
    /// Those behind them.
    aside: Vec<Segment>,
}

/// What a task makes, as long as there is memory for it; the rows behind it go aside.
struct Room {
    declared: u64,
    more: Reservation,
}

impl Room {
    fn new(declared: u64, context: &TaskContext<'_>) -> Room {
        Room { declared, more: context.budget().force_reserve("write", 0) }
    }

    fn is_exceeded(&self, bytes: u64) -> bool {
        bytes > self.declared + self.more.bytes()
    }

    /// Whether so much fits.
    fn grow(&mut self, bytes: u64) -> bool {
        self.more.try_grow(bytes.saturating_sub(self.declared + self.more.bytes())).is_ok()
    }
}

impl WriteExchange {
    fn open<'a>(&self, state: &'a Files) -> Result<&'a Open> {
        let open = state.open.get_or_init(|| {
            let single = self.op.layout == Layout::Single;
            let extension = self.op.names.extension().unwrap_or_default();
            let staging = Staging::begin(&self.op.target, !single, extension, self.op.if_exists)?;
            let path = staging.path().to_path_buf();
            if self.op.if_exists == IfExists::Append && !single {
                let keys: &[String] = if let Layout::Keys(keys) = &self.op.layout { keys } else { &[] };
                self.encoder.fits(&path, extension, keys)?;
            }
            let durable = self.op.durable;
            let first = if single { 0 } else { next_part(&path, &self.op.names)? };
            let mut beside = path.clone().into_os_string();
            beside.push(if single { ".aside" } else { "/_chunkwise_aside" });
            let aside = Arc::new(Aside::new(beside.into(), self.limit_bytes / EARLY_PART, &state.budget));
            let layout = match &self.op.layout {
                Layout::Single => {
                    OpenLayout::Single(Box::new(Ordered::new(self.encoder.clone(), path, durable, aside.clone())))
                }
                Layout::Partitions => {
                    let (files, done) = (Mutex::default(), Mutex::default());
                    OpenLayout::Partitions { files, done, first }
                }
                Layout::Keys(_) => {
                    let (encoder, schema) = (self.encoder.clone(), self.schema.clone());
                    let (keys, name) = (self.keys.clone(), self.op.names.name(first));
                    let held = state.budget.force_reserve("write", 0);
                    let keyed = Keyed::new(encoder, path, schema, keys, name, self.limit_bytes, held).durable(durable);
                    let waiting = Keyed::most_waiting(self.limit_bytes);
                    let held = state.budget.force_reserve("write", waiting);
                    let queue = KeyQueue { next: 0, waiting: BTreeMap::new(), _held: held };
                    OpenLayout::Keys(Mutex::new(queue), Box::new(Mutex::new(Some(keyed))), first)
                }
            };
            Ok(Open { layout, aside, staging: Mutex::new(Some(staging)) })
        });
        open.as_ref().map_err(Error::clone)
    }

    /// The partition of a morsel, and which of its morsels it is.
    fn place(&self, morsel: u32) -> (u32, u32, u32) {
        let partition = self.bounds.partition_point(|bound| *bound <= morsel).saturating_sub(1);
        let (start, end) = (self.bounds[partition], self.bounds.get(partition + 1).copied().unwrap_or(self.tasks));
        (partition as u32, morsel - start, end - start)
    }

    /// A file without rows: the table still has columns, where no file has them yet.
    fn without_rows(&self, open: &Open, encoder: Encoder) -> Result<Option<(PathBuf, keyed::Counts)>> {
        Ordered::new(encoder, self.path(open, 0)?, self.op.durable, open.aside.clone()).finish(0, true)
    }

    /// The file of a partition.
    fn path(&self, open: &Open, number: u32) -> Result<PathBuf> {
        let staging = lock(&open.staging);
        let staging = staging.as_ref().ok_or_else(|| Error::internal("files are written after all is in place"))?;
        Ok(staging.path().join(self.op.names.name(number)))
    }
}

impl WriteExchange {
    /// The rows of a morsel, all of them or those behind what fits in the file of what waits.
    fn rows(
        &self,
        open: &Open,
        early: bool,
        context: &TaskContext<'_>,
        morsel: u32,
        inputs: &mut Inputs<'_>,
    ) -> Result<Early> {
        let (mut made, mut bytes, mut is_full) = (Early { rows: Vec::new(), aside: Vec::new() }, 0, early);
        let mut room = Room::new(self.encode, context);
        self.pipeline.run(context, morsel, inputs, &mut |batch| {
            let batch = kernels::conform(batch, &self.schema)?;
            if is_full {
                made.aside.push(open.aside.put(&batch)?);
                return Ok(ControlFlow::Continue(()));
            }
            bytes += batch.get_array_memory_size() as u64;
            kernels::keep(&mut made.rows, batch)?;
            is_full = room.is_exceeded(bytes) && !room.grow(bytes);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(made)
    }

    /// What is written of a morsel, as part `number` of a file.
    ///
    /// It is encoded beside other morsels, and waits for its turn in memory. Rows go aside where much waits already, and where they
    /// become more than was declared and than there is memory for; where it is their turn they are written on the way. A Parquet
    /// file has another row group then.
    fn part_of(
        &self,
        open: &Open,
        file: &Ordered,
        number: u32,
        context: &TaskContext<'_>,
        morsel: u32,
        inputs: &mut Inputs<'_>,
    ) -> Result<Part> {
        let (mut part, mut aside, mut is_full) = (self.encoder.begin(), Vec::new(), file.is_early(number));
        let mut room = Room::new(self.encode, context);
        self.pipeline.run(context, morsel, inputs, &mut |batch| {
            let batch = kernels::conform(batch, &self.schema)?;
            if is_full {
                aside.push(open.aside.put(&batch)?);
                return Ok(ControlFlow::Continue(()));
            }
            part.add(batch)?;
            if room.is_exceeded(part.bytes()) {
                file.write_beginning(number, part.items())?;
                is_full = room.is_exceeded(part.bytes()) && !room.grow(part.bytes());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Part { items: part.finish()?, aside })
    }

    fn append_to_partition(
        &self,
        open: &Open,
        context: &TaskContext<'_>,
        morsel: u32,
        inputs: &mut Inputs<'_>,
    ) -> Result<()> {
        let OpenLayout::Partitions { files, done, first } = &open.layout else {
            return Err(Error::internal("a layout changed"));
        };
        let (partition, number, count) = self.place(morsel);
        let file = {
            let mut files = lock(files);
            match files.get(&partition) {
                Some((file, _)) => file.clone(),
                None => {
                    let path = self.path(open, first + partition)?;
                    let file = Ordered::new(self.encoder.clone(), path, self.op.durable, open.aside.clone());
                    let file = Arc::new(file);
                    files.insert(partition, (file.clone(), 0));
                    file
                }
            }
        };
        let part = self.part_of(open, &file, number, context, morsel, inputs)?;
        file.deliver(number, part)?;
        let mut files = lock(files);
        if let Some((_, came)) = files.get_mut(&partition) {
            *came += 1;
            if *came == count {
                files.remove(&partition);
                drop(files);
                let written = file.finish(count, false)?;
                lock(done).extend(written);
            }
        }
        Ok(())
    }
}

impl Exchange for WriteExchange {
    type State = Files;

    fn open(&self, _: u32, budget: &Budget) -> Files {
        Files { budget: budget.clone(), open: OnceLock::new(), written: Mutex::default() }
    }

    fn append_need(&self) -> u64 {
        self.need
    }

    fn append(&self, context: &TaskContext<'_>, state: &Files, morsel: u32, inputs: &mut Inputs<'_>) -> Result<()> {
        let open = self.open(state)?;
        let (file, number) = match &open.layout {
            OpenLayout::Keys(queue, keyed, _) => {
                let early = lock(queue).next != morsel && open.aside.is_full();
                let rows = self.rows(open, early, context, morsel, inputs)?;
                return deliver(queue, keyed, &open.aside, morsel, rows);
            }
            OpenLayout::Single(file) => (&**file, morsel),
            OpenLayout::Partitions { .. } => return self.append_to_partition(open, context, morsel, inputs),
        };
        let part = self.part_of(open, file, number, context, morsel, inputs)?;
        file.deliver(number, part)
    }

    fn seal(&self, context: &TaskContext<'_>, state: &Files) -> Result<Vec<u64>> {
        let open = self.open(state)?;
        let mut files: Vec<(PathBuf, keyed::Counts)> = match &open.layout {
            OpenLayout::Single(file) => file.finish(self.tasks, true)?.into_iter().collect(),
            OpenLayout::Partitions { done, first, .. } => {
                let mut done = std::mem::take(&mut *lock(done));
                if done.is_empty() && *first == 0 {
                    done.extend(self.without_rows(open, self.encoder.clone())?);
                }
                done
            }
            OpenLayout::Keys(_, keyed, first) => {
                let keyed = lock(keyed).take().ok_or_else(|| Error::internal("files are ended twice"))?;
                let mut done = keyed.finish(&|| context.check_cancelled())?;
                if done.is_empty() && *first == 0 {
                    // No directory names a key: the file has all columns.
                    done.extend(self.without_rows(open, Encoder::new(&self.op.format, &self.schema)?)?);
                }
                done
            }
        };
        context.check_cancelled()?;
        open.aside.close();
        let staging = lock(&open.staging).take().ok_or_else(|| Error::internal("files are put in place twice"))?;
        let temporary = staging.path().to_path_buf();
        staging.commit(self.op.durable)?;
        for (path, _) in &mut files {
            *path = match path.strip_prefix(&temporary) {
                Ok(inner) if !inner.as_os_str().is_empty() => self.op.target.join(inner),
                _ => self.op.target.clone(),
            };
        }
        files.sort_by(|a, b| crate::formats::files::natural(&a.0.to_string_lossy(), &b.0.to_string_lossy()));
        let rows = files.iter().map(|(_, counts)| counts.rows).sum();
        let bytes = files.iter().map(|(_, counts)| counts.bytes).sum();
        let files = files.into_iter().map(|(path, _)| path).collect();
        *lock(&state.written) = Some(Written { files, rows, bytes });
        Ok(vec![rows])
    }

    fn kind(&self) -> &'static dyn Kind {
        chunk::plain::<Written>()
    }

    fn part(&self, _: &TaskContext<'_>, state: &Files, _: u32, _: &mut Inputs<'_>) -> Result<Chunk> {
        let written = lock(&state.written).take();
        Ok(Chunk::new(written.ok_or_else(|| Error::internal("nothing is told of what was written"))?))
    }
}

/// Takes in the rows of a morsel, and writes all that are next; while another task writes, it is left to that one.
fn deliver(
    queue: &Mutex<KeyQueue>,
    keyed: &Mutex<Option<Keyed>>,
    aside: &Aside,
    morsel: u32,
    rows: Early,
) -> Result<()> {
    aside.hold(rows.bytes());
    lock(queue).waiting.insert(morsel, rows);
    loop {
        let Ok(mut keyed) = keyed.try_lock() else { return Ok(()) };
        loop {
            let rows = {
                let mut queue = lock(queue);
                let next = queue.next;
                let Some(rows) = queue.waiting.remove(&next) else { break };
                queue.next += 1;
                rows
            };
            aside.release(rows.bytes());
            let keyed = keyed.as_mut().ok_or_else(|| Error::internal("rows come after the end"))?;
            for batch in rows.rows {
                keyed.add(&batch)?;
            }
            for segment in rows.aside {
                keyed.add(&aside.get(segment)?)?;
            }
        }
        drop(keyed);
        let queue = lock(queue);
        if !queue.waiting.contains_key(&queue.next) {
            return Ok(());
        }
    }
}

impl Early {
    /// Memory it takes.
    fn bytes(&self) -> u64 {
        self.rows.iter().map(|batch| batch.get_array_memory_size() as u64).sum()
    }
}

/// The first number that no file of a data set has.
fn next_part(directory: &Path, names: &FileNames) -> Result<u32> {
    let mut next = 0;
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        let failed = |error| Error::io(&directory, "cannot list", error);
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_dir() {
                open.push(entry.path());
                continue;
            }
            let number = names.number(&entry.file_name().to_string_lossy());
            next = next.max(number.map_or(0, |number| number.saturating_add(1)));
        }
    }
    Ok(next)
}

impl WriteOp {
    /// How files are encoded, and which columns stand in the names of directories.
    pub(in crate::dataframe) fn encoder(&self, schema: &SchemaRef) -> Result<(Encoder, Vec<usize>)> {
        let Layout::Keys(names) = &self.layout else { return Ok((Encoder::new(&self.format, schema)?, Vec::new())) };
        let place = |name: &String| schema.index_of(name).map_err(|_| crate::expr::unknown_column(name, schema));
        let keys = names.iter().map(place).collect::<Result<Vec<usize>>>()?;
        if keys.is_empty() || keys.len() == schema.fields().len() {
            let text = "partition_by takes some of the columns, and leaves at least one for the files";
            return Err(Error::new(ErrorKind::Plan, text));
        }
        let others: Vec<usize> = (0..schema.fields().len()).filter(|column| !keys.contains(column)).collect();
        let left = super::super::plan::project(schema, &others);
        Ok((Encoder::new(&self.format, &left)?, keys))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
