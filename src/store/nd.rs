//! The chunk of an array: numbers of one of the types that arrays hold, by rows, with their shape.
//!
//! The type of the numbers is a value here and no parameter, so that what is built on blocks is compiled once and not for each
//! program that uses it.

use std::fmt;

use num_complex::Complex;

use crate::error::{Error, Result};
use crate::store::codec::Codec;
use crate::store::codec::block::{NdCodec, NdListsCodec};
use crate::store::{Block, Chunk, Element, Kind};

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DType {
    /// True or false; a byte each.
    Bool,
    /// Integers of 8 bits.
    I8,
    /// Integers of 16 bits.
    I16,
    /// Integers of 32 bits.
    I32,
    /// Integers of 64 bits.
    I64,
    /// Integers of 8 bits without sign.
    U8,
    /// Integers of 16 bits without sign.
    U16,
    /// Integers of 32 bits without sign.
    U32,
    /// Integers of 64 bits without sign.
    U64,
    /// Floats of 32 bits.
    F32,
    /// Floats of 64 bits.
    F64,
    /// Complex numbers of two floats of 32 bits.
    C32,
    /// Complex numbers of two floats of 64 bits.
    C64,
}

/// Numbers of one type.
#[derive(Clone, Debug)]
pub enum Data {
    /// As bytes that are 0 or 1.
    Bool(Block<u8>),
    I8(Block<i8>),
    I16(Block<i16>),
    I32(Block<i32>),
    I64(Block<i64>),
    U8(Block<u8>),
    U16(Block<u16>),
    U32(Block<u32>),
    U64(Block<u64>),
    F32(Block<f32>),
    F64(Block<f64>),
    C32(Block<Complex<f32>>),
    C64(Block<Complex<f64>>),
}

/// Does the same with the numbers of any type: `with_data!(data, block => expression)`.
macro_rules! with_data {
    ($data:expr, $block:ident => $with:expr) => {
        match $data {
            $crate::store::Data::Bool($block) => $with,
            $crate::store::Data::I8($block) => $with,
            $crate::store::Data::I16($block) => $with,
            $crate::store::Data::I32($block) => $with,
            $crate::store::Data::I64($block) => $with,
            $crate::store::Data::U8($block) => $with,
            $crate::store::Data::U16($block) => $with,
            $crate::store::Data::U32($block) => $with,
            $crate::store::Data::U64($block) => $with,
            $crate::store::Data::F32($block) => $with,
            $crate::store::Data::F64($block) => $with,
            $crate::store::Data::C32($block) => $with,
            $crate::store::Data::C64($block) => $with,
        }
    };
}
pub(crate) use with_data;

/// Runs what is generic over the type of the numbers, with truths as bytes: `with_stored!(dtype, T => expression)`.
macro_rules! with_stored {
    ($dtype:expr, $T:ident => $with:expr) => {
        match $dtype {
            $crate::store::DType::Bool | $crate::store::DType::U8 => {
                type $T = u8;
                $with
            }
            $crate::store::DType::I8 => {
                type $T = i8;
                $with
            }
            $crate::store::DType::I16 => {
                type $T = i16;
                $with
            }
            $crate::store::DType::I32 => {
                type $T = i32;
                $with
            }
            $crate::store::DType::I64 => {
                type $T = i64;
                $with
            }
            $crate::store::DType::U16 => {
                type $T = u16;
                $with
            }
            $crate::store::DType::U32 => {
                type $T = u32;
                $with
            }
            $crate::store::DType::U64 => {
                type $T = u64;
                $with
            }
            $crate::store::DType::F32 => {
                type $T = f32;
                $with
            }
            $crate::store::DType::F64 => {
                type $T = f64;
                $with
            }
            $crate::store::DType::C32 => {
                type $T = ::num_complex::Complex<f32>;
                $with
            }
            $crate::store::DType::C64 => {
                type $T = ::num_complex::Complex<f64>;
                $with
            }
        }
    };
}
pub(crate) use with_stored;

/// A block of an array.
#[derive(Clone, Debug)]
pub(crate) struct NdBlock {
    shape: Box<[usize]>,
    data: Data,
}

/// Numbers as they lie in blocks.
pub trait Stored: Element + Default {
    /// The type that they are where nothing else is said.
    const DTYPE: DType;

    /// As numbers of any type.
    fn wrap(block: Block<Self>) -> Data;

    /// The numbers, if they are of this type.
    fn of(data: &Data) -> Option<&Block<Self>>;

    fn of_mut(data: &mut Data) -> Option<&mut Block<Self>>;
}

macro_rules! stored {
    ($($variant:ident $type:ty $(, $also:ident)?;)+) => {$(
        impl Stored for $type {
            const DTYPE: DType = DType::$variant;

            fn wrap(block: Block<$type>) -> Data {
                Data::$variant(block)
            }

            fn of(data: &Data) -> Option<&Block<$type>> {
                match data {
                    Data::$variant(block) => Some(block),
                    $(Data::$also(block) => Some(block),)?
                    _ => None,
                }
            }

            fn of_mut(data: &mut Data) -> Option<&mut Block<$type>> {
                match data {
                    Data::$variant(block) => Some(block),
                    $(Data::$also(block) => Some(block),)?
                    _ => None,
                }
            }
        }
    )+};
}

stored! {
    I8 i8; I16 i16; I32 i32; I64 i64;
    U8 u8, Bool; U16 u16; U32 u32; U64 u64;
    F32 f32; F64 f64; C32 Complex<f32>; C64 Complex<f64>;
}

