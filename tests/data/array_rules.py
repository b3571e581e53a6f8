"""Writes array_rules.json: what NumPy says where its rules are easily got wrong.

    python tests/data/array_rules.py

A case is the name of an operation, its arrays, its numbers, and what comes out. An array is its type, its shape and its elements by rows, as
texts, so that infinities, NaN and signs of zero are kept. The version of NumPy stands in the file.
"""

import json
import pathlib
import warnings

import numpy as np

warnings.simplefilter("ignore")
np.seterr(all="ignore")

TYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "complex64", "complex128"]
SHORT = dict(zip(TYPES, ["bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64", "c32", "c64"]))


def text(value, dtype):
    if dtype.kind == "b":
        return str(int(value))
    if dtype.kind in "iu":
        return str(int(value))
    if dtype.kind == "c":
        return text(value.real, value.real.dtype) + " " + text(value.imag, value.imag.dtype)
    return repr(float(value))


def array(of):
    of = np.asarray(of)
    return [SHORT[of.dtype.name], list(of.shape), [text(value, of.dtype) for value in of.ravel()]]


cases = []


def case(name, function, *arrays, **numbers):
    arrays = [np.asarray(of) for of in arrays]
    cases.append({"name": name, "arrays": [array(of) for of in arrays], "numbers": numbers, "gives": array(function(*arrays))})


# Types.
promotion = [[SHORT[np.result_type(np.dtype(a), np.dtype(b)).name] for b in TYPES] for a in TYPES]
quotients = [[SHORT[np.true_divide(np.ones(1, a), np.ones(1, b)).dtype.name] for b in TYPES] for a in TYPES]
sums = [SHORT[np.ones(1, a).sum().dtype.name] for a in TYPES]
means = [SHORT[np.ones(1, a).mean().dtype.name] for a in TYPES]

