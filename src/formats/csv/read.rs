//! Reading one file: its own column order, the columns that are wanted, batch by batch.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Decoder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::locate::locate;
use super::quotes::{Quotes, never_closed};
use super::sample::{batch_rows, header};
use super::{CsvSource, format};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::files;

/// One file as it is laid out, and what is wanted of it.
pub(super) struct Layout {
    /// Its columns in its own order; of wanted ones the type of the source.
    pub schema: SchemaRef,
    /// Where the wanted columns stand in it, ascending.
    pub projection: Vec<usize>,
    /// For each wanted column, in the order of the source, its place among the projected ones.
    pub order: Vec<usize>,
}

impl CsvSource {
    /// The schema of some of the columns.
    pub fn projected(&self, columns: &[usize]) -> SchemaRef {
        let fields = columns.iter().filter_map(|column| self.schema.fields().get(*column).cloned());
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Some columns of one file as batches, at least one. `between` is called after each batch.
    ///
    /// # Errors
    /// Of kind `Io`, where the file cannot be read; of kind `Data`, with line and column, where it is not what it should
    /// be; and what `between` returns.
    pub fn read(
        &self,
        file: usize,
        columns: &[usize],
        mut between: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<Vec<RecordBatch>> {
        let path = &self.files.get(file).ok_or_else(|| Error::internal("a file that is not there"))?.path;
        let layout = self.layout(file, columns)?;
        let schema = self.projected(columns);
        let mut reader = files::open(path)?;
        let mut decoder = self.decoder(&layout, batch_rows(layout.schema.fields().len()))?;
        let mut batches = Vec::new();
        let mut quotes = Quotes::new(self.options.delimiter);
        loop {
            loop {
                let text = reader.fill_buf().map_err(|error| Error::io(path, "cannot read", error))?;
                let used = decoder.decode(text).map_err(|error| locate(self, file, &layout, &error))?;
                quotes.pass(&text[..used]);
                reader.consume(used);
                if used == 0 || decoder.capacity() == 0 {
                    break;
                }
            }
            let Some(batch) = decoder.flush().map_err(|error| locate(self, file, &layout, &error))? else { break };
            let ordered = layout.order.iter().map(|at| batch.column(*at).clone()).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let batch = RecordBatch::try_new_with_options(schema.clone(), ordered, &options);
            let batch = batch.map_err(|error| Error::internal(format!("a batch of {}: {error}", path.display())))?;
            between(&batch)?;
            batches.push(batch);
        }
        if let Some(line) = quotes.open() {
            return Err(Error::new(ErrorKind::Data, format!("{}, {}", path.display(), never_closed(line))));
        }
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(schema));
        }
        Ok(batches)
    }

    /// Where the columns of the source stand in one of its files.
    fn layout(&self, file: usize, columns: &[usize]) -> Result<Layout> {
        let path = &self.files[file].path;
        let names = header(path, &self.options)?;
        let mut places = Vec::with_capacity(columns.len());
        for field in columns.iter().filter_map(|column| self.schema.fields().get(*column)) {
            let (place, _) = names.column_with_name(field.name()).ok_or_else(|| {
                let there: Vec<&str> = names.fields().iter().map(|field| field.name().as_str()).collect();
                let (path, name, there) = (path.display(), field.name(), there.join(", "));
                Error::new(ErrorKind::Data, format!("{path} has no column `{name}`; its columns are {there}"))
            })?;
            places.push(place);
        }
        let mut projection = places.clone();
        projection.sort_unstable();
        let order = places.iter().map(|place| projection.partition_point(|other| other < place)).collect();
        let fields = names.fields().iter().map(|field| {
            let known = self.schema.field_with_name(field.name());
            Field::new(field.name(), known.map_or(DataType::Utf8, |known| known.data_type().clone()), true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Layout { schema, projection, order })
    }

    /// A parser of a file from its header on.
    pub(super) fn decoder(&self, layout: &Layout, rows: usize) -> Result<Decoder> {
        let builder = ReaderBuilder::new(layout.schema.clone())
            .with_format(format(&self.options)?)
            .with_projection(layout.projection.clone())
            .with_batch_size(rows);
        Ok(builder.build_decoder())
    }

    /// Whether the type of a column was declared.
    pub(super) fn is_declared(&self, name: &str) -> bool {
        self.options.dtypes.iter().any(|(declared, _)| declared == name)
    }
}