impl DType {
    /// All of them.
    pub const ALL: [DType; 13] = [
        DType::Bool,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::F32,
        DType::F64,
        DType::C32,
        DType::C64,
    ];

    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            DType::Bool | DType::I8 | DType::U8 => 1,
            DType::I16 | DType::U16 => 2,
            DType::I32 | DType::U32 | DType::F32 => 4,
            DType::I64 | DType::U64 | DType::F64 | DType::C32 => 8,
            DType::C64 => 16,
        }
    }

    /// Whether it is an integer that may be negative.
    pub fn is_signed_integer(self) -> bool {
        matches!(self, DType::I8 | DType::I16 | DType::I32 | DType::I64)
    }

    /// The name that Rust gives it.
    pub fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::I8 => "i8",
            DType::I16 => "i16",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::U8 => "u8",
            DType::U16 => "u16",
            DType::U32 => "u32",
            DType::U64 => "u64",
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::C32 => "Complex<f32>",
            DType::C64 => "Complex<f64>",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Data {
    pub fn dtype(&self) -> DType {
        match self {
            Data::Bool(_) => DType::Bool,
            Data::I8(_) => DType::I8,
            Data::I16(_) => DType::I16,
            Data::I32(_) => DType::I32,
            Data::I64(_) => DType::I64,
            Data::U8(_) => DType::U8,
            Data::U16(_) => DType::U16,
            Data::U32(_) => DType::U32,
            Data::U64(_) => DType::U64,
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::C32(_) => DType::C32,
            Data::C64(_) => DType::C64,
        }
    }

    pub fn len(&self) -> usize {
        with_data!(self, block => block.len())
    }

    pub fn bytes(&self) -> u64 {
        with_data!(self, block => block.bytes())
    }

    /// The bytes of all numbers.
    pub fn as_bytes(&self) -> &[u8] {
        with_data!(self, block => bytemuck::cast_slice(block))
    }

    /// Bytes as truths.
    pub fn into_bools(self) -> Data {
        match self {
            Data::U8(block) => Data::Bool(block),
            other => other,
        }
    }
}

impl NdBlock {
    /// Numbers of a shape, by rows.
    ///
    /// # Errors
    /// Of kind `Internal`, where there are more or fewer than the shape has.
    pub fn new(shape: impl Into<Box<[usize]>>, data: Data) -> Result<NdBlock> {
        let shape = shape.into();
        let len = shape.iter().try_fold(1usize, |len, side| len.checked_mul(*side));
        if len != Some(data.len()) {
            return Err(Error::internal(format!("{} numbers do not have the shape {shape:?}", data.len())));
        }
        Ok(NdBlock { shape, data })
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn data(&self) -> &Data {
        &self.data
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> u64 {
        (size_of::<NdBlock>() + size_of_val(&*self.shape)) as u64 + self.data.bytes()
    }

    pub fn into_data(self) -> Data {
        self.data
    }

    /// The numbers of a type.
    ///
    /// # Errors
    /// Of kind `Internal`, where they are of another one.
    pub fn get<T: Stored>(&self) -> Result<&Block<T>> {
        T::of(&self.data)
            .ok_or_else(|| Error::internal(format!("a block of {} where {} are to be", self.data.dtype(), T::DTYPE)))
    }

    /// The numbers of a type, to be written; in memory of their own from now on.
    ///
    /// # Errors
    /// Of kind `Internal`, where they are of another one.
    pub fn get_mut<T: Stored>(&mut self) -> Result<&mut [T]> {
        let wrong = Error::internal(format!("a block of {} where {} are to be", self.data.dtype(), T::DTYPE));
        let block = T::of_mut(&mut self.data).ok_or_else(|| wrong.clone())?;
        if block.as_mut_slice().is_none() {
            *block = Block::from_slice(block);
        }
        block.as_mut_slice().ok_or(wrong)
    }

    /// What the engine knows about blocks of arrays.
    pub fn kind() -> &'static dyn Kind {
        &NdKind
    }
}

struct NdKind;

impl Kind for NdKind {
    fn type_name(&self) -> &'static str {
        std::any::type_name::<NdBlock>()
    }

    fn bytes(&self, chunk: &Chunk) -> u64 {
        match chunk.get::<NdBlock>() {
            Ok(block) => block.bytes(),
            Err(error) => panic!("{error}"),
        }
    }

    fn codec(&self) -> Option<&dyn Codec> {
        Some(&NdCodec)
    }
}

/// Lists of blocks: what reductions keep.
pub type NdLists = Vec<Vec<NdBlock>>;

/// What the engine knows about lists of blocks.
pub(crate) fn lists_kind() -> &'static dyn Kind {
    &ListsKind
}

struct ListsKind;

impl Kind for ListsKind {
    fn type_name(&self) -> &'static str {
        std::any::type_name::<NdLists>()
    }

    fn bytes(&self, chunk: &Chunk) -> u64 {
        let lists = match chunk.get::<NdLists>() {
            Ok(lists) => lists,
            Err(error) => panic!("{error}"),
        };
        let blocks = lists.iter().flatten().map(NdBlock::bytes).sum::<u64>();
        (size_of::<NdLists>() + size_of_val(&**lists)) as u64 + blocks
    }

    fn codec(&self) -> Option<&dyn Codec> {
        Some(&NdListsCodec)
    }
}
