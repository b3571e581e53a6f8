//! Record batches: Arrow IPC streams, uncompressed.
//!
//! A value is one stream per run of batches that share a schema. Before each stream stands a head of one alignment unit (so
//! that what follows stays aligned) with the number of batches in it; the number 0 ends the value. Buffers go to the disk
//! from where they are, and what is read back is one allocation that all batches of the value look into.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamEncoder;
use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::store::codec::{Codec, SpillSink, SpillSource};
use crate::store::{Block, Chunk};

const HEAD: usize = 64;
const MAGIC: &[u8; 8] = b"batches1";

/// The format of one [`RecordBatch`].
pub struct BatchCodec;

/// The format of a list of [`RecordBatch`]es, which need not share a schema.
pub struct BatchesCodec;

impl Codec for BatchCodec {
    fn encode(&self, chunk: &Chunk, out: &mut dyn SpillSink) -> Result<()> {
        write(std::slice::from_ref(chunk.get::<RecordBatch>()?), out)
    }

    fn decode(&self, input: &mut SpillSource<'_>) -> Result<Chunk> {
        let mut batches = read(input)?;
        match (batches.pop(), batches.is_empty()) {
            (Some(batch), true) => Ok(Chunk::new(batch)),
            _ => Err(input.corrupt("is not one record batch")),
        }
    }

    fn encoded_bytes(&self, chunk: &Chunk) -> u64 {
        chunk.get::<RecordBatch>().map_or(0, |batch| batch.get_array_memory_size() as u64)
    }
}

impl Codec for BatchesCodec {
    fn encode(&self, chunk: &Chunk, out: &mut dyn SpillSink) -> Result<()> {
        write(chunk.get::<Vec<RecordBatch>>()?, out)
    }

    fn decode(&self, input: &mut SpillSource<'_>) -> Result<Chunk> {
        read(input).map(Chunk::new)
    }

    fn encoded_bytes(&self, chunk: &Chunk) -> u64 {
        let batches = chunk.get::<Vec<RecordBatch>>();
        batches.map_or(0, |batches| batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum())
    }
}

fn write(batches: &[RecordBatch], out: &mut dyn SpillSink) -> Result<()> {
    for run in batches.chunk_by(|a, b| a.schema_ref() == b.schema_ref()) {
        out.write(&head(run.len()))?;
        // Its end marker is left out: the head says where a stream ends, and the next one must begin aligned.
        let mut encoder = StreamEncoder::try_new(run[0].schema_ref()).map_err(cannot_encode)?;
        for batch in run {
            for buffer in encoder.encode(batch).map_err(cannot_encode)? {
                out.write(&buffer)?;
            }
        }
    }
    out.write(&head(0))
}

fn read(input: &mut SpillSource<'_>) -> Result<Vec<RecordBatch>> {
    let len = usize::try_from(input.remaining()).map_err(|_| input.corrupt("does not fit into memory"))?;
    // A slab of the pool: its pages are there already.
    let read = Block::try_build(len, |out| input.read_exact(out))?;
    // Before the lengths inside are believed.
    input.verify()?;
    let mut bytes = Buffer::from(Bytes::from_owner(read));
    let mut batches = Vec::new();
    loop {
        let count = bytes.get(..HEAD).and_then(count_in).ok_or_else(|| input.corrupt("is not a list of batches"))?;
        bytes.advance(HEAD);
        if count == 0 {
            break;
        }
        let mut decoder = StreamDecoder::new();
        for _ in 0..count {
            let batch = decoder.decode(&mut bytes).map_err(|error| input.corrupt(error))?;
            batches.push(batch.ok_or_else(|| input.corrupt("ends in the middle of a batch"))?);
        }
    }
    if bytes.is_empty() { Ok(batches) } else { Err(input.corrupt("has bytes left over")) }
}

fn head(count: usize) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(MAGIC);
    head[8..16].copy_from_slice(&(count as u64).to_le_bytes());
    head
}

fn count_in(head: &[u8]) -> Option<u64> {
    let (magic, rest) = head.split_first_chunk::<8>()?;
    (magic == MAGIC).then(|| rest.first_chunk().map(|count| u64::from_le_bytes(*count)))?
}

