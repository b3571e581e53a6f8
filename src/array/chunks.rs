//! How an array is cut: the notation of a user, and the cuts that come of it.

use super::plan::{Cuts, resolve_axis};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::IntoBytes;
use crate::store::DType;

/// Bytes of a block where nothing else is said.
const AUTO_BYTES: u64 = 128 << 20;

/// How one axis is to be cut.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisChunks {
    /// Blocks of this length; the last one may be shorter.
    Len(usize),
    /// These lengths, which add up to the axis.
    Lens(Vec<usize>),
    /// The whole axis as one.
    Whole,
    /// As long as makes blocks of about the wanted bytes.
    Auto,
    /// As long as makes blocks of about so many bytes in all; of several axes the same.
    Bytes(u64),
    /// As it is; of a new array as `Auto`.
    Keep,
    /// What says nothing, such as another negative number than `-1`: an error where an array is cut so.
    Invalid(String),
}

/// So many blocks are as even as can be; of more a short last one is of no matter.
const FEW_BLOCKS: usize = 8;

/// How an array is to be cut into blocks.
///
/// Anything that says it clearly is one: a number for all axes, a tuple or an array with a number for each (`-1` is the whole axis),
/// `"128 MiB"`, `Chunks::auto()`, lists of lengths.
///
/// ```
/// use chunkwise::prelude::*;
///
/// let x = array::zeros_f64((100, 10), (40, -1));
/// assert_eq!(x.chunks()?, [vec![Some(40), Some(40), Some(20)], vec![Some(10)]]);
/// let y = x.rechunk("1 kB");
/// assert_eq!(y.chunks()?[0][0], Some(12));
/// let z = x.rechunk(array::Chunks::axis(0, 50));
/// assert_eq!(z.numblocks()?, [2, 1]);
/// # Ok::<(), chunkwise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Chunks {
    spec: Spec,
    /// Axes that are cut in another way.
    but: Vec<(isize, AxisChunks)>,
    /// Whether a short last block is avoided.
    balanced: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Spec {
    All(AxisChunks),
    Each(Vec<AxisChunks>),
}

impl Chunks {
    fn of(spec: Spec) -> Chunks {
        Chunks { spec, but: Vec::new(), balanced: false }
    }

    /// Blocks of about 128 MiB, as square as can be.
    pub fn auto() -> Chunks {
        Chunks::of(Spec::All(AxisChunks::Auto))
    }

    /// Blocks of about so many bytes.
    pub fn bytes(bytes: u64) -> Chunks {
        Chunks::of(Spec::All(AxisChunks::Bytes(bytes)))
    }

    /// One axis, from behind where it is negative; the others stay as they are.
    pub fn axis(axis: isize, chunks: impl Into<AxisChunks>) -> Chunks {
        Chunks::of(Spec::All(AxisChunks::Keep)).and(axis, chunks)
    }

    /// With another axis besides.
    #[must_use]
    pub fn and(mut self, axis: isize, chunks: impl Into<AxisChunks>) -> Chunks {
        self.but.push((axis, chunks.into()));
        self
    }

    /// In blocks of about one length: where a last one would be half as long as the others or less, there is one block less, or all are a
    /// little longer or shorter. Lengths that are listed stay.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::zeros_f64(10, Chunks::from(4).balanced());
    /// assert_eq!(x.chunks()?, [[Some(5), Some(5)]]); // and not 4, 4, 2
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[must_use]
    pub fn balanced(mut self) -> Chunks {
        self.balanced = true;
        self
    }

    /// Each axis by itself.
    pub fn each(axes: impl IntoIterator<Item = AxisChunks>) -> Chunks {
        Chunks::of(Spec::Each(axes.into_iter().collect()))
    }
}

macro_rules! whole_numbers {
    ($($int:ty)+) => {$(
        impl From<$int> for AxisChunks {
            fn from(len: $int) -> AxisChunks {
                match (usize::try_from(len), i64::try_from(len)) {
                    (Ok(len), _) => AxisChunks::Len(len),
                    (_, Ok(-1)) => AxisChunks::Whole,
                    _ => AxisChunks::Invalid(format!("blocks of {len} elements; -1 is the whole axis")),
                }
            }
        }

        impl From<$int> for Chunks {
            fn from(len: $int) -> Chunks {
                Chunks::of(Spec::All(len.into()))
            }
        }
    )+};
}

