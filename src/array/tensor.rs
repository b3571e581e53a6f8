//! Products of arrays over any of their axes: everything becomes a product of matrices.

use ndarray::{Dimension, Ix0, IxDyn};

use super::Array;
use super::blocks::at_line;
use super::element::{Element, Real};
use super::kernels::{ReduceKind, Reduction, Unary};
use super::linalg::products;
use super::operators::{binary, cast, unary};
use super::plan::{AxisMap, Blocks, Cuts, Op, View, plan, resolve_axis, shown_shape};
use super::promote::Promote;
use super::reshape::reshaped;
use crate::error::Result;
use crate::origin::Origin;
use crate::store::DType;

/// An array whose axes are named by letters, each once.
#[derive(Clone)]
struct Lettered {
    blocks: Blocks,
    letters: Vec<char>,
}

/// What a product is made at.
#[derive(Clone, Copy)]
struct At {
    verb: &'static str,
    origin: Origin,
}

impl Lettered {
    /// Of an array and its letters; of letters that are there twice the diagonal.
    fn of(blocks: &Blocks, letters: &[char], at: At) -> Result<Lettered> {
        if letters.len() != blocks.rank() {
            let letters: String = letters.iter().collect();
            return Err(plan(format!("the letters `{letters}` for an array of {} axes", blocks.rank())));
        }
        let mut own: Vec<char> = Vec::new();
        let (mut axes, mut cuts) = (Vec::new(), Vec::new());
        for (axis, letter) in letters.iter().enumerate() {
            match own.iter().position(|of| of == letter) {
                Some(first) => {
                    let of: &Cuts = &cuts[first];
                    if of.len().is_none() || of.len() != blocks.cuts[axis].len() {
                        let shape = shown_shape(&blocks.cuts);
                        return Err(plan(format!("the letter `{letter}` names axes of the shape {shape} that differ")));
                    }
                    axes.push(AxisMap::same(first));
                }
                None => {
                    axes.push(AxisMap::same(own.len()));
                    own.push(*letter);
                    cuts.push(blocks.cuts[axis].clone());
                }
            }
        }
        let blocks = match own.len() == letters.len() {
            true => blocks.clone(),
            false => Blocks::new(Op::View(View { axes }), &[blocks], blocks.dtype, cuts, at.verb, at.origin)?,
        };
        Ok(Lettered { blocks, letters: own })
    }

    fn place(&self, letter: char) -> Option<usize> {
        self.letters.iter().position(|of| *of == letter)
    }

    fn len(&self, letter: char) -> Result<usize> {
        self.place(letter).map_or(Ok(1), |axis| self.blocks.len_of(axis))
    }

    /// Summed over all letters but these.
    fn only(&self, wanted: &dyn Fn(char) -> bool, at: At) -> Result<Lettered> {
        let gone: Vec<usize> = (0..self.letters.len()).filter(|axis| !wanted(self.letters[*axis])).collect();
        if gone.is_empty() {
            return Ok(self.clone());
        }
        let own = self.blocks.dtype;
        let sum = Reduction { kind: ReduceKind::Sum, skip_nan: false, of: own };
        let to = sum.output().ok_or_else(|| plan(format!("`{}` is not defined for {own}", at.verb)))?;
        let mut cuts = self.blocks.cuts.to_vec();
        gone.iter().for_each(|axis| cuts[*axis] = Cuts::whole(1));
        let op = Op::reduce(sum, &gone[..]);
        let sums = Blocks::new(op, &[&self.blocks], to, cuts, at.verb, at.origin)?;
        let places: Vec<(usize, i64)> = gone.iter().map(|axis| (*axis, 0)).collect();
        let blocks = cast(&sums.at_places(&places, at.verb, at.origin)?, own, at.verb, at.origin)?;
        Ok(Lettered { blocks, letters: self.letters.iter().copied().filter(|letter| wanted(*letter)).collect() })
    }

    /// With its axes in the order of these letters, all of which it has.
    fn ordered(&self, letters: &[char], at: At) -> Result<Lettered> {
        if self.letters == letters {
            return Ok(self.clone());
        }
        let (mut axes, mut cuts) = (vec![AxisMap::same(0); letters.len()], Vec::new());
        for (to, letter) in letters.iter().enumerate() {
            let from = self.place(*letter).ok_or_else(|| plan(format!("the letter `{letter}` is of no array")))?;
            axes[from] = AxisMap::same(to);
            cuts.push(self.blocks.cuts[from].clone());
        }
        let own = &self.blocks;
        let blocks = Blocks::new(Op::View(View { axes }), &[own], own.dtype, cuts, at.verb, at.origin)?;
        Ok(Lettered { blocks, letters: letters.to_vec() })
    }

