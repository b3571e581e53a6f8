"""Writes rules.json: subtle cases with what pandas or DuckDB say of them, and where the library differs on purpose, its own answer.

Run with Python, pandas 3 and DuckDB. A case is a table (columns with types), an operation in the words of `rules.rs`, and the
expected columns. Floats are written as text, so that NaN, infinities and -0.0 go through.
"""

import json
import math
import pathlib

import duckdb
import numpy as np
import pandas as pd

NAN, INF = math.nan, math.inf
cases = []


def plain(value):
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    return str(value)


def case(name, columns, do, expected, **more):
    """columns: name -> (type, values); expected: name -> (type, values), or an error's text."""
    write = lambda table: [[name, of, [plain(value) for value in values]] for name, (of, values) in table.items()]
    error = expected if isinstance(expected, str) else None
    made = None if error else write(expected)
    cases.append({"name": name, "columns": write(columns), "do": do, "expected": made, "error": error, **more})


def sql(query, **tables):
    with duckdb.connect() as connection:
        for name, frame in tables.items():
            connection.register(name, frame)
        return [list(column) for column in zip(*connection.execute(query).fetchall())]


# Groups: all null, count and size, first and last skip nulls (pandas).
keys = ["a", "a", "b", "b", "c", None]
values = [1.0, None, None, None, 4.0, 9.0]
frame = pd.DataFrame({"k": pd.array(keys, "string"), "v": pd.array(values, "Float64")})
grouped = frame.groupby("k")["v"]
table = {"k": ("text", keys), "v": ("f64", values)}
for name, found in {
    "count": grouped.count(),
    "sum": grouped.sum(),
    "mean": grouped.mean(),
    "min": grouped.min(),
    "max": grouped.max(),
    "first": grouped.first(),
    "last": grouped.last(),
    "nunique": grouped.nunique(),
    "std": grouped.std(),
    "var": grouped.var(),
    "product": grouped.prod(),
}.items():
    of = "i64" if name in ("count", "nunique") else "f64"
    case(f"{name} of groups, one of nulls", table, ["group", "k", name], {"k": ("text", list(found.index)), "v": (of, list(found))})
found = frame.groupby("k").size()
case("size counts nulls", table, ["group", "k", "size"], {"k": ("text", list(found.index)), "v": ("i64", list(found))})
found = frame.groupby("k", dropna=False)["v"].count()
case("a null key is kept last", table, ["group_nulls", "k", "count"], {"k": ("text", list(found.index)), "v": ("i64", list(found))})

# NaN is a value (DuckDB): counted, propagated by sums, one key, the largest.
floats = [1.0, NAN, NAN, -0.0, 0.0, None, INF]
frame = pd.DataFrame({"v": pd.array(floats, dtype=object)})
t = "(select unnest(['1.0', 'nan', 'nan', '-0.0', '0.0', null, 'inf'])::double as v)"
k, n = sql(f"select v + 0.0, count(*) from {t} where v is not null group by v + 0.0 order by 1")
case("NaN are one key and the largest, zeros are one key", {"v": ("f64", floats)}, ["group_as", "v", "size"], {"k": ("f64", k), "v": ("i64", n)})
for name, query in {"count": "count(v)", "sum": "sum(v)", "mean": "avg(v)", "nunique": "count(distinct v + 0.0)"}.items():
    ((value,),) = sql(f"select {query} from {t}")
    case(f"{name} with NaN", {"v": ("f64", floats)}, ["agg", name], {"v": ("i64" if name in ("count", "nunique") else "f64", [value])})
# Ours: min and max skip NaN, as pandas does; DuckDB takes it for the largest.
case("min skips NaN", {"v": ("f64", [NAN, 2.0, -1.0])}, ["agg", "min"], {"v": ("f64", [-1.0])})
case("max skips NaN", {"v": ("f64", [NAN, 2.0, -1.0])}, ["agg", "max"], {"v": ("f64", [2.0])})
for name in ("min", "max"):
    case(f"{name} of NaN alone", {"v": ("f64", [NAN, None, NAN])}, ["agg", name], {"v": ("f64", [NAN])})
    case(f"{name} of nulls", {"v": ("f64", [None, None])}, ["agg", name], {"v": ("f64", [None])})

# Of nothing: sums are 0 and products 1, as in pandas; all else is null.
nothing = {"v": ("f64", [None, None])}
for name, value in {"sum": 0.0, "product": 1.0, "mean": None, "std": None, "var": None, "first": None, "last": None}.items():
    case(f"{name} of nulls", nothing, ["agg", name], {"v": ("f64", [value])})
