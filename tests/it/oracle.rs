//! Random tables and random plans, computed by the library in every way it can, and row by row by a naive engine.
//!
//! `ORACLE_CASES` says how many plans are tried, `ORACLE_SEED` with which one to begin.

mod expr;
mod merge;
mod source;
mod value;
mod verbs;

use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use chunkwise::prelude::*;

use crate::support::{AMPLE, On, noise};
use value::{Rows, V, cells, difference, exactly};
use verbs::Verb;

/// Choices that look random, all of one seed.
pub struct Pick {
    seed: u64,
    at: u64,
}

impl Pick {
    pub fn below(&mut self, most: usize) -> usize {
        self.at += 1;
        (noise(noise(self.seed) ^ self.at) >> 20) as usize % most.max(1)
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn one<X: Copy>(&mut self, of: &[X]) -> X {
        of[self.below(of.len())]
    }

    /// A number of rows: mostly small.
    pub fn size(&mut self) -> usize {
        match self.below(4) {
            0 => self.below(3),
            1 => self.below(300),
            _ => self.below(20),
        }
    }

    pub fn text(&mut self) -> String {
        let texts = ["", "a", "b", "ab", "abc", "é", "日本", "a b", "A", "ß", "ab\u{301}", "zz", "b-", "Z", "😀"];
        self.one(&texts).to_string()
    }
}

const PASSES: [&str; 9] = ["merge", "simplify", "predicates", "columns", "limits", "pipeline", "cull", "share", "fuse"];

/// A limit in which every test table fits, but not much more.
const SMALL: u64 = 24 << 20;

/// A way to run: how, which passes are off, and the limit.
struct Way {
    name: String,
    on: On,
    off: Vec<&'static str>,
    limit: u64,
    runtime: OnceCell<Runtime>,
}

impl Way {
    fn all() -> Vec<Way> {
        let mut ways = Vec::new();
        let mut add = |on: On, off: Vec<&'static str>, limit: u64| {
            let name = format!("{on:?}, without {off:?}, limit {limit}");
            ways.push(Way { name, on, off, limit, runtime: OnceCell::new() });
        };
        let on = [On::Synchronous, On::Threads(2), On::Threads(8)];
        for limit in [AMPLE, SMALL] {
            for on in on {
                add(on, Vec::new(), limit);
            }
        }
        for (at, pass) in PASSES.into_iter().enumerate() {
            add(on[at % 3], vec![pass], if at % 2 == 0 { AMPLE } else { SMALL });
        }
        for on in on {
            add(on, PASSES.to_vec(), AMPLE);
        }
        ways
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.get_or_init(|| {
            let builder = self.on.set(Runtime::builder().memory_limit(self.limit));
            let builder =
                self.off.iter().fold(builder, |builder, pass| builder.set(&format!("optimize.{pass}"), false));
            builder.build().unwrap()
        })
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn many(cases: u64, salt: u64) {
    let (cases, first) = (setting("ORACLE_CASES", cases), setting("ORACLE_SEED", 0));
    let ways = Way::all();
    let mut wrong = Vec::new();
    for seed in first..first + cases {
        let done = catch_unwind(AssertUnwindSafe(|| one(salt ^ seed, &ways)));
        match done {
            Ok(Ok(())) => {}
            Ok(Err(text)) => wrong.push(format!("seed {seed}: {text}")),
            Err(panic) => {
                println!("seed {seed} panics");
                resume_unwind(panic);
            }
        }
        if wrong.len() >= 5 {
            break;
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

/// One table, one plan, all ways.
fn one(seed: u64, ways: &[Way]) -> Result<(), String> {
    let mut pick = Pick { seed, at: 0 };
    let table = source::random(&mut pick);
    let mut verbs: Vec<Verb> = Vec::new();
    let mut rows: Result<Rows, expr::Overflow> = Ok(table.rows.clone());
    for _ in 0..1 + pick.below(6) {
        let Ok(known) = &rows else { break };
        let Some(verb) = Verb::pick(&mut pick, known) else { continue };
        rows = verb.run(known);
        verbs.push(verb);
        // No verb of this engine takes lists.
        if rows.as_ref().is_ok_and(|rows| rows.columns.iter().any(|column| matches!(column.of, value::T::List(_)))) {
            break;
        }
    }
    let frame = table.frame();
    let told = verbs.iter().fold(frame.clone(), |df, verb| verb.tell(&df));
    let story = || {
        let verbs: Vec<String> = verbs.iter().map(|verb| format!("    {verb:?}")).collect();
        format!("{}\n{}", table.story, verbs.join("\n"))
    };
    let partial = verbs.iter().any(Verb::is_partial);
    let mut bits: Vec<(&Way, Vec<Vec<String>>)> = Vec::new();
    for way in ways {
        let computed = told.compute_on(way.runtime());
        match (&rows, computed) {
            (Ok(expected), Ok(computed)) => {
                if let Some(text) = difference(&computed, expected) {
                    return Err(format!("{text}\n  {}\n{}", way.name, story()));
                }
                let own = exactly(&cells(&computed));
                // The same plan gives the same bits on any threads, under any limit.
                if let Some((other, _)) = bits.iter().find(|(other, known)| other.off == way.off && *known != own) {
                    return Err(format!("other bits than {}\n  {}\n{}", other.name, way.name, story()));
                }
                bits.push((way, own));
            }
            (Ok(expected), Err(error)) if expected.shaky && error.kind() == ErrorKind::Data => {}
            (Ok(_), Err(error)) => return Err(format!("{error}\n  {}\n{}", way.name, story())),
            (Err(_), Err(error)) if error.kind() == ErrorKind::Data => {}
            (Err(_), Err(error)) => {
                return Err(format!("of kind {:?}: {error}\n  {}\n{}", error.kind(), way.name, story()));
            }
            // Rows that nobody asks for may go uncomputed.
            (Err(_), Ok(_)) if partial || !way.off.contains(&"columns") => {}
            (Err(_), Ok(_)) => return Err(format!("no error of an overflow\n  {}\n{}", way.name, story())),
        }
    }
    Ok(())
}

#[test]
fn random_plans_give_what_a_naive_engine_gives() {
    many(250, 0);
}

#[test]
fn the_naive_engine_is_right_about_itself() {
    use std::cmp::Ordering::{Greater, Less};
    assert_eq!(value::order(&V::Float(f64::NAN), &V::Float(f64::INFINITY)), Greater);
    assert_eq!(value::order(&V::Null, &V::Float(f64::NAN)), Greater);
    assert_eq!(value::order(&V::Text("Z".into()), &V::Text("a".into())), Less);
    assert!(value::order(&V::Float(-0.0), &V::Float(0.0)).is_eq());
    assert_eq!(expr::promoted(value::T::Int(64, true), value::T::Int(64, false)), None);
}

#[test]
fn more_groups_than_a_table_in_cache_holds() {
    use arrow::array::AsArray as _;
    use arrow::datatypes::Int64Type;
    use chunkwise::dataframe::IntoArray as _;
    use std::collections::BTreeMap;
    const ROWS: u64 = 200_000;
    let key = |at: u64| (noise(at) % 80_000) as i64 - 40_000;
    let value = |at: u64| (noise(at ^ 77) % 1000) as i64;
    let keys: Vec<i64> = (0..ROWS).map(key).collect();
    let words: Vec<String> = (0..ROWS).map(|at| format!("w{:06}", key(at) + 40_000)).collect();
    let values: Vec<i64> = (0..ROWS).map(value).collect();
    let columns = [("k", keys.into_array()), ("w", words.into_array()), ("v", values.into_array())];
    let df = dataframe::from_columns(columns).compute().unwrap().to_dataframe(7);
    // Number, sum, least, first and last value.
    let mut expected: BTreeMap<i64, [i64; 5]> = BTreeMap::new();
    for at in 0..ROWS {
        let value = value(at);
        let group = expected.entry(key(at)).or_insert([0, 0, i64::MAX, value, 0]);
        *group = [group[0] + 1, group[1] + value, group[2].min(value), group[3], value];
    }
    let aggregates = || {
        let v = || col("v");
        [
            v().count().alias("0"),
            v().sum().alias("1"),
            v().min().alias("2"),
            v().first().alias("3"),
            v().last().alias("4"),
        ]
    };
    let flat: Vec<i64> = expected.values().flatten().copied().collect();
    for on in [On::Synchronous, On::Threads(8)] {
        let (runtime, _) = on.runtime(AMPLE);
        let by_number = df.group_by(["k"]).agg(aggregates()).compute_on(&runtime).unwrap();
        let by_word = df.group_by(["w"]).agg(aggregates()).compute_on(&runtime).unwrap();
        let found = by_number.array("k").unwrap();
        assert!(found.as_primitive::<Int64Type>().values().iter().eq(expected.keys()), "{on:?}: keys in order");
        let named = expected.keys().map(|key| format!("w{:06}", key + 40_000));
        assert!(
            by_word.texts("w").unwrap().iter().map(|word| word.unwrap().to_string()).eq(named),
            "{on:?}: words in order"
        );
        for table in [by_number, by_word] {
            for at in 0..5 {
                let column = table.column::<Int64Type>(&at.to_string()).unwrap();
                let wanted = flat.iter().skip(at).step_by(5);
                assert!(column.values().iter().eq(wanted), "{on:?}: column {at}");
            }
        }
    }
}
