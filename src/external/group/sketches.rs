//! Sketches by group: about how many distinct values there are, and about which value stands where among all.
//!
//! A sketch takes some thousand bytes, however many values there are. Both are those of Apache DataSketches: HyperLogLog (Flajolet
//! et al. 2007) and the merging t-digest (Dunning and Ertl 2019).

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::row::{RowConverter, SortField};
use datasketches::hll::{HllSketch, HllType, HllUnion};
use datasketches::tdigest::TDigestMut;

use super::Rows;
use super::intern::failed;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::one_zero;

/// The logarithm of the number of registers: 16 384, of a byte each. The standard error is 1.04 / 128.
const REGISTERS: u8 = 14;

/// About how many centroids a digest has.
const COMPRESSION: u16 = 200;

/// About how many distinct values each group has; null is none.
///
/// Registers do not depend on the order of the values, and neither does what is estimated of them alone; the sketch's own estimate does.
pub struct Distincts {
    converter: RowConverter,
    groups: Vec<Option<Box<HllSketch>>>,
    bytes: usize,
}

impl Distincts {
    pub fn new(data_type: &DataType) -> Result<Distincts> {
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())]);
        let converter = converter.map_err(|_| {
            Error::new(ErrorKind::Unsupported, format!("distinct values of type {data_type} are not told apart"))
        })?;
        Ok(Distincts { converter, groups: Vec::new(), bytes: 0 })
    }

    pub fn bytes(&self) -> usize {
        self.bytes + 8 * self.groups.capacity()
    }

    pub fn update(&mut self, rows: &Rows<'_>, array: &ArrayRef) -> Result<()> {
        self.groups.resize(rows.count, None);
        let array = one_zero(array).map_err(failed)?;
        let encoded = self.converter.convert_columns(std::slice::from_ref(&array)).map_err(failed)?;
        let (groups, bytes, mut refused) = (&mut self.groups, &mut self.bytes, None);
        rows.each_valid(array.logical_nulls().as_ref(), |row, group| {
            let sketch = match &mut groups[group] {
                Some(sketch) => sketch,
                none => match HllSketch::new(REGISTERS, HllType::Hll8) {
                    Ok(sketch) => {
                        *bytes += sketch.estimated_size();
                        none.insert(Box::new(sketch))
                    }
                    Err(error) => return refused = Some(error),
                },
            };
            let before = sketch.estimated_size();
            sketch.update(encoded.row(row).data());
            *bytes = (*bytes + sketch.estimated_size()).saturating_sub(before);
        });
        refused.map_or(Ok(()), |error| Err(defect(error)))
    }

    pub fn merge(&mut self, other: Distincts, map: &[u32], count: usize) -> Result<()> {
        self.groups.resize(count, None);
        for (group, other) in map.iter().zip(other.groups) {
            let (own, Some(other)) = (&mut self.groups[*group as usize], other) else { continue };
            let before = own.as_ref().map_or(0, |own| own.estimated_size());
            let both = match own.take() {
                None => other,
                Some(own) => {
                    let mut union = HllUnion::new(REGISTERS).map_err(defect)?;
                    union.update(&own);
                    union.update(&other);
                    Box::new(union.to_sketch(HllType::Hll8))
                }
            };
            self.bytes = (self.bytes + both.estimated_size()).saturating_sub(before);
            *own = Some(both);
        }
        Ok(())
    }

    pub fn counts(&mut self, count: usize) -> Vec<i64> {
        self.groups.resize(count, None);
        let estimate = |sketch: &HllSketch| sketch.composite_estimate().round() as i64;
        self.groups.iter().map(|sketch| sketch.as_deref().map_or(0, estimate)).collect()
    }
}

/// About which value stands where among all of a group.
#[derive(Default)]
pub struct Digests {
    groups: Vec<Option<Box<Digest>>>,
    /// Groups that have one.
    made: usize,
}

struct Digest {
    /// The finite ones.
    values: TDigestMut,
    /// Numbers of infinite values, of both signs.
    lowest: u64,
    highest: u64,
    has_nan: bool,
}

impl Digest {
    fn add(&mut self, value: f64) {
        match value {
            f64::NEG_INFINITY => self.lowest += 1,
            f64::INFINITY => self.highest += 1,
            value if value.is_nan() => self.has_nan = true,
            value => self.values.update(value),
        }
    }

    fn quantile(&mut self, part: f64) -> Result<f64> {
        if self.has_nan {
            return Ok(f64::NAN);
        }
        let finite = self.values.total_weight() as f64;
        let place = part * (finite + (self.lowest + self.highest) as f64) - self.lowest as f64;
        if self.lowest > 0 && place <= 0.0 {
            return Ok(f64::NEG_INFINITY);
        }
        if self.highest > 0 && place >= finite {
            return Ok(f64::INFINITY);
        }
        let found = self.values.quantile((place / finite).clamp(0.0, 1.0)).map_err(defect)?;
        found.ok_or_else(|| Error::internal("a digest of nothing"))
    }
}

impl Digests {
    pub fn bytes(&self) -> usize {
        // What a digest has buffered and merged at most.
        self.made * 48 * usize::from(COMPRESSION) + 8 * self.groups.capacity()
    }

    pub fn update(&mut self, rows: &Rows<'_>, array: &ArrayRef) -> Result<()> {
        self.groups.resize_with(rows.count, || None);
        let values = cast(array, &DataType::Float64).map_err(failed)?;
        let floats = values.as_primitive::<Float64Type>().values();
        let (groups, made, mut refused) = (&mut self.groups, &mut self.made, None);
        rows.each_valid(values.nulls(), |row, group| {
            let digest = match &mut groups[group] {
                Some(digest) => digest,
                none => match TDigestMut::new(COMPRESSION) {
                    Ok(values) => {
                        *made += 1;
                        none.insert(Box::new(Digest { values, lowest: 0, highest: 0, has_nan: false }))
                    }
                    Err(error) => return refused = Some(error),
                },
            };
            digest.add(floats[row]);
        });
        refused.map_or(Ok(()), |error| Err(defect(error)))
    }

    pub fn merge(&mut self, other: Digests, map: &[u32], count: usize) {
        self.groups.resize_with(count, || None);
        for (group, other) in map.iter().zip(other.groups) {
            let Some(other) = other else { continue };
            match &mut self.groups[*group as usize] {
                Some(own) => {
                    own.values.merge(&other.values);
                    own.lowest += other.lowest;
                    own.highest += other.highest;
                    own.has_nan |= other.has_nan;
                }
                none => {
                    *none = Some(other);
                    self.made += 1;
                }
            }
        }
    }

    /// The value at a part of all; null of none, NaN where one is.
    pub fn quantiles(&mut self, count: usize, part: f64) -> Result<Vec<Option<f64>>> {
        self.groups.resize_with(count, || None);
        let quantile =
            |digest: &mut Option<Box<Digest>>| digest.as_mut().map(|digest| digest.quantile(part)).transpose();
        self.groups.iter_mut().map(quantile).collect()
    }
}

fn defect(error: datasketches::error::Error) -> Error {
    Error::internal(format!("a sketch: {error}"))
}