    /// The sums over the letters that are not wanted of the products with another array.
    fn times(&self, other: &Lettered, wanted: &dyn Fn(char) -> bool, at: At) -> Result<Lettered> {
        for letter in &self.letters {
            if other.place(*letter).is_some() && self.len(*letter)? != other.len(*letter)? {
                let (one, two) = (self.len(*letter)?, other.len(*letter)?);
                let name = if is_dots(*letter) { "...".to_string() } else { letter.to_string() };
                return Err(plan(format!("axes of the letter `{name}` have the lengths {one} and {two}")));
            }
        }
        // What only one of them has and nobody wants is summed up before.
        let a = self.only(&|letter| wanted(letter) || other.place(letter).is_some(), at)?;
        let b = other.only(&|letter| wanted(letter) || self.place(letter).is_some(), at)?;
        let both = |letter: &&char| b.place(**letter).is_some();
        let outer: Vec<char> = a.letters.iter().filter(both).filter(|letter| wanted(**letter)).copied().collect();
        let inner: Vec<char> = a.letters.iter().filter(both).filter(|letter| !wanted(**letter)).copied().collect();
        let of_a: Vec<char> = a.letters.iter().filter(|letter| !both(letter)).copied().collect();
        let of_b: Vec<char> = b.letters.iter().filter(|letter| a.place(**letter).is_none()).copied().collect();
        let letters = [&outer[..], &of_a[..], &of_b[..]].concat();
        if inner.is_empty() {
            // Nothing is summed up: products of elements.
            let wide = |of: &Lettered| -> Result<Blocks> {
                let kept: Vec<char> = letters.iter().copied().filter(|letter| of.place(*letter).is_some()).collect();
                let own = of.ordered(&kept, at)?.blocks;
                let (mut axes, mut cuts) = (Vec::new(), Vec::new());
                for (to, letter) in letters.iter().enumerate() {
                    match kept.iter().position(|of| of == letter) {
                        Some(from) => {
                            axes.push(AxisMap::same(to));
                            cuts.push(own.cuts[from].clone());
                        }
                        None => cuts.push(Cuts::whole(1)),
                    }
                }
                Blocks::new(Op::View(View { axes }), &[&own], own.dtype, cuts, at.verb, at.origin)
            };
            let of = a.blocks.dtype;
            let blocks = binary(&wide(&a)?, &wide(&b)?, super::kernels::Binary::Mul, of, at.verb, at.origin)?;
            return Ok(Lettered { blocks, letters });
        }
        // Matrices: what both have and is wanted stands before, what is summed up is one axis.
        let size = |of: &Lettered, letters: &[char]| -> Result<usize> {
            letters.iter().try_fold(1, |all, letter| Ok(all * of.len(*letter)?))
        };
        let lens =
            |of: &Lettered, letters: &[char]| letters.iter().map(|letter| of.len(*letter)).collect::<Result<Vec<_>>>();
        let mut shape = lens(&a, &outer)?;
        let matrix = |of: &Lettered, groups: [&[char]; 2]| -> Result<Blocks> {
            let of = of.ordered(&[&outer[..], groups[0], groups[1]].concat(), at)?;
            let shape = [&lens(&of, &outer)?[..], &[size(&of, groups[0])?, size(&of, groups[1])?]].concat();
            reshaped(&of.blocks, &shape, at.verb, at.origin)
        };
        let (x, y) = (matrix(&a, [&of_a, &inner])?, matrix(&b, [&inner, &of_b])?);
        let made = products(&x, &y, x.dtype, at.verb, at.origin)?;
        shape.extend(lens(&a, &of_a)?);
        shape.extend(lens(&b, &of_b)?);
        Ok(Lettered { blocks: reshaped(&made, &shape, at.verb, at.origin)?, letters })
    }
}

/// What `...` is before it is known how many axes it stands for.
const DOTS: char = '\u{e000}';

/// The letter of an axis that `...` stands for, counted from the last one.
fn dots(number: usize) -> char {
    char::from_u32(DOTS as u32 + 1 + number as u32).unwrap_or(DOTS)
}

fn is_dots(letter: char) -> bool {
    ('\u{e000}'..='\u{f8ff}').contains(&letter)
}

/// The letters of an array.
fn terms(letters: &str) -> Vec<char> {
    letters.replace("...", DOTS.encode_utf8(&mut [0; 4])).chars().filter(|letter| !letter.is_whitespace()).collect()
}

