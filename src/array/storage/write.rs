//! Arrays to where they are stored: `to_npy`, `to_npy_stack`, `store_into`.

use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{ArrayViewD, Dimension, IxDyn};

use super::super::Array;
use super::super::blocks::view;
use super::super::element::Element;
use super::super::plan::{Blocks, Cuts, Op, WriteOp, Written, resolve_axis};
#[cfg(feature = "zarr")]
use super::zarr::{self, ZarrOptions};
use crate::error::{Error, ErrorKind, Result, Role};
use crate::formats::array::{BlockTarget, OpenTarget};
use crate::formats::npy::NpyTarget;
use crate::formats::npy::stack::NpyStackTarget;
use crate::formats::write::IfExists;
use crate::origin::Origin;
use crate::plan::{NodeRef, OneValue, Poisoned, Request};
use crate::runtime::{Computable, Compute};
use crate::store::{DType, NdBlock};

/// An array that is to be stored; [`Writer::write`] does it, alone, and [`compute`](crate::compute) together with other things.
///
/// Blocks are written as they come, by many threads, and never all held. Of files and directories nothing is seen at the path before all is
/// written: then it takes the place of what was there, in one step, and after an error, a cancelled run or a killed process the path is
/// what it was. So an array may be read from where it is written to.
///
/// ```
/// use chunkwise::prelude::*;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("squares.npy");
/// let x = array::arange(0_i64, 1000, 1, 100);
/// let (written, sum) = compute(((&x * &x).to_npy(&path), x.sum()))?; // x is made once
/// assert_eq!((written.blocks, sum), (10, 499_500));
/// let back: Array<i64, array::Ix1> = array::read_npy(&path, 500)?;
/// assert_eq!(back.slice(s![-1_isize]).compute()?, 999 * 999);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "nothing is written before `write` or `compute`"]
pub struct Writer {
    blocks: Result<Blocks>,
    pub(super) to: Target,
    verb: &'static str,
    origin: Origin,
    if_exists: IfExists,
    durable: bool,
    /// An option that does not fit.
    wrong: Option<String>,
}

#[derive(Clone)]
pub(super) enum Target {
    Npy(PathBuf),
    /// Along an axis, from behind where it is negative.
    NpyStack(PathBuf, isize),
    #[cfg(feature = "zarr")]
    Zarr(PathBuf, ZarrOptions),
    Own(Arc<dyn BlockTarget>),
}

/// A program's own place for blocks of an array; see [`Array::store_into`].
pub trait ArrayTarget<A: Element>: Send + Sync + 'static {
    /// Called once in each run before there are blocks, with the shape of the array.
    ///
    /// # Errors
    /// What goes wrong.
    fn begin(&self, shape: &[usize]) -> Result<(), Box<dyn StdError + Send + Sync>> {
        let _ = shape;
        Ok(())
    }

    /// Puts a block that holds at least one element to its region. Blocks come in no order and from several threads; each element comes
    /// once in a run.
    ///
    /// # Errors
    /// What goes wrong. It comes out of the run with the region.
    fn write_block(
        &self,
        region: &[Range<usize>],
        block: ArrayViewD<'_, A>,
    ) -> Result<(), Box<dyn StdError + Send + Sync>>;

    /// Called once all blocks are there; after an error or a cancelled run it is not.
    ///
    /// # Errors
    /// What goes wrong.
    fn finish(&self) -> Result<(), Box<dyn StdError + Send + Sync>> {
        Ok(())
    }

    /// Bytes that writing a block of so many bytes takes beside it, at most.
    fn need(&self, block_bytes: u64) -> u64 {
        let _ = block_bytes;
        0
    }
}

impl<A: Element, D: Dimension> Array<A, D> {
    /// Writes a `.npy` file, by rows, each block to its places.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where lengths are not known, or something stands at the path that is no file; of kind `Io`, where it cannot
    /// be written.
    #[track_caller]
    pub fn to_npy(&self, path: impl AsRef<Path>) -> Writer {
        self.writer(Target::Npy(path.as_ref().to_path_buf()), "to_npy", Origin::caller())
    }

