//! Numbers: raw little-endian elements behind a short header. Blocks, lists of blocks, vectors and ndarray arrays.

use std::any::Any;
use std::marker::PhantomData;

use ndarray::{Array, ArrayD, Axis, Dimension, IxDyn};

use crate::error::{Error, Result};
use crate::store::codec::{Codec, SpillSink, SpillSource};
use crate::store::{Block, Chunk, DType, Data, Element, NdBlock, NdLists, with_data};

/// The header of every format of this file: a number for the element type, a number of elements, blocks or axes.
const HEADER: usize = 16;

/// The format of [`Block`]: it is read back straight into a slab of the current pool.
pub struct BlockCodec<T>(PhantomData<T>);

/// The format of a list of [`Block`]s, each behind a header of its own.
pub struct BlocksCodec<T>(PhantomData<T>);

/// The format of a `Vec` of numbers.
pub struct VecCodec<T>(PhantomData<T>);

/// The format of an owned ndarray array.
///
/// Memory order is kept, whatever the order of the axes and their directions, so that an operation that visits the
/// elements in memory order gives the same bits before and after; gaps between rows are not kept.
pub struct ArrayCodec<T, D>(PhantomData<fn() -> (T, D)>);

macro_rules! new {
    ($($codec:ident<$($arg:ident),+>)+) => {$(
        impl<$($arg),+> $codec<$($arg),+> {
            /// The codec, which has no state.
            pub const fn new() -> Self {
                $codec(PhantomData)
            }
        }

        impl<$($arg),+> Default for $codec<$($arg),+> {
            fn default() -> Self {
                Self::new()
            }
        }
    )+};
}

new! { BlockCodec<T> BlocksCodec<T> VecCodec<T> ArrayCodec<T, D> }

impl<T: Element> Codec for BlockCodec<T> {
    fn encode(&self, chunk: &Chunk, out: &mut dyn SpillSink) -> Result<()> {
        write_block(chunk.get::<Block<T>>()?, out)
    }

    fn decode(&self, input: &mut SpillSource<'_>) -> Result<Chunk> {
        read_block::<T>(input).map(Chunk::new)
    }

    fn encoded_bytes(&self, chunk: &Chunk) -> u64 {
        chunk.get::<Block<T>>().map_or(0, |block| block.bytes() + HEADER as u64)
    }
}

impl<T: Element> Codec for BlocksCodec<T> {
    fn encode(&self, chunk: &Chunk, out: &mut dyn SpillSink) -> Result<()> {
        let blocks = chunk.get::<Vec<Block<T>>>()?;
        write_header::<T>(blocks.len(), out)?;
        blocks.iter().try_for_each(|block| write_block(block, out))
    }

    fn decode(&self, input: &mut SpillSource<'_>) -> Result<Chunk> {
        let count = read_header::<T>(input, HEADER as u64)?;
        let blocks: Result<Vec<_>> = (0..count).map(|_| read_block::<T>(input)).collect();
        blocks.map(Chunk::new)
    }

    fn encoded_bytes(&self, chunk: &Chunk) -> u64 {
        let block_bytes = |block: &Block<T>| block.bytes() + HEADER as u64;
        chunk.get::<Vec<Block<T>>>().map_or(0, |blocks| blocks.iter().map(block_bytes).sum::<u64>() + HEADER as u64)
    }
}

impl<T: Element> Codec for VecCodec<T> {
    fn encode(&self, chunk: &Chunk, out: &mut dyn SpillSink) -> Result<()> {
        let vec = chunk.get::<Vec<T>>()?;
        write_header::<T>(vec.len(), out)?;
        write_elements(vec, out)
    }

    fn decode(&self, input: &mut SpillSource<'_>) -> Result<Chunk> {
        let len = read_header::<T>(input, size_of::<T>() as u64)?;
        read_vec::<T>(len, input).map(Chunk::new)
    }

    fn encoded_bytes(&self, chunk: &Chunk) -> u64 {
        chunk.get::<Vec<T>>().map_or(0, |vec| (size_of_val(&vec[..]) + HEADER) as u64)
    }
}