/// With letters in the place of `...`, of an array of so many axes.
fn spelled(own: Vec<char>, rank: usize, letters: &str) -> Result<Vec<char>> {
    let Some(at) = own.iter().position(|letter| *letter == DOTS) else { return Ok(own) };
    let Some(count) = (rank + 1).checked_sub(own.len()) else {
        return Err(plan(format!("`{letters}` names more axes than the {rank} of an array")));
    };
    if own[at + 1..].contains(&DOTS) {
        return Err(plan(format!("`{letters}`: `...` stands twice for the axes of one array")));
    }
    let before = own[..at].iter().copied();
    Ok(before.chain((0..count).rev().map(dots)).chain(own[at + 1..].iter().copied()).collect())
}

/// Sums of products of elements, as Einstein's notation tells them: `"ij,jk->ik"` names by letters the axes of each array, and those of the
/// result; over letters that the result lacks is summed up. Of a letter that an array has twice its diagonal is taken. Without an arrow the
/// result has the letters that are there once, in their order in the alphabet. `...` stands for any other axes, which broadcast.
///
/// Arrays are multiplied one after another from the left, each time as a product of matrices.
///
/// # Errors
/// At compute, of kind `Plan`, where letters and arrays do not fit, axes of one letter differ in length, or the result has a letter twice or
/// one that is of no array; as [`Array::dot`].
///
/// ```
/// use chunkwise::prelude::*;
///
/// let x = array::from_ndarray(ndarray::arr2(&[[1_i64, 2], [3, 4]]), 1).into_dyn();
/// assert_eq!(array::einsum("ij,kj->ik", &[&x, &x]).compute()?, ndarray::arr2(&[[5, 11], [11, 25]]).into_dyn());
/// assert_eq!(array::einsum("ii", &[&x]).compute()?, ndarray::arr0(5).into_dyn());
/// assert_eq!(array::einsum("...j->...", &[&x]).compute()?, ndarray::arr1(&[3, 7]).into_dyn());
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[track_caller]
pub fn einsum<A: Real + Promote<A, Output = A>>(letters: &str, arrays: &[&Array<A, IxDyn>]) -> Array<A, IxDyn> {
    let at = At { verb: "einsum", origin: Origin::caller() };
    let made = || {
        let (given, out) = match letters.split_once("->") {
            Some((given, out)) => (given, Some(out)),
            None => (letters, None),
        };
        let given: Vec<Vec<char>> = given.split(',').map(terms).collect();
        if given.len() != arrays.len() {
            return Err(plan(format!("`{letters}` names the axes of {} arrays, not of {}", given.len(), arrays.len())));
        }
        // Axes that `...` stands for get letters of their own, the last ones first.
        let ranks = arrays.iter().zip(&given).map(|(array, own)| match own.contains(&DOTS) {
            true => Ok(array.planned()?.rank().saturating_sub(own.len() - 1)),
            false => Ok(0),
        });
        let most = ranks.collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or(0);
        let mut arrays: Vec<Blocks> = arrays.iter().map(|array| array.planned().cloned()).collect::<Result<_>>()?;
        let mut own_letters = Vec::with_capacity(given.len());
        for (array, own) in arrays.iter().zip(given) {
            own_letters.push(spelled(own, array.rank(), letters)?);
        }
        let mut given = own_letters;
        if most > 0 && out.is_some_and(|out| !terms(out).contains(&DOTS)) {
            return Err(plan(format!("`{letters}`: the result lacks the axes of `...`")));
        }
        let out = out.map(terms).map(|out| match out.contains(&DOTS) {
            true => spelled(out.clone(), most + out.len() - 1, letters),
            false => Ok(out),
        });
        let out = out.transpose()?;
        // What broadcasts has no axis of its own.
        for letter in (0..most).map(dots) {
            let lens = arrays.iter().zip(&given).filter_map(|(array, own)| {
                let axis = own.iter().position(|of| *of == letter)?;
                Some(array.cuts[axis].len())
            });
            if lens.collect::<Vec<_>>().iter().all(|len| *len == Some(1)) {
                continue;
            }
            for (array, own) in arrays.iter_mut().zip(&mut given) {
                let axis = own.iter().position(|of| *of == letter);
                if let Some(axis) = axis.filter(|axis| array.cuts[*axis].len() == Some(1)) {
                    *array = array.at_places(&[(axis, 0)], at.verb, at.origin)?;
                    own.remove(axis);
                }
            }
        }
        if let Some(wrong) =
            given.iter().flatten().chain(out.iter().flatten()).find(|of| !of.is_alphabetic() && !is_dots(**of))
        {
            return Err(plan(format!("`{letters}`: axes are named by letters, not by `{wrong}`")));
        }
        let out = match out {
            Some(out) => out,
            None => {
                let all: Vec<char> = given.iter().flatten().copied().filter(|letter| !is_dots(*letter)).collect();
                let mut once: Vec<char> =
                    all.iter().copied().filter(|letter| all.iter().filter(|of| *of == letter).count() == 1).collect();
                once.sort_unstable();
                (0..most).rev().map(dots).chain(once).collect()
            }
        };
        for (number, letter) in out.iter().enumerate() {
            if out[..number].contains(letter) {
                return Err(plan(format!("`{letters}`: the result has the letter `{letter}` twice")));
            }
            if !given.iter().any(|of| of.contains(letter)) {
                return Err(plan(format!("`{letters}`: the letter `{letter}` of the result is of no array")));
            }
        }
        let named = arrays.iter().zip(&given).map(|(array, letters)| Lettered::of(array, letters, at));
        let mut named = named.collect::<Result<Vec<_>>>()?.into_iter();
        let mut all = named.next().ok_or_else(|| plan("there are no arrays"))?;
        let mut rest: Vec<Lettered> = named.collect();
        while !rest.is_empty() {
            let next = rest.remove(0);
            let wanted = |letter: char| out.contains(&letter) || rest.iter().any(|of| of.place(letter).is_some());
            all = all.times(&next, &wanted, at)?;
        }
        Ok(all.only(&|letter| out.contains(&letter), at)?.ordered(&out, at)?.blocks)
    };
    at_line(made(), at.verb, at.origin)
}