# Integers.
for dtype in ["int8", "int64", "uint64"]:
    info = np.iinfo(dtype)
    values = [value for value in [info.min, -7, -2, -1, 0, 1, 2, 7, info.max] if value >= info.min]
    a, b = np.meshgrid(np.array(values, dtype), np.array(values, dtype))
    a, b = a.ravel(), b.ravel()
    for name, function in [("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("floor_div", np.floor_divide), ("rem", np.remainder),
                           ("fmod", np.fmod), ("div", np.true_divide), ("maximum", np.maximum), ("minimum", np.minimum), ("and", np.bitwise_and),
                           ("or", np.bitwise_or), ("xor", np.bitwise_xor), ("lt", np.less), ("ge", np.greater_equal)]:
        case(name, function, a, b)
    small = b[(b >= 0) & (b < 8)]
    case("pow", np.power, a[(b >= 0) & (b < 8)], small)
    case("shl", np.left_shift, a[(b >= 0) & (b < 8)], small)
    case("shr", np.right_shift, a[(b >= 0) & (b < 8)], small)
    case("neg", np.negative, np.array(values, dtype))
    case("abs", np.abs, np.array(values, dtype))
    case("sign", np.sign, np.array(values, dtype))

# Signed integers beside others: no type holds both.
signed = np.array([-(2**63), -1, 0, 1, 2**62 + 1, 2**63 - 1], "int64")
unsigned = np.array([0, 1, 2**62, 2**62 + 1, 2**63 - 1, 2**63, 2**64 - 1], "uint64")
a, b = np.meshgrid(signed, unsigned)
for name, function in [("eq", np.equal), ("ne", np.not_equal), ("lt", np.less), ("le", np.less_equal), ("gt", np.greater), ("ge", np.greater_equal)]:
    case(name, function, a.ravel(), b.ravel())
    case(name, function, b.ravel(), a.ravel())

# Floats.
for dtype in ["float32", "float64"]:
    info = np.finfo(dtype)
    values = np.array([-np.inf, -7.5, -0.5, -0.0, 0.0, info.smallest_subnormal, 0.5, 1.5, 2.5, 7.0, info.max, np.inf, np.nan], dtype)
    a, b = (part.ravel() for part in np.meshgrid(values, values))
    for name, function in [("add", np.add), ("mul", np.multiply), ("div", np.true_divide), ("floor_div", np.floor_divide), ("rem", np.remainder),
                           ("fmod", np.fmod), ("maximum", np.maximum), ("minimum", np.minimum), ("fmax", np.fmax), ("fmin", np.fmin),
                           ("copysign", np.copysign), ("eq", np.equal), ("ne", np.not_equal), ("lt", np.less), ("le", np.less_equal)]:
        case(name, function, a, b)
    for name, function in [("rint", np.rint), ("floor", np.floor), ("ceil", np.ceil), ("trunc", np.trunc), ("sign", np.sign), ("abs", np.abs),
                           ("isnan", np.isnan), ("isinf", np.isinf), ("isfinite", np.isfinite), ("sqrt", np.sqrt)]:
        case(name, function, values)
    for equal_nan in [False, True]:
        near = np.concatenate([a, np.array([1.0, 1.0, 1e-9, 1e10], dtype)]), np.concatenate([b, np.array([1.00001, 1.0001, 0.0, 1.00001e10], dtype)])
        case("isclose", lambda x, y, equal_nan=equal_nan: np.isclose(x, y, equal_nan=equal_nan), *near, equal_nan=equal_nan)
    case("nan_to_num", lambda x: np.nan_to_num(x, nan=1, posinf=2, neginf=3), values)

# What is reduced.
nan = np.array([[np.nan, 1.0, -1.0], [np.nan, np.nan, 3.0], [np.nan, 1.0, 3.0]])
for name in ["sum", "prod", "mean", "min", "max", "nansum", "nanprod", "nanmean", "nanmin", "nanmax"]:
    for axis in [0, 1]:
        case(name, lambda x, name=name, axis=axis: getattr(np, name)(x, axis=axis), nan, axis=axis)
for name in ["std", "var", "nanstd", "nanvar"]:
    # With too few elements for `ddof` all are NaN here, where NumPy has infinities, too.
    for ddof in [0, 1, 3] if name.startswith("nan") else [0, 1]:
        case(name, lambda x, name=name, ddof=ddof: getattr(np, name)(x, axis=0, ddof=ddof), nan, axis=0, ddof=ddof)
ties = np.array([[3, 1, 1, 3], [0, 0, 5, 5]])
floats = np.array([[1.0, np.nan, 3.0, np.nan], [2.0, 2.0, 7.0, -7.0]])
for name in ["argmin", "argmax"]:
    for axis in [0, 1]:
        case(name, lambda x, name=name, axis=axis: getattr(np, name)(x, axis=axis), ties, axis=axis)
        case(name, lambda x, name=name, axis=axis: getattr(np, name)(x, axis=axis), floats, axis=axis)
for name in ["nanargmin", "nanargmax"]:
    case(name, lambda x, name=name: getattr(np, name)(x, axis=1), floats, axis=1)
for dtype in ["int8", "uint8", "bool", "int64"]:
    whole = np.array([[1, 0, 1], [1, 1, 0]]).astype(dtype) if dtype == "bool" else np.array([[120, 7, 0], [100, 3, 2]]).astype(dtype)
    for name in ["sum", "prod", "mean", "std", "any", "all", "count_nonzero"]:
        case(name, lambda x, name=name: getattr(np, name)(x, axis=0), whole, axis=0, ddof=0)
wrapping = np.array([[2**63 - 1, 1], [1, 2**62]], "int64")
case("sum", lambda x: np.sum(x, axis=0), wrapping, axis=0)
complexes = np.array([[1 + 2j, 3 - 1j, -2j], [0.5, 1j, 2 + 2j]])
for name in ["sum", "mean", "std", "var"]:
    case(name, lambda x, name=name: getattr(np, name)(x, axis=1), complexes, axis=1, ddof=0)
for name in ["cumsum", "cumprod", "nancumsum", "nancumprod"]:
    for axis in [0, 1]:
        case(name, lambda x, name=name, axis=axis: getattr(np, name)(x, axis=axis), nan, axis=axis)
case("cumsum", lambda x: np.cumsum(x, axis=0), np.array([100, 100, 100], "int8"), axis=0)

# Places and ranges.
values = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, -1.0, np.inf, -np.inf, np.nan])
for edges in [[0.0, 1.0, 2.0], [2.0, 1.0, 0.0], [0.0, 1.0, 1.0, 2.0]]:
    for right in [False, True]:
        case("digitize", lambda x, e, right=right: np.digitize(x, e, right=right), values, np.array(edges), right=right)