for numbers in ([1.0, None, 2.0], [1.0, None], []):
    series = pd.Series(numbers, dtype="Float64")
    # Null where there are fewer values than are asked for (pandas).
    value = series.sum(min_count=2)
    case(f"sum of {numbers}, of two at least", {"v": ("f64", numbers)}, ["agg", "sum of two"], {"v": ("f64", [None if pd.isna(value) else float(value)])})
case("any of nothing", {"v": ("bool", [None])}, ["agg", "any"], {"v": ("bool", [False])})
case("all of nothing", {"v": ("bool", [None])}, ["agg", "all"], {"v": ("bool", [True])})

# Spread: n - 1 below, null of one row, 0 of constants (pandas).
for numbers in ([3.0], [3.0, 3.0, 3.0], [1.0, 2.0, 4.0, 8.0], [1e9, 1e9 + 1, 1e9 + 2], [0.1] * 10, [1e-3, 1e3, -1e3]):
    series = pd.Series(numbers, dtype="Float64")
    for name in ("std", "var", "sem"):
        value = getattr(series, name)()
        # The mean of ten times 0.1 is not 0.1 in floats: what is left is noise, and pandas has it too.
        case(f"{name} of {numbers}", {"v": ("f64", numbers)}, ["agg", name], {"v": ("f64", [value])}, near=1e-12, absolute=1e-15)
# Skewness and kurtosis: biased, as SciPy's default; pandas corrects the bias, so the formulas stand here.
for numbers in ([1.0, 2.0, 4.0, 8.0], [2.0, 8.0, 0.0, 4.0, 1.0, 9.0, 9.0, 0.0], [-1.0, 0.0, 1.0]):
    mean = math.fsum(numbers) / len(numbers)
    m2, m3, m4 = (math.fsum((x - mean) ** p for x in numbers) / len(numbers) for p in (2, 3, 4))
    case(f"skew of {numbers}", {"v": ("f64", numbers)}, ["agg", "skew"], {"v": ("f64", [m3 / m2**1.5])}, near=1e-12, absolute=1e-15)
    case(f"kurtosis of {numbers}", {"v": ("f64", numbers)}, ["agg", "kurtosis"], {"v": ("f64", [m4 / m2**2 - 3])}, near=1e-12)

# Integers: sums in 64 bits and checked, means of the exact sum.
case("sum of small integers", {"v": ("i8", [127, 127, 127])}, ["agg", "sum"], {"v": ("i64", [int(np.array([127] * 3, np.int8).sum())])})
case("sum of booleans", {"v": ("bool", [True, None, True])}, ["agg", "sum"], {"v": ("i64", [2])})
case("sum of u64", {"v": ("u64", [2**63, 2**62])}, ["agg", "sum"], {"v": ("u64", [2**63 + 2**62])})
case("sum too large", {"v": ("i64", [2**63 - 1, 1])}, ["agg", "sum"], "overflows")
case("sum that is large on the way", {"v": ("i64", [2**63 - 1, 1, -5])}, ["agg", "sum"], {"v": ("i64", [2**63 - 5])})
for numbers in ([2**53, 2**53 + 1, 2**53 + 2], [2**62, 2**62, 2**62, 2**62 + 4], [2**63 - 1, 2**63 - 1, -(2**63)]):
    # DuckDB adds exactly, in 128 bits.
    ((value,),) = sql("select avg(v) from t", t=pd.DataFrame({"v": pd.array(numbers, "Int64")}))
    case(f"mean of {numbers}", {"v": ("i64", numbers)}, ["agg", "mean"], {"v": ("f64", [float(value)])}, near=2e-16)
    case(f"variance of {numbers}", {"v": ("i64", numbers)}, ["agg", "var"], {"v": ("f64", [float(np.var([x - numbers[0] for x in map(int, numbers)], ddof=1, dtype=np.longdouble))])}, near=1e-12)
case("variance of large u64", {"v": ("u64", [2**64 - 1, 2**64 - 3, 2**64 - 5])}, ["agg", "var"], {"v": ("f64", [4.0])})