whole_numbers! { i32 i64 isize usize u64 u32 }

impl From<&str> for AxisChunks {
    fn from(text: &str) -> AxisChunks {
        match text.trim() {
            "auto" => AxisChunks::Auto,
            text => match text.into_byte_count() {
                Ok(bytes) => AxisChunks::Bytes(bytes),
                Err(error) => AxisChunks::Invalid(error.message().to_string()),
            },
        }
    }
}

impl From<Vec<usize>> for AxisChunks {
    fn from(lens: Vec<usize>) -> AxisChunks {
        AxisChunks::Lens(lens)
    }
}

impl<const N: usize> From<[usize; N]> for AxisChunks {
    fn from(lens: [usize; N]) -> AxisChunks {
        AxisChunks::Lens(lens.into())
    }
}

impl From<&str> for Chunks {
    fn from(text: &str) -> Chunks {
        Chunks::of(Spec::All(text.into()))
    }
}

impl<T: Into<AxisChunks>, const N: usize> From<[T; N]> for Chunks {
    fn from(axes: [T; N]) -> Chunks {
        Chunks::each(axes.into_iter().map(Into::into))
    }
}

impl<T: Into<AxisChunks> + Clone> From<&[T]> for Chunks {
    fn from(axes: &[T]) -> Chunks {
        Chunks::each(axes.iter().cloned().map(Into::into))
    }
}

macro_rules! tuples {
    ($(($($name:ident)+);)+) => {$(
        impl<$($name: Into<AxisChunks>),+> From<($($name,)+)> for Chunks {
            #[allow(non_snake_case)]
            fn from(($($name,)+): ($($name,)+)) -> Chunks {
                Chunks::each([$($name.into()),+])
            }
        }
    )+};
}

tuples! { (A); (A B); (A B C); (A B C D); (A B C D E); (A B C D E F); }

impl Chunks {
    /// The cuts of an array of a shape.
    ///
    /// # Errors
    /// Of kind `Plan`, where the notation does not fit the shape.
    pub(crate) fn cuts(&self, shape: &[usize], dtype: DType, now: Option<&[Cuts]>) -> Result<Vec<Cuts>> {
        self.cuts_over(shape, dtype, now, &vec![1; shape.len()])
    }