    /// Writes a directory with a `.npy` file for each block along an axis, from behind where it is negative, as Dask's
    /// `to_npy_stack` does: `0.npy` and so on, and `info`. Along the other axes blocks are put together first.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where lengths are not known, where there is no such axis, or where the directory holds something else.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("stack");
    /// let x = array::ones_f64((6, 4), (2, 2));
    /// x.to_npy_stack(&path, 0).write()?; // 0.npy, 1.npy, 2.npy
    /// let back: Array<f64, array::Ix2> = array::read_npy_stack(&path)?;
    /// assert_eq!((back.numblocks()?, back.sum().compute()?), (vec![3, 1], 24.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn to_npy_stack(&self, directory: impl AsRef<Path>, axis: isize) -> Writer {
        self.writer(Target::NpyStack(directory.as_ref().to_path_buf(), axis), "to_npy_stack", Origin::caller())
    }

    /// Gives each block to a program's own target: any file, service or memory.
    ///
    /// # Errors
    /// At compute, of kind `Plan`, where lengths are not known; of kind `Task`, with what the target returns.
    ///
    /// ```
    /// use std::ops::Range;
    /// use std::sync::{Arc, Mutex};
    /// use chunkwise::array::ArrayTarget;
    /// use chunkwise::prelude::*;
    ///
    /// /// A matrix that several look at.
    /// struct Shared(Arc<Mutex<ndarray::Array2<f64>>>);
    ///
    /// impl ArrayTarget<f64> for Shared {
    ///     fn write_block(&self, region: &[Range<usize>], block: ndarray::ArrayViewD<'_, f64>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///         let [rows, columns] = [region[0].clone(), region[1].clone()];
    ///         self.0.lock().unwrap().slice_mut(s![rows, columns]).assign(&block.into_dimensionality::<ndarray::Ix2>()?);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let shared = Arc::new(Mutex::new(ndarray::Array2::zeros((4, 4))));
    /// array::eye::<f64>(4, 4, 0, 2).store_into(Shared(shared.clone())).write()?;
    /// assert_eq!(*shared.lock().unwrap(), ndarray::Array2::<f64>::eye(4));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn store_into(&self, target: impl ArrayTarget<A>) -> Writer
    where
        D: 'static,
    {
        let origin = Origin::caller();
        let shape = self.planned().and_then(Blocks::known_shape).unwrap_or_default();
        let target = OwnTarget { target: Arc::new(target), shape, type_of: PhantomData::<fn() -> A> };
        self.writer(Target::Own(Arc::new(target)), "store_into", origin)
    }

    pub(super) fn writer(&self, to: Target, verb: &'static str, origin: Origin) -> Writer {
        let (blocks, if_exists) = (self.planned().cloned(), IfExists::Replace);
        Writer { blocks, to, verb, origin, if_exists, durable: false, wrong: None }
    }
}

impl Writer {
    /// What becomes of what stands at the path already; by default it is replaced. There is nothing to append to.
    pub fn if_exists(mut self, what: IfExists) -> Writer {
        match (what, &self.to) {
            (IfExists::Append, _) => self.misfit("IfExists::Append"),
            (_, Target::Own(_)) => self.misfit("if_exists"),
            _ => {
                self.if_exists = what;
                self
            }
        }
    }

    /// What was written also survives a loss of power.
    pub fn durable(mut self, durable: bool) -> Writer {
        if let Target::Own(_) = self.to {
            return self.misfit("durable");
        }
        self.durable = durable;
        self
    }

    pub(super) fn misfit(mut self, option: &str) -> Writer {
        self.wrong.get_or_insert_with(|| format!("`{option}` is no option of `{}`", self.verb));
        self
    }

    /// Writes, with the current runtime.
    ///
    /// # Errors
    /// Of the plan or the run; of kind `Io`, where it cannot be written; of kind `Plan`, where something stands at the path that is not to be
    /// replaced. In all these cases the path is what it was.
    #[track_caller]
    pub fn write(&self) -> Result<Written> {
        self.compute()
    }