impl<T: Element, D: Dimension + Any> Codec for ArrayCodec<T, D> {
    fn encode(&self, chunk: &Chunk, out: &mut dyn SpillSink) -> Result<()> {
        let array = chunk.get::<Array<T, D>>()?;
        let rank = array.ndim();
        write_header::<T>(rank, out)?;
        // The axes from the one with the longest steps to the one with the shortest: the order of the memory.
        let strides = array.strides();
        let mut axes: Vec<usize> = (0..rank).collect();
        if !array.is_empty() {
            // Without elements there is no order, and the strides mean nothing.
            axes.sort_by_key(|&axis| std::cmp::Reverse(strides[axis].unsigned_abs()));
        }
        let mut view = array.view().into_dyn().permuted_axes(IxDyn(&axes));
        for (place, &axis) in axes.iter().enumerate() {
            let backwards = strides[axis] < 0 && !array.is_empty();
            if backwards {
                view.invert_axis(Axis(place));
            }
            for number in [axis as u64, u64::from(backwards), view.len_of(Axis(place)) as u64] {
                out.write(&number.to_le_bytes())?;
            }
        }
        match view.as_slice() {
            Some(elements) => write_elements(elements, out),
            None => {
                let mut piece = Vec::with_capacity(8192);
                for &element in &view {
                    piece.push(element);
                    if piece.len() == piece.capacity() {
                        write_elements(&piece, out)?;
                        piece.clear();
                    }
                }
                write_elements(&piece, out)
            }
        }
    }

    fn decode(&self, input: &mut SpillSource<'_>) -> Result<Chunk> {
        let rank = read_header::<T>(input, 24)?;
        let (mut axes, mut backwards, mut shape) = (vec![0; rank], vec![false; rank], vec![0; rank]);
        for place in 0..rank {
            let axis = read_number(input)?;
            axes[place] = usize::try_from(axis).ok().filter(|&axis| axis < rank).ok_or_else(|| wrong(input))?;
            backwards[place] = read_number(input)? != 0;
            shape[place] = usize::try_from(read_number(input)?).map_err(|_| wrong(input))?;
        }
        let mut places = vec![rank; rank];
        for (place, &axis) in axes.iter().enumerate() {
            places[axis] = place;
        }
        // Not a permutation, or not the number of elements that are there.
        let len = shape.iter().try_fold(1usize, |len, &side| len.checked_mul(side));
        let len = len.filter(|_| !places.contains(&rank)).ok_or_else(|| wrong(input))?;
        if len as u64 != input.remaining() / size_of::<T>() as u64 {
            return Err(wrong(input));
        }
        let elements = read_vec::<T>(len, input)?;
        let mut array = ArrayD::from_shape_vec(IxDyn(&shape), elements).map_err(|_| wrong(input))?;
        for (place, _) in backwards.iter().enumerate().filter(|(_, backwards)| **backwards) {
            array.invert_axis(Axis(place));
        }
        let array = array.permuted_axes(IxDyn(&places)).into_dimensionality::<D>().map_err(|_| wrong(input))?;
        Ok(Chunk::new(array))
    }

    fn encoded_bytes(&self, chunk: &Chunk) -> u64 {
        chunk.get::<Array<T, D>>().map_or(0, |array| (array.len() * size_of::<T>() + HEADER + 24 * array.ndim()) as u64)
    }
}

/// The format of a block of an array: its type, its shape, its elements.
pub(crate) struct NdCodec;

impl Codec for NdCodec {
    fn encode(&self, chunk: &Chunk, out: &mut dyn SpillSink) -> Result<()> {
        write_nd(chunk.get::<NdBlock>()?, out)
    }

    fn decode(&self, input: &mut SpillSource<'_>) -> Result<Chunk> {
        read_nd(input).map(Chunk::new)
    }

    fn encoded_bytes(&self, chunk: &Chunk) -> u64 {
        chunk.get::<NdBlock>().map_or(0, nd_bytes)
    }
}

/// The format of lists of blocks: how many lists, and of each how many blocks and these.
pub(crate) struct NdListsCodec;

impl Codec for NdListsCodec {
    fn encode(&self, chunk: &Chunk, out: &mut dyn SpillSink) -> Result<()> {
        let lists = chunk.get::<NdLists>()?;
        out.write(&(lists.len() as u64).to_le_bytes())?;
        for list in lists {
            out.write(&(list.len() as u64).to_le_bytes())?;
            list.iter().try_for_each(|block| write_nd(block, out))?;
        }
        Ok(())
    }

    fn decode(&self, input: &mut SpillSource<'_>) -> Result<Chunk> {
        let count = |input: &mut SpillSource<'_>| match read_number(input)? {
            count if count <= input.remaining() / 8 => Ok(count),
            _ => Err(wrong(input)),
        };
        let lists = (0..count(input)?).map(|_| {
            let blocks = count(input)?;
            (0..blocks).map(|_| read_nd(input)).collect::<Result<Vec<_>>>()
        });
        let lists: NdLists = lists.collect::<Result<_>>()?;
        Ok(Chunk::new(lists))
    }

    fn encoded_bytes(&self, chunk: &Chunk) -> u64 {
        let lists = chunk.get::<NdLists>().map_or(&[][..], |lists| lists);
        8 + lists.iter().map(|list| 8 + list.iter().map(nd_bytes).sum::<u64>()).sum::<u64>()
    }
}

