//! Other views of an array: slices, transposed and broadcast ones, as a map from places to places.

/// Where the places along one axis of what is viewed come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AxisMap {
    /// The axis of the view that goes along this one; a fixed place where there is none.
    pub of: Option<usize>,
    /// The place of the first.
    pub start: i64,
    /// The step from one to the next; 0 where the place is fixed.
    pub step: i64,
}

/// A view: for each axis of what is viewed, how its places follow from those of the view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct View {
    pub axes: Vec<AxisMap>,
}

impl AxisMap {
    /// One place.
    pub fn fixed(at: i64) -> AxisMap {
        AxisMap { of: None, start: at, step: 0 }
    }

    /// The axis as it is.
    pub fn same(of: usize) -> AxisMap {
        AxisMap { of: Some(of), start: 0, step: 1 }
    }

    /// The first place of the view that lies beyond a cut of what is viewed, in the direction of the step; nothing where the place is
    /// fixed.
    pub fn beyond(&self, cut: i64) -> Option<i64> {
        match self.step {
            0 => None,
            step if step > 0 => {
                Some((cut - self.start).div_euclid(step) + i64::from((cut - self.start).rem_euclid(step) != 0))
            }
            step => Some((self.start - cut).div_euclid(-step) + 1),
        }
    }

    /// The place that belongs to one of the view.
    pub fn at(&self, place: usize) -> i64 {
        self.start + self.step * place as i64
    }
}

impl View {
    /// All axes as they are.
    pub fn identity(rank: usize) -> View {
        View { axes: (0..rank).map(AxisMap::same).collect() }
    }

    /// Of an array of a shape, as one of a shape that it broadcasts to.
    pub fn broadcast(from: &[Option<usize>], rank: usize) -> View {
        let behind = rank - from.len();
        let axes = from.iter().enumerate().map(|(axis, len)| match len {
            Some(1) => AxisMap::fixed(0),
            _ => AxisMap::same(axis + behind),
        });
        View { axes: axes.collect() }
    }

    /// Of an array of so many axes without some of them, of which one place each is looked at.
    pub fn without(rank: usize, places: &[(usize, i64)]) -> View {
        let mut left = 0..rank;
        let axes = (0..rank).map(|axis| match places.iter().find(|(of, _)| *of == axis) {
            Some((_, place)) => AxisMap::fixed(*place),
            None => left.next().map_or(AxisMap::fixed(0), AxisMap::same),
        });
        View { axes: axes.collect() }
    }

    /// The view of a view: this one looks at what `inner` gives.
    pub fn of(&self, inner: &View) -> View {
        let axes = inner.axes.iter().map(|axis| match axis.of {
            None => *axis,
            Some(middle) => {
                let outer = self.axes[middle];
                AxisMap {
                    of: outer.of,
                    start: axis.start + axis.step * outer.start,
                    step: if outer.of.is_none() { 0 } else { axis.step * outer.step },
                }
            }
        });
        View { axes: axes.collect() }
    }
}

/// The strides of a block of a shape, by rows.
pub(crate) fn strides(shape: &[usize]) -> Vec<i64> {
    let mut strides = vec![1i64; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as i64;
    }
    strides
}

/// The places of a task on the axes of a grid.
pub(crate) fn coords(index: u32, lens: impl DoubleEndedIterator<Item = u32>) -> Vec<u32> {
    let mut rest = index;
    let mut coords: Vec<u32> = lens
        .rev()
        .map(|len| {
            let at = rest % len.max(1);
            rest /= len.max(1);
            at
        })
        .collect();
    coords.reverse();
    coords
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_of_views() {
        // x[2.., ::-1].t() of 5 by 4, then every second row of that.
        let slice = View {
            axes: vec![AxisMap { of: Some(0), start: 2, step: 1 }, AxisMap { of: Some(1), start: 3, step: -1 }],
        };
        let turned = View { axes: vec![AxisMap::same(1), AxisMap::same(0)] };
        let second = View { axes: vec![AxisMap { of: Some(0), start: 0, step: 2 }, AxisMap::same(1)] };
        let all = second.of(&turned).of(&slice);
        assert_eq!(all.axes[0], AxisMap { of: Some(1), start: 2, step: 1 });
        assert_eq!(all.axes[1], AxisMap { of: Some(0), start: 3, step: -2 });
        let row = View { axes: vec![AxisMap::fixed(1), AxisMap::same(0)] };
        assert_eq!(row.of(&slice).axes[0], AxisMap::fixed(3));
        assert_eq!(row.of(&slice).axes[1], AxisMap { of: Some(0), start: 3, step: -1 });
        let wide = View::broadcast(&[Some(1), Some(4)], 3);
        assert_eq!(wide.axes, [AxisMap::fixed(0), AxisMap::same(2)]);
    }
}
