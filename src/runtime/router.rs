//! Hands the outputs of a run to those that want them.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;
use crate::executor::Receiver;
use crate::plan::{Lowered, Sink};
use crate::store::Chunk;

struct Route {
    outputs: Range<u32>,
    sink: usize,
    /// Number of the first value within the wanted node.
    offset: u32,
}

pub(super) struct Router {
    routes: Vec<Route>,
    sinks: Vec<Arc<dyn Sink>>,
}

impl Router {
    /// `results` tells, where passes merged outputs, which distinct output stands for each result.
    pub fn new(lowered: &Lowered, results: Option<&[u32]>) -> Router {
        let mut routes = Vec::new();
        let mut first = 0;
        for (sink, (count, _)) in lowered.sinks.iter().enumerate() {
            match results {
                None => routes.push(Route { outputs: first..first + count, sink, offset: 0 }),
                Some(results) => {
                    for step in 0..*count {
                        let output = results[(first + step) as usize];
                        routes.push(Route { outputs: output..output + 1, sink, offset: step });
                    }
                }
            }
            first += count;
        }
        routes.retain(|route| !route.outputs.is_empty());
        routes.sort_by_key(|route| route.outputs.start);
        Router { routes, sinks: lowered.sinks.iter().map(|(_, sink)| sink.clone()).collect() }
    }
}

impl Receiver for Router {
    fn put(&self, outputs: &mut Vec<(u32, Chunk)>) -> Result<()> {
        if let [Route { outputs: range, sink, offset }] = &self.routes[..] {
            let (start, offset) = (range.start, *offset);
            return self.sinks[*sink].put(&mut outputs.drain(..).map(|(at, chunk)| (at - start + offset, chunk)));
        }
        for (output, chunk) in outputs.drain(..) {
            // Ranges overlap only where they are equal.
            let first = self.routes.partition_point(|route| route.outputs.end <= output);
            let mut takers = self.routes[first..].iter().take_while(|route| route.outputs.contains(&output)).peekable();
            let mut chunk = Some(chunk);
            while let Some(route) = takers.next() {
                let value = if takers.peek().is_some() { chunk.clone() } else { chunk.take() };
                let number = output - route.outputs.start + route.offset;
                self.sinks[route.sink].put(&mut value.map(|value| (number, value)).into_iter())?;
            }
        }
        Ok(())
    }
}
