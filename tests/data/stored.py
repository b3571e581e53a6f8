"""Stored arrays for tests/it/stores.rs, by NumPy, Zarr and Dask.

    python stored.py write DIRECTORY    writes what the tests read
    python stored.py check DIRECTORY    reads what the tests wrote, and prints what it found: stored.txt

What is to be checked is written by the test `written_and_read` where the variable STORED_ARRAYS names a directory. Ran with NumPy
2.4.6, Zarr 3.1.6 and Dask 2026.8.0.

Element n of an array, by rows, is (7 * n + 3) % 101, as its type has it; of truths, whether that is even; of complex numbers the
imaginary part is n.
"""

import os
import sys
import warnings

import dask.array
import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

TYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
TYPES += ["float32", "float64", "complex64", "complex128"]


def numbers(shape, dtype):
    n = np.arange(int(np.prod(shape, dtype=np.int64)))
    value = (7 * n + 3) % 101
    if dtype == "bool":
        value = value % 2 == 0
    elif dtype.startswith("complex"):
        value = value + 1j * n
    return value.astype(dtype).reshape(shape)


def write(root):
    npy, v2, v3 = (os.path.join(root, name) for name in ["npy", "v2", "v3"])
    os.makedirs(npy)
    for dtype in TYPES:
        np.save(f"{npy}/{dtype}.npy", numbers((3, 4), dtype))
    np.save(f"{npy}/fortran.npy", np.asfortranarray(numbers((3, 4, 5), "float64")))
    np.save(f"{npy}/big.npy", numbers((3, 4), "int32").astype(">i4"))
    np.save(f"{npy}/bigcomplex.npy", np.asfortranarray(numbers((3, 4), "complex64").astype(">c8")))
    np.save(f"{npy}/one.npy", np.array(3.5))
    np.save(f"{npy}/none.npy", np.zeros((0, 3), "int16"))
    np.save(f"{npy}/half.npy", np.zeros(3, "float16"))
    with open(f"{npy}/second.npy", "wb") as file:
        np.lib.format.write_array(file, numbers((3, 4), "float64"), version=(2, 0))
    stack = dask.array.from_array(numbers((4, 7), "float32"), chunks=(2, (3, 3, 1)))
    dask.array.to_npy_stack(f"{root}/stack", stack, axis=1)

    compressors = [None, {"id": "gzip", "level": 5}, {"id": "zstd", "level": 3}, {"id": "zlib", "level": 1}]
    codecs = [None, [GzipCodec()], [ZstdCodec()], [Crc32cCodec()]]
    for i, dtype in enumerate(TYPES):
        import numcodecs

        compressor = compressors[i % 4] and numcodecs.get_codec(compressors[i % 4])
        order = "CF"[i % 3 % 2]
        array = zarr.create_array(
            f"{v2}/{dtype}", shape=(3, 4), chunks=(2, 4), dtype=dtype, zarr_format=2, compressors=compressor, order=order
        )
        array[:] = numbers((3, 4), dtype)
        array = zarr.create_array(
            f"{v3}/{dtype}", shape=(3, 4), chunks=(2, 4), dtype=dtype, compressors=codecs[i % 4]
        )
        array[:] = numbers((3, 4), dtype)
    array = zarr.create_array(f"{v2}/big", shape=(3, 4), chunks=(3, 3), dtype=">i4", zarr_format=2, compressors=None)
    array[:] = numbers((3, 4), "int32")
    array = zarr.create_array(
        f"{v2}/missing", shape=(4, 4), chunks=(2, 2), dtype="float64", zarr_format=2, fill_value=np.nan, compressors=None
    )
    array[:2, 2:] = numbers((2, 2), "float64")
    array = zarr.create_array(f"{v3}/missing", shape=(4, 4), chunks=(2, 2), dtype="int16", fill_value=7)
    array[2:, :2] = numbers((2, 2), "int16")
    array = zarr.create_array(f"{v3}/sharded", shape=(7, 8), shards=(4, 8), chunks=(2, 2), dtype="float32")
    array[:] = numbers((7, 8), "float32")
    array = zarr.create_array(
        f"{v3}/turned", shape=(3, 4, 5), chunks=(2, 2, 5), dtype="int32", filters=[TransposeCodec(order=(2, 0, 1))]
    )
    array[:] = numbers((3, 4, 5), "int32")
    group = zarr.create_group(f"{v3}/group")
    group.create_array("inner", shape=(5,), chunks=(2,), dtype="int64")[:] = numbers((5,), "int64")
    zarr.create_array(f"{v3}/one", shape=(), chunks=(), dtype="float64")[...] = 3.5


def check(root):
    for name in sorted(os.listdir(root)):
        path = f"{root}/{name}"
        if name.endswith(".npy"):
            found, kind = np.load(path), "npy"
        elif os.path.exists(f"{path}/info"):
            stack = dask.array.from_npy_stack(path)
            found, kind = stack.compute(), f"stack of {stack.chunks}"
        else:
            array = zarr.open_array(path, mode="r")
            found, kind = array[...], f"zarr {array.metadata.zarr_format}, chunks {array.chunks}"
        same = np.array_equal(found, numbers(found.shape, str(found.dtype)))
        print(f"{name}: {kind}, {found.dtype} {found.shape}: {'as it should be' if same else found}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    {"write": write, "check": check}[sys.argv[1]](sys.argv[2])