fn nd_bytes(block: &NdBlock) -> u64 {
    block.data().bytes() + (16 + 8 * block.shape().len() + HEADER) as u64
}

fn write_nd(block: &NdBlock, out: &mut dyn SpillSink) -> Result<()> {
    let of = DType::ALL.iter().position(|dtype| *dtype == block.data().dtype()).unwrap_or(0);
    for number in [of, block.shape().len()].iter().chain(block.shape()) {
        out.write(&(*number as u64).to_le_bytes())?;
    }
    with_data!(block.data(), block => write_block(block, out))
}

fn read_nd(input: &mut SpillSource<'_>) -> Result<NdBlock> {
    let (of, rank) = (read_number(input)?, read_number(input)?);
    if rank > input.remaining() / 8 {
        return Err(wrong(input));
    }
    let side = |input: &mut SpillSource<'_>| usize::try_from(read_number(input)?).map_err(|_| wrong(input));
    let shape: Vec<usize> = (0..rank).map(|_| side(input)).collect::<Result<_>>()?;
    let data = match usize::try_from(of).ok().and_then(|of| DType::ALL.get(of)) {
        Some(DType::Bool) => Data::Bool(read_block(input)?),
        Some(DType::I8) => Data::I8(read_block(input)?),
        Some(DType::I16) => Data::I16(read_block(input)?),
        Some(DType::I32) => Data::I32(read_block(input)?),
        Some(DType::I64) => Data::I64(read_block(input)?),
        Some(DType::U8) => Data::U8(read_block(input)?),
        Some(DType::U16) => Data::U16(read_block(input)?),
        Some(DType::U32) => Data::U32(read_block(input)?),
        Some(DType::U64) => Data::U64(read_block(input)?),
        Some(DType::F32) => Data::F32(read_block(input)?),
        Some(DType::F64) => Data::F64(read_block(input)?),
        Some(DType::C32) => Data::C32(read_block(input)?),
        Some(DType::C64) => Data::C64(read_block(input)?),
        None => return Err(wrong(input)),
    };
    NdBlock::new(shape, data).map_err(|_| wrong(input))
}

fn write_header<T: Element>(count: usize, out: &mut dyn SpillSink) -> Result<()> {
    out.write(&u64::from(T::ID).to_le_bytes())?;
    out.write(&(count as u64).to_le_bytes())
}

/// The count in a header, which is believed only if that many things of `least` bytes each can follow.
fn read_header<T: Element>(input: &mut SpillSource<'_>, least: u64) -> Result<usize> {
    let (id, count) = (read_number(input)?, read_number(input)?);
    let fits = count.checked_mul(least).is_some_and(|bytes| bytes <= input.remaining());
    match usize::try_from(count) {
        Ok(count) if fits && id == u64::from(T::ID) => Ok(count),
        _ => Err(wrong(input)),
    }
}

fn read_number(input: &mut SpillSource<'_>) -> Result<u64> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn wrong(input: &SpillSource<'_>) -> Error {
    input.corrupt("is not an array of the expected type")
}

fn write_block<T: Element>(block: &Block<T>, out: &mut dyn SpillSink) -> Result<()> {
    write_header::<T>(block.len(), out)?;
    write_elements(block, out)
}

fn read_block<T: Element>(input: &mut SpillSource<'_>) -> Result<Block<T>> {
    let len = read_header::<T>(input, size_of::<T>() as u64)?;
    Block::try_build(len, |out| read_elements(out, input))
}

fn read_vec<T: Element>(len: usize, input: &mut SpillSource<'_>) -> Result<Vec<T>> {
    let mut vec = vec![T::zeroed(); len];
    read_elements(&mut vec, input)?;
    Ok(vec)
}

fn write_elements<T: Element>(elements: &[T], out: &mut dyn SpillSink) -> Result<()> {
    if cfg!(target_endian = "little") {
        return out.write(bytemuck::cast_slice(elements));
    }
    for piece in elements.chunks(8192) {
        let piece: Vec<T> = piece.iter().map(|element| element.swap_bytes()).collect();
        out.write(bytemuck::cast_slice(&piece))?;
    }
    Ok(())
}