    /// As [`Chunks::cuts`]; what is left to the library is cut between pieces of a source, whose lengths are given along all axes.
    pub(crate) fn cuts_over(
        &self,
        shape: &[usize],
        dtype: DType,
        now: Option<&[Cuts]>,
        pieces: &[usize],
    ) -> Result<Vec<Cuts>> {
        let rank = shape.len();
        let plan = |text: String| Error::new(ErrorKind::Plan, text);
        let mut axes = match &self.spec {
            // Also of an array without axes.
            Spec::All(AxisChunks::Invalid(text)) => return Err(plan(format!("chunks: {text}"))),
            Spec::All(one) => vec![one.clone(); rank],
            Spec::Each(axes) if axes.len() == rank => axes.clone(),
            Spec::Each(axes) => {
                return Err(plan(format!("chunks for {} axes and an array of {rank}", axes.len())));
            }
        };
        for (axis, chunks) in &self.but {
            axes[resolve_axis(*axis, rank)?] = chunks.clone();
        }
        let mut of_each =
            axes.iter().filter_map(|axis| if let AxisChunks::Bytes(bytes) = axis { Some(*bytes) } else { None });
        let wanted = of_each.next().unwrap_or(AUTO_BYTES);
        if let Some(other) = of_each.find(|other| *other != wanted) {
            return Err(plan(format!("blocks of {wanted} bytes along one axis and of {other} along another")));
        }
        if wanted == 0 {
            return Err(plan("blocks of no bytes".to_string()));
        }
        let mut cuts: Vec<Option<Cuts>> = Vec::with_capacity(rank);
        for (axis, (chunks, len)) in axes.iter().zip(shape).enumerate() {
            cuts.push(match chunks {
                AxisChunks::Invalid(text) => return Err(plan(format!("axis {axis}: {text}"))),
                AxisChunks::Len(0) => return Err(plan(format!("axis {axis}: blocks of no elements"))),
                AxisChunks::Len(block) => Some(Cuts::even(*len, *block)),
                AxisChunks::Whole => Some(Cuts::whole(*len)),
                AxisChunks::Lens(lens) => {
                    let sum = lens.iter().try_fold(0usize, |sum, len| sum.checked_add(*len));
                    if sum != Some(*len) || lens.is_empty() {
                        return Err(plan(format!(
                            "axis {axis}: the chunks {lens:?} do not add up to its length {len}"
                        )));
                    }
                    Some(Cuts::of(lens.iter().copied()))
                }
                AxisChunks::Keep => now.map(|now| now[axis].clone()),
                AxisChunks::Auto | AxisChunks::Bytes(_) => None,
            });
        }
        let fixed =
            cuts.iter().flatten().filter_map(Cuts::most).fold(1u64, |all, most| all.saturating_mul(most.max(1) as u64));
        let room = (wanted / (fixed.max(1).saturating_mul(dtype.bytes() as u64)).max(1)).max(1);
        // Pieces that are longer than blocks would be leave less room along the other axes.
        let mut lens: Vec<Option<usize>> = cuts.iter().map(|cuts| cuts.as_ref().map(|_| 0)).collect();
        let mut room = room;
        let block = loop {
            let open: Vec<usize> = (0..rank).filter(|axis| lens[*axis].is_none()).collect();
            let block = side(room, open.iter().map(|axis| shape[*axis]));
            let long: Vec<usize> = open.into_iter().filter(|axis| pieces[*axis].min(shape[*axis]) > block).collect();
            if long.is_empty() {
                break block;
            }
            for axis in long {
                lens[axis] = Some(pieces[axis].min(shape[axis]));
                room = (room / pieces[axis].min(shape[axis]).max(1) as u64).max(1);
            }
        };
        // Where elements are read one by one nothing speaks for fewer.
        let of_pieces = |axis: usize, most: usize| match pieces[axis] {
            0 | 1 => most,
            piece => evenly(shape[axis].div_ceil(piece), most),
        };
        let even = |axis: usize| {
            let piece = pieces[axis].max(1);
            let most = (block / piece).max(1);
            Cuts::even(shape[axis], lens[axis].unwrap_or_else(|| of_pieces(axis, most).saturating_mul(piece)))
        };
        let mut cuts: Vec<Cuts> =
            cuts.into_iter().enumerate().map(|(axis, cuts)| cuts.unwrap_or_else(|| even(axis))).collect();
        if self.balanced {
            for ((cuts, chunks), len) in cuts.iter_mut().zip(&axes).zip(shape) {
                if !matches!(chunks, AxisChunks::Lens(_) | AxisChunks::Keep) {
                    *cuts = balanced(cuts, *len);
                }
            }
        }
        Ok(cuts)
    }
}

/// How many of so many pieces make a block, `most` at most: fewer where one of a few blocks would have half as many or less, and there is a
/// number that divides all.
fn evenly(pieces: usize, most: usize) -> usize {
    let last = pieces % most;
    if pieces <= most || pieces / most >= FEW_BLOCKS || last == 0 || last > most / 2 {
        return most;
    }
    (most.div_ceil(2)..most).rev().find(|fewer| pieces.is_multiple_of(*fewer)).unwrap_or(most)
}

/// Blocks of one length and a shorter last one, as about equal ones.
fn balanced(cuts: &Cuts, len: usize) -> Cuts {
    let (Some(known), Some(most)) = (cuts.known(), cuts.most()) else { return cuts.clone() };
    let last = known[known.len() - 1] - known[known.len() - 2];
    let mut count = known.len() - 1;
    if count > 1 && last * 2 <= most {
        count -= 1;
    }
    Cuts::even(len, len.div_ceil(count))
}