for side in ["left", "right"]:
    case("searchsorted", lambda e, x, side=side: np.searchsorted(e, x, side=side), np.array([0.0, 1.0, 1.0, 2.0]), values, right=side == "right")
finite = np.array([0.0, 0.1, 0.3, 0.7, 1.0, 0.9, 0.2, 0.5, -0.1, 1.1])
for bins in [1, 3, 7, 10]:
    case("histogram", lambda x, bins=bins: np.histogram(x, bins=bins, range=(0.0, 1.0))[0].astype("uint64"), finite, bins=bins)
case("bincount", lambda x: np.bincount(x, minlength=4).astype("uint64"), np.array([0, 5, 2, 5]), least=4)
case("diff", lambda x: np.diff(x, n=3), np.array([[1, 4, 9, 16, 26], [5, 3, 1, 2, 8]]), n=3)
case("diff", lambda x: np.diff(x, n=1), np.array([[True, False, False, True]]), n=1)
case("gradient", lambda x: np.gradient(x, 0.5), np.array([1.0, 2.0, 4.0, 7.0, 11.0]))
case("average", lambda x, w: np.average(x, axis=1, weights=w), np.arange(6.0).reshape(2, 3), np.array([1.0, 0.0, 3.0]))
for ddof in [0, 1]:
    case("cov", lambda x, ddof=ddof: np.cov(x, ddof=ddof), np.array([[0.0, 1.0, 2.0, 5.0], [2.0, 1.0, 0.0, 1.0]]), ddof=ddof)
case("corrcoef", np.corrcoef, np.array([[0.0, 1.0, 2.0, 5.0], [2.0, 1.0, 0.0, 1.0]]))
x = np.arange(24).reshape(2, 3, 4)
for letters, arrays in [("...j->...", [x]), ("i...", [x]), ("...ij->...ji", [x]), ("...i,...i", [x, x]), ("ij...,jk->ik...", [x, np.arange(6).reshape(3, 2)]),
                        ("...ij,...jk->...ik", [x, np.arange(8).reshape(1, 4, 2)]), ("...,...->...", [x, np.arange(4)]), ("...ii->...", [np.arange(18).reshape(2, 3, 3)]),
                        ("...", [x]), ("i...->...", [x])]:
    case("einsum", lambda *of, letters=letters: np.einsum(letters, *of), *arrays, letters=letters)
for mode in ["edge", "reflect", "symmetric", "wrap"]:
    for widths in [(1, 2), (5, 7)]:
        case("pad", lambda x, mode=mode, widths=widths: np.pad(x, widths, mode=mode), np.array([1, 2, 3]), mode=mode, before=widths[0], behind=widths[1])

# Floats and numbers that no integer holds: what is cut off, and what wraps.
case("cast_u8", lambda x: x.astype("uint8"), np.array([300, -1, 256, 2**40 + 7]))
case("cast_i64", lambda x: x.astype("int64"), np.array([1.9, -1.9, -0.0, 2.5]))
case("cast_bool", lambda x: x.astype("bool"), np.array([0.0, -0.0, np.nan, 0.1]))

made = {"numpy": np.__version__, "types": [SHORT[of] for of in TYPES], "promotion": promotion, "quotients": quotients, "sums": sums, "means": means, "cases": cases}
text_of = json.dumps(made, separators=(",", ":")).replace('{"name"', '\n{"name"')
pathlib.Path(__file__).with_name("array_rules.json").write_text(text_of + "\n")
print(len(cases), "cases", len(text_of), "bytes")