fn read_elements<T: Element>(out: &mut [T], input: &mut SpillSource<'_>) -> Result<()> {
    input.read_exact(bytemuck::cast_slice_mut(out))?;
    if cfg!(target_endian = "big") {
        for element in out {
            *element = element.swap_bytes();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::{Ix0, Ix1, Ix2, Ix3, arr0, s};
    use num_complex::Complex;
    use proptest::prelude::*;

    use super::*;
    use crate::store::codec::natural;
    use crate::store::codec::tests::conforms;

    fn bits(a: &[f64], b: &[f64]) -> bool {
        a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits()))
    }

    /// Values whose bits are easily lost: signed zeros, infinities, NaNs with payloads.
    fn odd(len: usize) -> Vec<f64> {
        let odd = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::from_bits(0xfff8_0000_dead_beef)];
        odd.into_iter().chain((0..).map(|i| i as f64 * 0.1)).take(len).collect()
    }

    #[test]
    fn blocks_and_vectors_conform() {
        for len in [0, 1, 6, 8192, 300_000] {
            conforms(natural::<Block<f64>>().unwrap(), Block::from_vec(odd(len)), |a, b| bits(a, b));
            conforms(natural::<Vec<f64>>().unwrap(), odd(len), |a, b| bits(a, b));
        }
        conforms(natural::<Block<f64>>().unwrap(), Block::from_vec(odd(50_000)).slice(17..40_000), |a, b| bits(a, b));
        conforms(natural::<Block<u8>>().unwrap(), Block::from_vec(vec![7u8; 70_001]), |a, b| a == b);
        conforms(natural::<Vec<i128>>().unwrap(), vec![i128::MIN, -1, i128::MAX], |a, b| a == b);
        let nd = NdBlock::new([2, 3], Data::C64(Block::from_vec(vec![Complex::new(1.0, -0.0); 6]))).unwrap();
        conforms(&NdCodec, nd, |a, b| a.shape() == b.shape() && a.get::<Complex<f64>>().ok() == b.get().ok());
        let bools = NdBlock::new([0, 7], Data::Bool(Block::from_vec(Vec::new()))).unwrap();
        conforms(&NdCodec, bools, |a, b| a.shape() == b.shape() && b.data().dtype() == DType::Bool);
        let whole = Block::from_vec((0..100_000u32).collect());
        let pieces = vec![whole.slice(0..0), whole.slice(5..99_000), whole.slice(1..4)];
        conforms(natural::<Vec<Block<u32>>>().unwrap(), pieces, |a, b| a == b);
        conforms(natural::<Vec<Block<u32>>>().unwrap(), Vec::<Block<u32>>::new(), |a, b| a == b);
    }

    #[test]
    fn a_block_is_read_into_the_current_pool() {
        let pool = crate::store::Pool::new(1 << 30);
        let _guard = pool.enter();
        let block = Block::from_vec(odd(100_000));
        let before = pool.in_use();
        let (bytes, sum) = crate::store::codec::tests::encode(&BlockCodec::<f64>::new(), &Chunk::new(block));
        let back = crate::store::codec::tests::decode(&BlockCodec::<f64>::new(), &bytes, sum).unwrap();
        assert!(pool.in_use() >= before + 800_000);
        drop(back);
        assert_eq!(pool.in_use(), before);
    }

    fn same<D: Dimension>(a: &Array<f64, D>, b: &Array<f64, D>) -> bool {
        // In logical order and, to see that the layout is kept, in memory order.
        a.shape() == b.shape()
            && a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits()))
            && a.as_slice_memory_order().is_none_or(|a| b.as_slice_memory_order().is_some_and(|b| bits(a, b)))
    }

    #[test]
    fn arrays_conform_in_any_layout() {
        let cube = || Array::from_shape_vec((10, 20, 30), odd(6000)).unwrap();
        let codec = natural::<Array<f64, Ix3>>().unwrap();
        conforms(codec, cube(), same);
        conforms(codec, cube().reversed_axes(), same);
        conforms(codec, cube().permuted_axes([2, 0, 1]), same);
        conforms(codec, cube().slice_move(s![1..9, ..;-1, 3..;2]), same);
        conforms(codec, cube().permuted_axes([1, 2, 0]).slice_move(s![..;-1, ..;-3, 2..3]), same);
        conforms(codec, cube().slice_move(s![.., 4..4, ..]), same);
        conforms(natural::<Array<f64, Ix0>>().unwrap(), arr0(-0.0), same);
        conforms(natural::<Array<f64, Ix1>>().unwrap(), Array::from_vec(odd(9)), same);
        conforms(natural::<Array<f64, Ix2>>().unwrap(), Array::from_elem((300, 400), f64::NAN), same);
        conforms(natural::<ArrayD<f64>>().unwrap(), cube().into_dyn(), same);
        conforms(natural::<ArrayD<f64>>().unwrap(), Array::zeros(IxDyn(&[2, 1, 2, 1, 2, 1, 2, 1])), same);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_view_of_a_block_conforms(len in 0usize..40_000, from in 0usize..40_000, to in 0usize..40_000) {
            let block = Block::from_vec((0..len as i64).collect());
            let (from, to) = (from.min(len), to.min(len));
            conforms(natural::<Block<i64>>().unwrap(), block.slice(from.min(to)..from.max(to)), |a, b| a == b);
        }
    }
}