/// The largest side of a cube of so many elements over axes of these lengths, of which short ones are taken whole.
fn side(elements: u64, lens: impl Iterator<Item = usize>) -> usize {
    let mut lens: Vec<usize> = lens.map(|len| len.max(1)).collect();
    lens.sort_unstable();
    let mut room = elements as f64;
    let mut left = lens.len();
    for len in lens {
        let side = room.powf(1.0 / left as f64);
        if (len as f64) > side {
            // Powers are not exact: the nearest whole number counts, if it fits.
            let near = side.round();
            let fits = near.powi(left as i32) <= room * (1.0 + 1e-9);
            return (if fits { near } else { side.floor() }).max(1.0) as usize;
        }
        room /= len as f64;
        left -= 1;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lens(chunks: impl Into<Chunks>, shape: &[usize]) -> Result<Vec<Vec<usize>>> {
        let cuts = chunks.into().cuts(shape, DType::F64, None)?;
        Ok(cuts.iter().map(|cuts| cuts.lens().into_iter().flatten().collect()).collect())
    }

    #[test]
    fn notations() {
        assert_eq!(lens(3, &[10]).unwrap(), [[3, 3, 3, 1]]);
        assert_eq!(lens(20, &[10, 0]).unwrap(), [[10], [0]]);
        assert_eq!(lens((4, -1), &[10, 7]).unwrap(), [vec![4, 4, 2], vec![7]]);
        assert_eq!(lens((vec![1, 0, 2], 1), &[3, 2]).unwrap(), [vec![1, 0, 2], vec![1, 1]]);
        assert_eq!(lens("auto", &[100_000, 100_000]).unwrap()[0][..2], [4096, 4096]);
        let tall = Chunks::each([AxisChunks::Whole, AxisChunks::Auto]);
        assert_eq!(lens(tall, &[100_000, 100_000]).unwrap()[1][..2], [167, 167]);
        assert_eq!(lens(Chunks::auto(), &[]).unwrap(), Vec::<Vec<usize>>::new());
        assert_eq!(lens("1 kB", &[100, 10]).unwrap()[0][..2], [12, 12]);
        assert_eq!(lens(("1 kB", -1), &[100, 5]).unwrap(), [vec![25; 4], vec![5]]);
        assert_eq!(lens(("auto", 3), &[10, 4]).unwrap(), [vec![10], vec![3, 1]]);
        assert_eq!(
            lens(Chunks::from(4).balanced(), &[10, 12, 11, 0]).unwrap(),
            [vec![5, 5], vec![4, 4, 4], vec![4, 4, 3], vec![0]]
        );
        assert_eq!(lens(Chunks::from(5).and(-1, 3), &[10, 7]).unwrap(), [vec![5, 5], vec![3, 3, 1]]);
    }

    #[test]
    fn blocks_of_whole_pieces() {
        let over = |shape: &[usize], pieces: &[usize]| -> Vec<usize> {
            let cuts = Chunks::bytes(8000).cuts_over(shape, DType::F64, None, pieces).unwrap();
            cuts.iter().filter_map(Cuts::most).collect()
        };
        assert_eq!(over(&[100, 100], &[1, 1]), [31, 31]);
        assert_eq!(over(&[100, 100], &[4, 10]), [28, 20], "not 3, 3, 3 and 1 of ten pieces");
        assert_eq!(over(&[100, 100], &[1, 100]), [10, 100]);
        assert_eq!(over(&[100, 100], &[3, 400]), [9, 100]);
        assert_eq!(over(&[100, 100], &[50, 100]), [50, 100]);
        assert_eq!(over(&[0, 100], &[7, 9]), [0, 100]);
    }

    #[test]
    fn what_does_not_fit() {
        let wrong = |chunks: Chunks, shape: &[usize]| chunks.cuts(shape, DType::F64, None).unwrap_err().to_string();
        assert_eq!(wrong(0.into(), &[3]), "axis 0: blocks of no elements");
        assert_eq!(wrong((1, 2).into(), &[3]), "chunks for 2 axes and an array of 1");
        assert_eq!(wrong((vec![1, 1],).into(), &[3]), "axis 0: the chunks [1, 1] do not add up to its length 3");
        assert_eq!(wrong(Chunks::axis(-2, 1), &[3]), "there is no axis -2 in an array of 1 axes");
        assert!(wrong("12 apples".into(), &[3]).starts_with("chunks: "));
        assert_eq!(wrong("0 B".into(), &[3]), "blocks of no bytes");
        assert_eq!(wrong((-7).into(), &[3]), "chunks: blocks of -7 elements; -1 is the whole axis");
        assert_eq!(wrong((2, -7).into(), &[3, 3]), "axis 1: blocks of -7 elements; -1 is the whole axis");
        assert!(wrong(Chunks::bytes(100).and(0, "24 B"), &[3, 3]).starts_with("blocks of 24 bytes"));
    }
}