impl<A: Element, D: Dimension> Array<A, D> {
    /// The sums of products over some axes of this array and as many of another, pair by pair; the axes that are left stand in their order,
    /// those of this array first.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where axes are not there or named twice, or pairs differ in length; as [`Array::dot`].
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::arange(0, 6, 1, 3).reshape((1, 2, 3));
    /// let y = array::arange(0, 6, 1, 6).reshape((3, 2));
    /// let product = x.tensordot(&y, &[(1, 1), (2, 0)]);
    /// assert_eq!(product.compute()?.into_raw_vec_and_offset().0, [0 * 0 + 1 * 2 + 2 * 4 + 3 * 1 + 4 * 3 + 5 * 5]);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn tensordot<B: Element, E: Dimension>(
        &self,
        other: &Array<B, E>,
        axes: &[(isize, isize)],
    ) -> Array<A::Output, IxDyn>
    where
        A: Promote<B>,
    {
        let at = At { verb: "tensordot", origin: Origin::caller() };
        let made = || {
            let to = <A as Promote<B>>::Output::DTYPE;
            let a = cast(self.planned()?, to, at.verb, at.origin)?;
            let b = cast(other.planned()?, to, at.verb, at.origin)?;
            // Each axis has a letter of its own, but for pairs.
            let letter = |number: usize| char::from_u32('A' as u32 + number as u32).unwrap_or('A');
            let of_a: Vec<char> = (0..a.rank()).map(letter).collect();
            let mut of_b: Vec<char> = (0..b.rank()).map(|axis| letter(a.rank() + axis)).collect();
            let mut paired = Vec::new();
            for (one, two) in axes {
                let (one, two) = (resolve_axis(*one, a.rank())?, resolve_axis(*two, b.rank())?);
                if paired.contains(&of_a[one]) || of_a.contains(&of_b[two]) {
                    return Err(plan("an axis is named twice"));
                }
                paired.push(of_a[one]);
                of_b[two] = of_a[one];
            }
            let (a, b) = (Lettered::of(&a, &of_a, at)?, Lettered::of(&b, &of_b, at)?);
            Ok(a.times(&b, &|letter| !paired.contains(&letter), at)?.blocks)
        };
        at_line(made(), at.verb, at.origin)
    }

    /// The sum of the products of all elements of two arrays by rows; of complex numbers those of this one with the opposite imaginary
    /// parts.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where they have not equally many elements; as [`Array::dot`].
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1_i64, 2], [3, 4]]), 1);
    /// let product: i64 = x.vdot(&array::ones::<i64, _>((2, 2), 2)).compute()?;
    /// assert_eq!(product, 10);
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn vdot<B: Element, E: Dimension>(&self, other: &Array<B, E>) -> Array<A::Output, Ix0>
    where
        A: Promote<B>,
    {
        let at = At { verb: "vdot", origin: Origin::caller() };
        let made = || {
            let to = <A as Promote<B>>::Output::DTYPE;
            let line = |of: &Blocks| -> Result<Blocks> {
                let len = of.known_shape()?.iter().product();
                cast(&reshaped(of, &[len], at.verb, at.origin)?, to, at.verb, at.origin)
            };
            let (mut a, b) = (line(self.planned()?)?, line(other.planned()?)?);
            if matches!(to, DType::C32 | DType::C64) {
                a = unary(&a, Unary::Conj, at.verb, at.origin)?;
            }
            let (a, b) = (Lettered::of(&a, &['i'], at)?, Lettered::of(&b, &['i'], at)?);
            Ok(a.times(&b, &|_| false, at)?.blocks)
        };
        at_line(made(), at.verb, at.origin)
    }
}