    fn made(&self) -> Result<Blocks> {
        let mut blocks = self.blocks.clone()?;
        if let Some(text) = &self.wrong {
            return Err(Error::new(ErrorKind::Plan, text));
        }
        let (shape, dtype) = (blocks.known_shape()?, blocks.dtype);
        let (if_exists, durable) = (self.if_exists, self.durable);
        let (label, target, cuts): (String, Arc<dyn BlockTarget>, Vec<Cuts>) = match &self.to {
            Target::Npy(path) => {
                let target = NpyTarget { path: path.clone(), dtype, shape, if_exists, durable };
                (path.display().to_string(), Arc::new(target), blocks.cuts.to_vec())
            }
            Target::NpyStack(directory, axis) => {
                let axis = resolve_axis(*axis, shape.len())?;
                let along =
                    |(at, len): (usize, &usize)| if at == axis { blocks.cuts[at].clone() } else { Cuts::whole(*len) };
                let cuts: Vec<Cuts> = shape.iter().enumerate().map(along).collect();
                let ends = cuts[axis].known().unwrap_or(&[]).to_vec();
                let directory = directory.clone();
                let label = directory.display().to_string();
                (
                    label,
                    Arc::new(NpyStackTarget { directory, dtype, shape, axis, cuts: ends, if_exists, durable }),
                    cuts,
                )
            }
            #[cfg(feature = "zarr")]
            Target::Zarr(path, options) => {
                let called = (self.verb, self.origin);
                let (own, target) = zarr::target(&blocks, path, options, (if_exists, durable), called)?;
                let cuts = own.cuts.to_vec();
                blocks = own;
                (path.display().to_string(), target, cuts)
            }
            Target::Own(target) => ("a target of the program".to_string(), target.clone(), blocks.cuts.to_vec()),
        };
        if cuts[..] != blocks.cuts[..] {
            blocks = Blocks::new(Op::Rechunk, &[&blocks], dtype, cuts, self.verb, self.origin)?;
        }
        Blocks::new(Op::Write(WriteOp { label, target }), &[&blocks], DType::U8, Vec::new(), self.verb, self.origin)
    }

    fn node(&self) -> NodeRef {
        let made = self.made().map_err(|error| error.frame(Role::In, self.verb, self.origin));
        made.map_or_else(Poisoned::node, |blocks| blocks.node)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.blocks.as_ref().map(|blocks| blocks.node.node().label());
        f.debug_struct("Writer").field("of", &node).field("verb", &self.verb).finish_non_exhaustive()
    }
}

impl Computable for Writer {
    type Output = Written;
    type Pending = Arc<OneValue>;

    fn request(&self, request: &mut Request) -> Arc<OneValue> {
        let value = Arc::new(OneValue::default());
        request.want(&self.node(), value.clone());
        value
    }

    fn finish(pending: Arc<OneValue>) -> Result<Written> {
        pending.take().ok_or_else(|| Error::internal("nothing is told of what was written"))?.take_or_clone()
    }
}

/// A program's own target to the engine.
struct OwnTarget<A, T> {
    target: Arc<T>,
    shape: Vec<usize>,
    type_of: PhantomData<fn() -> A>,
}

impl<A: Element, T: ArrayTarget<A>> BlockTarget for OwnTarget<A, T> {
    fn begin(&self) -> Result<Box<dyn OpenTarget>> {
        self.target.begin(&self.shape).map_err(Error::from_user)?;
        let (target, shape) = (self.target.clone(), self.shape.clone());
        Ok(Box::new(OwnTarget { target, shape, type_of: self.type_of }))
    }

    fn need(&self, block_bytes: u64) -> u64 {
        // Truths are given as they are.
        self.target.need(block_bytes)
    }
}

impl<A: Element, T: ArrayTarget<A>> OpenTarget for OwnTarget<A, T> {
    fn write(&self, _: &[u32], region: &[Range<usize>], block: &NdBlock) -> Result<u64> {
        if block.shape().contains(&0) {
            return Ok(0);
        }
        self.target.write_block(region, view::<A, IxDyn>(block)?).map_err(Error::from_user)?;
        Ok(block.data().bytes())
    }

    fn finish(&self) -> Result<Vec<PathBuf>> {
        self.target.finish().map_err(Error::from_user)?;
        Ok(Vec::new())
    }
}
