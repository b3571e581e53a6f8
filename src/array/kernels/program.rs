//! Element-wise work as a short list of steps over tiles.
//!
//! A tile is some rows of a few columns of a box: few enough elements that all tiles of a program stay in the first or second level cache.
//! No temporary of the size of a block is ever made. What is loaded comes from memory that is there (a block, an array of the user) or is
//! computed from the place (constants, ranges, random numbers); both are found by a place in rows and a step for each axis, so that
//! slices, transposed and broadcast arrays cost no pass of their own.

use bytemuck::{cast_slice, cast_slice_mut};
use num_complex::Complex;

use super::function::{Binary, Unary};
use super::number::{FromNumber, Number};
use super::steps::{self, Lane};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{DType, Data};

/// Elements of a tile at most.
pub(crate) const TILE: usize = 1024;

/// Of one that is read where it lies, and of which nothing is computed: reading is fastest in long runs.
const READ_TILE: usize = 8 * TILE;

/// Rows and columns of a tile over a leaf whose neighbours lie along its rows: runs of both kinds are as long as can be while a few such tiles
/// stay in the cache.
const SIDE: usize = 64;

/// Bytes of a register, whether tiles are squares or not: the largest elements have 16.
pub(crate) fn register_bytes(is_square: bool) -> usize {
    16 * if is_square { SIDE * SIDE } else { TILE }
}

/// Where a value stands.
pub(crate) type Register = u16;

/// A step of a program. Registers are written once before they are read, and may be written anew by later steps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// From a leaf.
    Load {
        leaf: u16,
        to: Register,
    },
    /// The same number everywhere.
    Constant {
        value: Number,
        of: DType,
        to: Register,
    },
    /// `of` is the type that is read.
    Unary {
        f: Unary,
        of: DType,
        a: Register,
        to: Register,
    },
    Binary {
        f: Binary,
        of: DType,
        a: Register,
        b: Register,
        to: Register,
    },
    /// Where the mask is true from `a`, else from `b`.
    Select {
        of: DType,
        mask: Register,
        a: Register,
        b: Register,
        to: Register,
    },
    Cast {
        from: DType,
        into: DType,
        a: Register,
        to: Register,
    },
}

/// A list of steps.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Program {
    pub steps: Vec<Step>,
    /// Types of what leaves give.
    pub leaves: Vec<DType>,
    /// How many registers there are.
    pub registers: u16,
    /// What comes out: register and type.
    pub outputs: Vec<(Register, DType)>,
}