# Division: pandas for // and % (rounded down, the sign of the divisor), with null where it is by zero, as DuckDB has it.
a, b = [7, -7, 7, -7, 0, 5, None], [2, 2, -2, -2, 3, 0, 1]
whole = [None if x is None or y == 0 else x // y for x, y in zip(a, b)]
rest = [None if x is None or y == 0 else x % y for x, y in zip(a, b)]
pair = {"a": ("i64", a), "b": ("i64", b)}
case("// of integers", pair, ["math", "//"], {"v": ("i64", whole)})
case("% of integers", pair, ["math", "%"], {"v": ("i64", rest)})
# Ours: the quotient of integers is a float, by zero as IEEE says; pandas' Float64 has the same.
found = pd.array(a, "Int64") / pd.array(b, "Int64")
case("/ of integers", pair, ["math", "/"], {"v": ("f64", [3.5, -3.5, -3.5, 3.5, 0.0, INF, None])})
assert found[0] == 3.5 and found[5] == INF
case("/ of zeros", {"a": ("i64", [0, -1]), "b": ("i64", [0, 0])}, ["math", "/"], {"v": ("f64", [NAN, -INF])})
x, y = [7.5, -7.5, 7.5, -7.5, 1.0, 0.0, INF, 5.0, NAN], [2.0, 2.0, -2.0, -2.0, 0.0, 0.0, 2.0, INF, 1.0]
with np.errstate(all="ignore"):
    case("% of floats", {"a": ("f64", x), "b": ("f64", y)}, ["math", "%"], {"v": ("f64", list(np.mod(x, y)))})
    case("// of floats", {"a": ("f64", x[:4]), "b": ("f64", y[:4])}, ["math", "//"], {"v": ("f64", list(np.floor_divide(x[:4], y[:4])))})
case("the least number // -1", {"a": ("i64", [-(2**63)]), "b": ("i64", [-1])}, ["math", "//"], "overflows")
case("the least number % -1", {"a": ("i64", [-(2**63)]), "b": ("i64", [-1])}, ["math", "%"], {"v": ("i64", [0])})

# Types that two operands are brought to: the smallest that holds both.
for left, right, result in [
    ("i8", "i8", "i8"), ("i8", "i64", "i64"), ("i16", "i32", "i32"), ("i64", "f32", "f64"), ("i16", "f32", "f32"),
    ("f32", "f64", "f64"), ("u64", "f64", "f64"), ("u32", "i32", "i64"), ("u8", "i8", "i16"),
]:
    full = {"i": "int", "u": "uint", "f": "float"}
    names = [full[of[0]] + of[1:] for of in (left, right, result)]
    assert np.result_type(*names[:2]) == np.dtype(names[2])
    case(f"{left} + {right}", {"a": (left, [1]), "b": (right, [2])}, ["math", "+"], {"v": (result, [3.0 if result[0] == "f" else 3])})
case("i64 + u64", {"a": ("i64", [1]), "b": ("u64", [2])}, ["math", "+"], "no integer type holds both")
case("i8 overflows", {"a": ("i8", [100]), "b": ("i8", [100])}, ["math", "+"], "overflows")

# Comparisons: IEEE for NaN, in place of DuckDB's order; three-valued filters (DuckDB).
nans, ones = [NAN, NAN, 1.0, None, 0.0], [NAN, 1.0, 1.0, 1.0, -0.0]
for sign, function in {"==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}.items():
    found = [None if x is None else bool(function(x, y)) for x, y in zip(nans, ones)]
    case(f"{sign} with NaN", {"a": ("f64", nans), "b": ("f64", ones)}, ["math", sign], {"v": ("bool", found)})
three = [True, False, None]
p, q = [x for x in three for _ in three], [y for _ in three for y in three]
frame = pd.DataFrame({"a": pd.array(p, "boolean"), "b": pd.array(q, "boolean")})
for sign, found in {"&": frame.a & frame.b, "|": frame.a | frame.b, "^": frame.a ^ frame.b}.items():
    case(f"{sign} of three values", {"a": ("bool", p), "b": ("bool", q)}, ["math", sign], {"v": ("bool", list(found))})
n = pd.DataFrame({"n": pd.array([1, 2, None, 4], "Int64")})
for text, of in {"n > 1": ["n", ">", 1], "not (n > 1)": ["not", "n", ">", 1], "n in (1, null)": ["in", 1, None], "not n in (1, null)": ["not in", 1, None]}.items():
    found = sql(f"select n from n where {text} order by n", n=n)
    case(f"filter {text}", {"n": ("i64", [1, 2, None, 4])}, ["filter", *of], {"n": ("i64", found[0] if found else [])})

# Text sorts by its bytes.
words = ["b", "a", "B", "é", "", "z", "aa", "日本", "\U0001f600", "\uffff", "Z"]
case("text sorts by bytes", {"v": ("text", words)}, ["unique"], {"v": ("text", sorted(words, key=lambda word: word.encode()))})

# Parts of dates around the ends of years (pandas).
days = pd.to_datetime(["2019-12-29", "2019-12-30", "2020-01-01", "2020-12-31", "2021-01-01", "2021-01-03", "2021-01-04", "2016-02-29", "1969-12-31", "1900-03-01", "2000-02-29", "2024-12-30", "1600-01-01"])
iso = days.isocalendar()
numbers = list((days - pd.Timestamp("1970-01-01")).days)
for part, found in {
    "year": days.year, "month": days.month, "day": days.day, "quarter": days.quarter, "weekday": days.day_of_week,
    "ordinal_day": days.day_of_year, "iso_year": iso.year, "week": iso.week, "days_in_month": days.days_in_month,
}.items():
    case(f"{part} of dates", {"v": ("date", numbers)}, ["dt", part], {"v": ("i32", list(found))})
for part, found in {"is_leap_year": days.is_leap_year, "is_month_end": days.is_month_end, "is_quarter_start": days.is_quarter_start, "is_year_end": days.is_year_end}.items():
    case(f"{part} of dates", {"v": ("date", numbers)}, ["dt", part], {"v": ("bool", list(found))})
moments = pd.to_datetime(["1969-12-31 23:59:59.999999", "1970-01-01", "2024-02-29 12:30:45.000001", "1900-01-01 00:00:00.5"], format="ISO8601")
micros = [int(value) for value in moments.as_unit("us").asi8]
for part, found in {"hour": moments.hour, "minute": moments.minute, "second": moments.second, "microsecond": moments.microsecond, "day": moments.day}.items():
    case(f"{part} of moments before and after 1970", {"v": ("micros", micros)}, ["dt", part], {"v": ("i32", list(found))})

# Rounding goes to the even neighbour, as in NumPy; casts cut the fraction off.
halves = [0.5, 1.5, 2.5, -0.5, -1.5, 2.675, NAN, INF]
case("round", {"v": ("f64", halves)}, ["round", 0], {"v": ("f64", list(np.round(halves)))})
case("cast of floats", {"v": ("f64", [1.9, -1.9, -0.0])}, ["cast", "i64"], {"v": ("i64", [1, -1, 0])})
case("cast of NaN", {"v": ("f64", [NAN])}, ["cast", "i64"], "NaN")
case("cast out of range", {"v": ("f64", [2.0**63])}, ["cast", "i64"], "Int64")
case("try_cast", {"v": ("f64", [1.5, NAN, 1e300, None])}, ["try_cast", "i64"], {"v": ("i64", [1, None, None, None])})
case("text to numbers", {"v": ("text", ["1", "-7", "+3"])}, ["cast", "i64"], {"v": ("i64", [1, -7, 3])})
case("try_cast of text", {"v": ("text", ["1", " 2", "x", "", "1.5", "9223372036854775808"])}, ["try_cast", "i64"], {"v": ("i64", [1, 2, None, None, None, None])})

# Correlation (pandas): over the rows where both are there; NaN of constants, null of one row.
frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0, 10.0], "b": [2.0, 1.0, 4.0, 3.0, 7.0]})
case("corr", {name: ("f64", list(frame[name])) for name in "ab"}, ["corr"], {"v": ("f64", [frame.a.corr(frame.b)])}, near=1e-12)
case("corr of a constant", {"a": ("f64", [1.0, 2.0]), "b": ("f64", [3.0, 3.0])}, ["corr"], {"v": ("f64", [NAN])})
case("corr skips what is half there", {"a": ("f64", [1.0, None, 2.0, 5.0]), "b": ("f64", [2.0, 9.0, 4.0, None])}, ["corr"], {"v": ("f64", [1.0])}, near=1e-12)
for numbers in ([1.0, None, 2.0, 5.0], [1.0, 2.0, 2.5, 7.5], [None, 1.0, None, None]):
    # Covariance too.
    other = [2.0, 9.0, 4.0, None]
    value = pd.Series(numbers, dtype="Float64").cov(pd.Series(other, dtype="Float64"))
    value = None if pd.isna(value) else float(value)
    case(f"cov of {numbers}", {"a": ("f64", numbers), "b": ("f64", other)}, ["cov"], {"v": ("f64", [value])}, near=1e-12)

# Most frequent first, of equally frequent ones the lesser; largest and least rows, nulls last.
case("value_counts", {"v": ("text", ["b", "a", "c", "a", "b", None])}, ["value_counts"], {"v": ("text", ["a", "b", "c"]), "count": ("i64", [2, 2, 1])})
case("nlargest: NaN is the largest, null the last", {"v": ("f64", [1.0, None, NAN, 3.0])}, ["nlargest", 4], {"v": ("f64", [NAN, 3.0, 1.0, None])})
case("nsmallest", {"v": ("f64", [1.0, None, NAN, 3.0])}, ["nsmallest", 4], {"v": ("f64", [1.0, 3.0, NAN, None])})

path = pathlib.Path(__file__).with_suffix(".json")
path.write_text("[\n" + ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases) + "\n]\n")
print(f"{len(cases)} cases")
