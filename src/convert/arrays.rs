//! Blocks of arrays as values of tasks, and back.

use std::sync::Arc;

use ndarray::{Dimension, IntoDimension, IxDyn};

use super::rows::Parts;
use super::{Conversion, Delayed, Pattern, TaskInputs};
use crate::array::{Array, Blocks, Cuts, Element, block_of, view_of};
use crate::error::{Error, ErrorKind, Result, Role as Place};
use crate::graph::{Each, Meta, TaskContext, call_of_kind};
use crate::origin::Origin;
use crate::plan::NodeRef;
use crate::store::NdBlock;

impl<A: Element, D: Dimension + 'static> Array<A, D> {
    /// An array of one block that a task gives, of a shape that is declared: [`stack`](crate::array::stack) and
    /// [`concatenate`](crate::array::concatenate) put several together.
    ///
    /// # Errors
    /// At compute, of kind `Data`, where the task gives another shape; what the task returns.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let part = |n: i64| delayed(move || ndarray::arr1(&[n, n + 1]));
    /// let parts = [1, 5].map(|n| Array::from_delayed(&part(n), 2));
    /// let all = array::concatenate(0, &[&parts[0], &parts[1]]);
    /// assert_eq!(all.compute()?, ndarray::arr1(&[1, 2, 5, 6]));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn from_delayed<Sh: IntoDimension<Dim = D>>(value: &Delayed<ndarray::Array<A, D>>, shape: Sh) -> Array<A, D> {
        let (verb, origin) = ("from_delayed", Origin::caller());
        let shape: Vec<usize> = shape.into_dimension().slice().to_vec();
        let cuts = shape.iter().map(|len| Cuts::whole(*len)).collect();
        let meta = Arc::new(Meta { name: verb.to_string(), verb, origin });
        let call =
            call_of_kind(&meta, 0, NdBlock::kind(), move |_: &TaskContext<'_>, inputs: &mut TaskInputs<'_>, out| {
                let given: ndarray::Array<A, D> = inputs.take(0)?;
                if given.shape() != shape {
                    let text =
                        format!("the task gave an array of the shape {:?} where {shape:?} was declared", given.shape());
                    return Err(Error::new(ErrorKind::Data, text));
                }
                out.push(block_of(given)?);
                Ok(())
            });
        let parts = Parts { meta: (*meta).clone(), inputs: vec![value.source().clone()], call };
        let made = Blocks::outside(NodeRef::new(parts), A::DTYPE, cuts, verb, origin);
        Array::of(made.map_err(|error| error.frame(Place::In, verb, origin)))
    }

    /// Each block as a value of a task of its own, as they stand along the axes.
    ///
    /// # Errors
    /// What is wrong with the plan.
    ///
    /// ```
    /// use chunkwise::prelude::*;
    ///
    /// let x = array::from_ndarray(ndarray::arr2(&[[1, 2, 3], [4, 5, 6]]), (2, 2));
    /// let sums = x.to_delayed_blocks()?.map(|block| block.map(|block: &ndarray::Array2<i32>| block.sum()));
    /// assert_eq!(compute((&sums[[0, 0]], &sums[[0, 1]]))?, (12, 9));
    /// # Ok::<(), chunkwise::Error>(())
    /// ```
    #[track_caller]
    pub fn to_delayed_blocks(&self) -> Result<ndarray::Array<Delayed<ndarray::Array<A, D>>, D>> {
        let (verb, origin) = ("to_delayed_blocks", Origin::caller());
        let blocks = self.planned()?;
        let counts: Vec<usize> = blocks.cuts.iter().map(|cuts| cuts.blocks() as usize).collect();
        let op = Each::new(|_: &TaskContext<'_>, _, inputs: &mut TaskInputs<'_>| {
            view_of::<A, D>(inputs.get::<NdBlock>(0)?).map(|view| view.to_owned())
        });
        let op: Arc<dyn crate::graph::LayerOp> = Arc::new(op);
        let each = |start: u32| {
            let pattern = Pattern::Slice { start, step: 1 };
            let (input, op) = (blocks.node.clone(), op.clone());
            Delayed::from_node(NodeRef::new(Conversion { verb, origin, input, pattern, tasks: 1, op }))
        };
        let all = ndarray::Array::from_shape_vec(IxDyn(&counts), (0..blocks.count()).map(each).collect());
        let all = all.and_then(ndarray::Array::into_dimensionality::<D>);
        all.map_err(|error| Error::internal(format!("blocks that have other axes than their array: {error}")))
    }
}