/// What a leaf is, for one box.
#[derive(Clone, Copy)]
pub(crate) enum Bound<'a> {
    /// Numbers in memory.
    Memory(&'a Data),
    /// What is computed from the place.
    Made(&'a dyn Made),
}

/// Numbers that are computed from their place.
pub(crate) trait Made: Send + Sync {
    /// The numbers at `first`, `first + step`, and so on, as they lie in blocks of the type of the leaf.
    ///
    /// # Errors
    /// Of kind `Internal`, where the type is another one.
    fn fill(&self, first: u64, step: i64, out: MadeSlice<'_>) -> Result<()>;
}

/// Where made numbers go.
pub(crate) enum MadeSlice<'a> {
    U8(&'a mut [u8]),
    I8(&'a mut [i8]),
    I16(&'a mut [i16]),
    I32(&'a mut [i32]),
    I64(&'a mut [i64]),
    U16(&'a mut [u16]),
    U32(&'a mut [u32]),
    U64(&'a mut [u64]),
    F32(&'a mut [f32]),
    F64(&'a mut [f64]),
    C32(&'a mut [Complex<f32>]),
    C64(&'a mut [Complex<f64>]),
}

/// Where the elements of a box are in a leaf.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Walk {
    /// The place of the first element.
    pub first: i64,
    /// The step along each axis of the box.
    pub steps: Vec<i64>,
}

/// Where a tile stands: in a box with two axes, the last of them along rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tile {
    pub rows: usize,
    pub columns: usize,
}

/// The values of a program while it runs.
pub(crate) struct Machine<'p, 'a> {
    program: &'p Program,
    leaves: Vec<Bound<'a>>,
    registers: Vec<Vec<u64>>,
    /// Elements of a tile at most, of those that are no memory of a leaf.
    most: usize,
    /// Registers that stand for memory of a leaf, at this tile.
    direct: Vec<Option<(u16, usize)>>,
}

pub(crate) use crate::store::with_stored as with_lane;

impl<'p, 'a> Machine<'p, 'a> {
    /// A machine for tiles of so many elements at most.
    pub fn new(program: &'p Program, leaves: Vec<Bound<'a>>, most: usize) -> Machine<'p, 'a> {
        let count = usize::from(program.registers);
        let (registers, direct) = (vec![Vec::new(); count], vec![None; count]);
        let mut machine = Machine { program, leaves, registers, most: most.max(TILE), direct };
        // Constants stay where they are: nothing else is put into their registers.
        for step in &program.steps {
            if let Step::Constant { value, of, to } = step {
                let register = machine.take(*to);
                let mut register = register;
                with_lane!(*of, T => cast_slice_mut::<u64, T>(&mut register)[..machine.most].fill(T::from_number(*value)));
                machine.registers[usize::from(*to)] = register;
            }
        }
        machine
    }

    /// The memory of a register, to be written.
    fn take(&mut self, at: Register) -> Vec<u64> {
        self.direct[usize::from(at)] = None;
        let mut memory = std::mem::take(&mut self.registers[usize::from(at)]);
        if memory.is_empty() {
            memory = vec![0; 2 * self.most];
        }
        memory
    }

    /// The first values of a register.
    pub fn get<T: Lane>(&self, at: Register, len: usize) -> Result<&[T]> {
        match self.direct[usize::from(at)] {
            Some((leaf, from)) => match &self.leaves[usize::from(leaf)] {
                Bound::Memory(data) => T::of(data)
                    .and_then(|block| block.get(from..from + len))
                    .ok_or_else(|| Error::internal("a leaf ends before its tile")),
                Bound::Made(_) => Err(Error::internal("a leaf without memory")),
            },
            None => cast_slice::<u64, T>(&self.registers[usize::from(at)])
                .get(..len)
                .ok_or_else(|| Error::internal("a register that was not written")),
        }
    }

    /// The first values of what comes out.
    pub fn output<T: Lane>(&self, len: usize) -> Result<&[T]> {
        let (register, _) = self.program.outputs[0];
        self.get(register, len)
    }

    /// Runs all steps for a tile. `places` says where each leaf is at the tile's first element, `steps` how it goes on along rows and
    /// columns.
    pub fn run(&mut self, tile: Tile, places: &[i64], steps: &[(i64, i64)]) -> Result<()> {
        let program = self.program;
        let len = tile.rows * tile.columns;
        for step in &program.steps {
            match step {
                Step::Constant { .. } => {}
                Step::Load { leaf, to } => {
                    let at = usize::from(*leaf);
                    self.load(*leaf, *to, tile, places[at], steps[at])?;
                }
                Step::Unary { f, of, a, to } => {
                    let mut out = self.take(*to);
                    let done = self.unary(*f, *of, *a, len, &mut out);
                    self.registers[usize::from(*to)] = out;
                    done?;
                }
                Step::Binary { f, of, a, b, to } => {
                    let mut out = self.take(*to);
                    let done = self.binary(*f, *of, (*a, *b), len, &mut out);
                    self.registers[usize::from(*to)] = out;
                    done?;
                }
                Step::Select { of, mask, a, b, to } => {
                    let mut out = self.take(*to);
                    let done = with_lane!(*of, T => self.select::<T>((*mask, *a, *b), len, &mut out));
                    self.registers[usize::from(*to)] = out;
                    done?;
                }
                Step::Cast { from, into, a, to } => {
                    let mut out = self.take(*to);
                    let done = self.cast((*from, *into), *a, len, &mut out);
                    self.registers[usize::from(*to)] = out;
                    done?;
                }
            }
        }
        Ok(())
    }

    fn load(&mut self, leaf: u16, to: Register, tile: Tile, place: i64, (down, along): (i64, i64)) -> Result<()> {
        let Tile { rows, columns } = tile;
        let bound = self.leaves[usize::from(leaf)];
        let dtype = self.program.leaves[usize::from(leaf)];
        if let Bound::Memory(_) = bound
            && (along == 1 || columns == 1)
            && (rows == 1 || down == columns as i64)
        {
            let from = usize::try_from(place).map_err(|_| Error::internal("a place before its leaf"))?;
            self.direct[usize::from(to)] = Some((leaf, from));
            return Ok(());
        }
        let mut out = self.take(to);
        let mut done = Ok(());
        with_lane!(dtype, T => {
            let values = cast_slice_mut::<u64, T>(&mut out);
            if let (Bound::Memory(data), 1, 2..) = (bound, down, rows) {
                return self.turned::<T>(data, (place, along), tile, out, to);
            }
            for row in 0..rows {
                let (first, values) = (place + row as i64 * down, &mut values[row * columns..(row + 1) * columns]);
                done = match bound {
                    Bound::Memory(data) => gather::<T>(data, first, along, values),
                    Bound::Made(made) => made.fill(first.cast_unsigned(), along, T::made(values)),
                };
                if done.is_err() {
                    break;
                }
            }
        });
        self.registers[usize::from(to)] = out;
        done
    }

    /// Loads a leaf whose neighbours lie along the rows of a tile: a few columns at once, each a run.
    fn turned<T: Lane>(
        &mut self,
        data: &Data,
        (place, along): (i64, i64),
        Tile { rows, columns }: Tile,
        mut out: Vec<u64>,
        to: Register,
    ) -> Result<()> {
        const FEW: usize = 8;
        let all: &[T] = T::of(data).ok_or_else(|| Error::internal("a leaf of another type"))?;
        let run = |column: usize| {
            let first = usize::try_from(place + column as i64 * along).ok();
            first
                .and_then(|first| all.get(first..first + rows))
                .ok_or_else(|| Error::internal("a place outside of its leaf"))
        };
        let values = &mut cast_slice_mut::<u64, T>(&mut out)[..rows * columns];
        let mut column = 0;
        while column + FEW <= columns {
            let mut runs = [&all[..0]; FEW];
            for (at, of) in runs.iter_mut().enumerate() {
                *of = run(column + at)?;
            }
            for (row, values) in values.chunks_exact_mut(columns).enumerate() {
                for (value, run) in values[column..column + FEW].iter_mut().zip(&runs) {
                    *value = run[row];
                }
            }
            column += FEW;
        }
        for column in column..columns {
            for (values, value) in values.chunks_exact_mut(columns).zip(run(column)?) {
                values[column] = *value;
            }
        }
        self.registers[usize::from(to)] = out;
        Ok(())
    }

    fn unary(&self, f: Unary, of: DType, a: Register, len: usize, out: &mut [u64]) -> Result<()> {
        let into = f.output(of).ok_or_else(|| undefined(f, of))?;
        let done = match (of, into) {
            (DType::Bool, _) => steps::bool_unary(f, self.get(a, len)?, &mut cast_slice_mut(out)[..len]),
            (_, DType::Bool) => with_lane!(of, T => T::test(f, self.get(a, len)?, &mut cast_slice_mut(out)[..len])),
            (DType::C32, DType::F32) => {
                parts::<f32>(f, self.get::<Complex<f32>>(a, len)?, &mut cast_slice_mut(out)[..len])
            }
            (DType::C64, DType::F64) => {
                parts::<f64>(f, self.get::<Complex<f64>>(a, len)?, &mut cast_slice_mut(out)[..len])
            }
            _ => with_lane!(of, T => T::unary(f, self.get(a, len)?, &mut cast_slice_mut(out)[..len])),
        };
        if done { Ok(()) } else { Err(undefined(f, of)) }
    }

    fn binary(&self, f: Binary, of: DType, (a, b): (Register, Register), len: usize, out: &mut [u64]) -> Result<()> {
        let into = f.output(of).ok_or_else(|| undefined(f, of))?;
        let done = match (of, into) {
            (DType::Bool, _) => {
                steps::bool_binary(f, self.get(a, len)?, self.get(b, len)?, &mut cast_slice_mut(out)[..len])
            }
            (_, DType::Bool) => with_lane!(of, T => {
                T::compare(f, self.get(a, len)?, self.get(b, len)?, &mut cast_slice_mut(out)[..len])
            }),
            _ => with_lane!(of, T => {
                let (a, b) = (self.get::<T>(a, len)?, self.get::<T>(b, len)?);
                if f == Binary::Pow && b.iter().any(|b| b.is_negative_integer()) {
                    return Err(Error::new(ErrorKind::Data, "integers to negative powers are no integers: cast to floats"));
                }
                T::binary(f, a, b, &mut cast_slice_mut(out)[..len])
            }),
        };
        if done { Ok(()) } else { Err(undefined(f, of)) }
    }

    fn select<T: Lane>(&self, (mask, a, b): (Register, Register, Register), len: usize, out: &mut [u64]) -> Result<()> {
        let (mask, a, b) = (self.get::<u8>(mask, len)?, self.get::<T>(a, len)?, self.get::<T>(b, len)?);
        let out = &mut cast_slice_mut::<u64, T>(out)[..len];
        for (((out, mask), a), b) in out.iter_mut().zip(mask).zip(a).zip(b) {
            *out = if *mask != 0 { *a } else { *b };
        }
        Ok(())
    }

    fn cast(&self, (from, into): (DType, DType), a: Register, len: usize, out: &mut [u64]) -> Result<()> {
        with_lane!(from, T => {
            let a = self.get::<T>(a, len)?;
            if into == DType::Bool {
                steps::map(a, &mut cast_slice_mut::<u64, u8>(out)[..len], |a| u8::from(a.is_true()));
            } else {
                with_lane!(into, U => T::cast_to::<U>(a, &mut cast_slice_mut(out)[..len]));
            }
        });
        Ok(())
    }
}

fn undefined(f: impl std::fmt::Debug, of: DType) -> Error {
    Error::internal(format!("{f:?} of {of} has no kernel"))
}

/// Parts of complex numbers.
fn parts<T: Copy + num_complex_float::Float>(f: Unary, a: &[Complex<T>], out: &mut [T]) -> bool {
    match f {
        Unary::Abs => out.iter_mut().zip(a).for_each(|(out, a)| *out = T::length(*a)),
        Unary::Re => out.iter_mut().zip(a).for_each(|(out, a)| *out = a.re),
        Unary::Im => out.iter_mut().zip(a).for_each(|(out, a)| *out = a.im),
        _ => return false,
    }
    true
}

/// The floats that complex numbers are made of.
mod num_complex_float {
    use num_complex::Complex;

    pub trait Float: Sized {
        fn length(of: Complex<Self>) -> Self;
    }

    impl Float for f32 {
        fn length(of: Complex<f32>) -> f32 {
            of.norm()
        }
    }

    impl Float for f64 {
        fn length(of: Complex<f64>) -> f64 {
            of.norm()
        }
    }
}

/// Numbers at even steps in memory.
fn gather<T: Lane>(data: &Data, first: i64, step: i64, out: &mut [T]) -> Result<()> {
    let all: &[T] = T::of(data).ok_or_else(|| Error::internal("a leaf of another type"))?;
    let outside = || Error::internal("a place outside of its leaf");
    let first = usize::try_from(first).map_err(|_| outside())?;
    match step {
        0 => out.fill(*all.get(first).ok_or_else(outside)?),
        1 => out.copy_from_slice(all.get(first..first + out.len()).ok_or_else(outside)?),
        step if step > 0 => {
            let from = all.get(first..).ok_or_else(outside)?.iter().step_by(step.unsigned_abs() as usize);
            if from.len() < out.len() {
                return Err(outside());
            }
            out.iter_mut().zip(from).for_each(|(out, value)| *out = *value);
        }
        step => {
            let from = all.get(..=first).ok_or_else(outside)?.iter().rev().step_by(step.unsigned_abs() as usize);
            if from.len() < out.len() {
                return Err(outside());
            }
            out.iter_mut().zip(from).for_each(|(out, value)| *out = *value);
        }
    }
    Ok(())
}

/// The boxes of a walk over all elements: axes that lie behind one another in every leaf and in the result are one.
pub(crate) struct Rounds {
    /// Lengths of the axes that are left; at least two.
    pub lens: Vec<usize>,
    /// For each walk the steps along them.
    pub steps: Vec<Vec<i64>>,
    /// How many of the walks are read; the others say where results go.
    leaves: usize,
    /// Columns of a tile at most.
    most_columns: usize,
}

impl Rounds {
    /// Of a box and the steps of all that is walked over in it, what is read first.
    pub fn new(shape: &[usize], walks: &[&[i64]], leaves: usize) -> Rounds {
        let mut rounds = Rounds { lens: Vec::new(), steps: vec![Vec::new(); walks.len()], leaves, most_columns: TILE };
        for axis in 0..shape.len() {
            let last = rounds.lens.len().checked_sub(1);
            let fits = |last: usize| {
                let inner = shape[axis] as i64;
                rounds.lens[last] == 1
                    || shape[axis] == 1
                    || rounds.steps.iter().zip(walks).all(|(steps, walk)| steps[last] == walk[axis] * inner)
            };
            match last {
                Some(last) if fits(last) => {
                    // Along an axis of one place no step is ever taken.
                    let outer_is_one = rounds.lens[last] == 1;
                    if outer_is_one || shape[axis] != 1 {
                        rounds.steps.iter_mut().zip(walks).for_each(|(steps, walk)| steps[last] = walk[axis]);
                    }
                    rounds.lens[last] *= shape[axis];
                }
                _ => {
                    rounds.lens.push(shape[axis]);
                    rounds.steps.iter_mut().zip(walks).for_each(|(steps, walk)| steps.push(walk[axis]));
                }
            }
        }
        // Tiles go on without gaps in what is written: where the last axis does not, it is walked over in rows of one.
        let gaps = rounds.steps[leaves..].iter().any(|steps| steps.last().is_some_and(|step| !(0..=1).contains(step)));
        if gaps {
            rounds.lens.push(1);
            rounds.steps.iter_mut().for_each(|steps| steps.push(0));
        }
        while rounds.lens.len() < 2 {
            rounds.lens.insert(0, 1);
            rounds.steps.iter_mut().for_each(|steps| steps.insert(0, 0));
        }
        rounds
    }

    /// Rows and columns of a tile, and the axis that its rows go along.
    pub fn tile(&self) -> (Tile, usize) {
        let last = self.lens.len() - 1;
        let columns = self.lens[last];
        // A leaf whose neighbours lie along another axis is read in squares, so that each line of the cache is used whole.
        let turned = self.steps[..self.leaves].iter().find_map(|steps| {
            let near = (0..last).find(|axis| steps[*axis].unsigned_abs() == 1 && self.lens[*axis] > 1)?;
            (steps[last].unsigned_abs() > 1).then_some(near)
        });
        match turned {
            Some(axis) if columns > 1 => {
                let columns = columns.min(SIDE);
                (Tile { rows: SIDE.min(self.lens[axis]), columns }, axis)
            }
            _ => {
                let columns = columns.clamp(1, self.most_columns);
                (Tile { rows: (TILE / columns).min(self.lens[last - 1]).max(1), columns }, last - 1)
            }
        }
    }
}

/// Takes the tiles of a box in their order. `places` gives for each tile where it stands on each axis of the rounds.
pub(crate) fn each_tile(rounds: &Rounds, mut visit: impl FnMut(Tile, &[usize]) -> Result<()>) -> Result<()> {
    if rounds.lens.contains(&0) {
        return Ok(());
    }
    let (most, down) = rounds.tile();
    let last = rounds.lens.len() - 1;
    let mut at = vec![0usize; rounds.lens.len()];
    loop {
        let tile = Tile {
            rows: most.rows.min(rounds.lens[down] - at[down]),
            columns: most.columns.min(rounds.lens[last] - at[last]),
        };
        visit(tile, &at)?;
        // The next place: along the rows, then down, then along the other axes.
        let mut axis = last;
        loop {
            let step = if axis == last {
                most.columns
            } else if axis == down {
                most.rows
            } else {
                1
            };
            at[axis] += step;
            if at[axis] < rounds.lens[axis] {
                break;
            }
            at[axis] = 0;
            match axis {
                0 => return Ok(()),
                _ => axis -= 1,
            }
        }
    }
}

/// Where a tile goes: the place of its first element, and the steps down its rows and along them.
pub(crate) type Place = (i64, i64, i64);

/// Runs a program over a box of a shape, of which the walks of the leaves and of the targets tell where its elements are. `take` is given
/// the machine after each tile, the tile, and where it is in each target.
///
/// # Errors
/// What `take` returns; of kind `Internal`, where a leaf ends too early.
pub(crate) fn run_box(
    program: &Program,
    leaves: &[(Bound<'_>, Walk)],
    targets: &[Walk],
    shape: &[usize],
    mut take: impl FnMut(&Machine<'_, '_>, Tile, &[Place]) -> Result<()>,
) -> Result<()> {
    let walks: Vec<&Walk> = leaves.iter().map(|(_, walk)| walk).chain(targets).collect();
    let steps: Vec<&[i64]> = walks.iter().map(|walk| &walk.steps[..]).collect();
    let mut rounds = Rounds::new(shape, &steps, leaves.len());
    // A register holds no more than a tile: longer rows are never copied into one.
    if let ([Step::Load { .. }], [(Bound::Memory(_), _)]) = (&program.steps[..], leaves)
        && rounds.steps[0].last() == Some(&1)
    {
        rounds.most_columns = READ_TILE;
    }
    let (tile, down) = rounds.tile();
    // What is read where it lies needs no register.
    let most = if rounds.most_columns > TILE { TILE } else { tile.rows * tile.columns };
    let mut machine = Machine::new(program, leaves.iter().map(|(bound, _)| *bound).collect(), most);
    let last = rounds.lens.len() - 1;
    let strides: Vec<(i64, i64)> = rounds.steps.iter().map(|steps| (steps[down], steps[last])).collect();
    let mut places = vec![0i64; walks.len()];
    let mut goals: Vec<Place> = strides[leaves.len()..].iter().map(|(down, along)| (0, *down, *along)).collect();
    each_tile(&rounds, |tile, at| {
        for ((place, walk), steps) in places.iter_mut().zip(&walks).zip(&rounds.steps) {
            *place = walk.first + steps.iter().zip(at).map(|(step, at)| step * *at as i64).sum::<i64>();
        }
        machine.run(tile, &places[..leaves.len()], &strides[..leaves.len()])?;
        goals.iter_mut().zip(&places[leaves.len()..]).for_each(|(goal, place)| goal.0 = *place);
        take(&machine, tile, &goals)
    })
}