fn cannot_encode(error: ArrowError) -> Error {
    Error::with_source(ErrorKind::Spill, "cannot write a record batch", error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Array, ArrayRef, DictionaryArray, Float64Array, Int32Array, ListArray, RecordBatchOptions, StringArray,
        StringViewArray, StructArray,
    };
    use arrow::datatypes::{DataType, Field, Int8Type, Int32Type, Schema};

    use super::*;
    use crate::store::codec::natural;
    use crate::store::codec::tests::{conforms, decode, encode};

    fn batch(rows: usize) -> RecordBatch {
        let number = Float64Array::from_iter((0..rows).map(|i| match i % 5 {
            0 => None,
            1 => Some(f64::from_bits(0x7ff8_0000_0000_1234)),
            _ => Some(i as f64),
        }));
        let texts: Vec<String> = (0..rows).map(|i| format!("a text that is long enough, number {i}")).collect();
        let words: DictionaryArray<Int8Type> = (0..rows).map(|i| ["red", "green", "blue"][i % 3]).collect();
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
            (0..rows).map(|i| (i % 4 > 0).then(|| (0..i as i32 % 4).map(Some).collect::<Vec<_>>())),
        );
        let inner = Int32Array::from_iter_values(0..rows as i32);
        let parts =
            StructArray::from(vec![(Arc::new(Field::new("x", DataType::Int32, false)), Arc::new(inner) as ArrayRef)]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("number", Arc::new(number)),
            ("text", Arc::new(StringArray::from(texts.clone()))),
            ("view", Arc::new(StringViewArray::from_iter_values(texts))),
            ("word", Arc::new(words)),
            ("list", Arc::new(lists)),
            ("parts", Arc::new(parts)),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn same(a: &RecordBatch, b: &RecordBatch) -> bool {
        // Not `==` for the numbers alone: a NaN differs from itself.
        let bits = |batch: &RecordBatch| -> Vec<Option<u64>> {
            let column = batch.column_by_name("number").unwrap();
            let numbers = column.as_any().downcast_ref::<Float64Array>().unwrap();
            numbers.iter().map(|x| x.map(f64::to_bits)).collect()
        };
        let rest: Vec<usize> = (1..a.num_columns()).collect();
        a.schema() == b.schema() && bits(a) == bits(b) && a.project(&rest).unwrap() == b.project(&rest).unwrap()
    }

    #[test]
    fn batches_conform() {
        let one = natural::<RecordBatch>().unwrap();
        for rows in [0, 1, 10, 20_000] {
            conforms(one, batch(rows), same);
        }
        conforms(one, batch(1000).slice(313, 400), same);
        let list = natural::<Vec<RecordBatch>>().unwrap();
        let all =
            |a: &Vec<RecordBatch>, b: &Vec<RecordBatch>| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
        conforms(list, vec![], all);
        conforms(list, vec![batch(0)], all);
        conforms(list, vec![batch(100), batch(1), batch(0), batch(5000).slice(10, 20)], all);
        // Schemas that differ, also only in what is written beside the columns.
        let plain = batch(10);
        let fewer = plain.project(&[0, 3]).unwrap();
        let schema = Schema::clone(&plain.schema())
            .with_metadata(std::collections::HashMap::from([("made".to_string(), "here".to_string())]));
        let tagged = RecordBatch::try_new(Arc::new(schema), plain.columns().to_vec()).unwrap();
        conforms(list, vec![plain.clone(), fewer.clone(), fewer, tagged, plain], all);
    }

    #[test]
    fn rows_without_columns_are_kept() {
        let options = RecordBatchOptions::new().with_row_count(Some(7));
        let empty = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        conforms(natural::<RecordBatch>().unwrap(), empty, |a, b| a.num_rows() == b.num_rows() && a == b);
    }

    #[test]
    fn a_slice_writes_its_rows_only_and_a_shared_dictionary_once() {
        let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(0..100_000));
        let whole = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let bytes = encode(&BatchCodec, &Chunk::new(whole.slice(500, 10))).0;
        assert!(bytes.len() < 1000, "{}", bytes.len());

        let values = Arc::new(StringArray::from_iter_values((0..10_000).map(|i| format!("value number {i}"))));
        let coded = |from: i32| {
            let keys = Int32Array::from_iter_values(from..from + 10);
            let column: ArrayRef = Arc::new(DictionaryArray::new(keys, values.clone()));
            RecordBatch::try_from_iter([("w", column)]).unwrap()
        };
        let batches: Vec<RecordBatch> = (0..20).map(coded).collect();
        let (bytes, sum) = encode(&BatchesCodec, &Chunk::new(batches.clone()));
        assert!(bytes.len() < 400_000, "{}", bytes.len());
        let back = decode(&BatchesCodec, &bytes, sum).unwrap();
        assert_eq!(back.get::<Vec<RecordBatch>>().unwrap(), &batches);
        let kind = crate::store::chunk::plain::<Vec<RecordBatch>>();
        assert!(kind.bytes(&back) < 2 * bytes.len() as u64, "the buffers are shared");
    }
}
