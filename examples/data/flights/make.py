#!/usr/bin/env python3
"""Cuts the flights table of nycflights13 into one gzip file a month.

    python3 make.py path/to/flights.csv.gz

Each file has the header line and the rows of its month in the order of the source, byte for byte. The gzip streams carry
no time and no name, so that a second run gives the same files.
"""

import gzip
import sys
from pathlib import Path

YEAR = 2013
LIMIT_BYTES = 10 * 1000 * 1000


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with gzip.open(sys.argv[1], "rb") as source:
        header, *rows = source.read().splitlines(keepends=True)
    if header.split(b",")[:2] != [b"year", b"month"]:
        sys.exit(f"the source does not begin with the columns year and month: {header!r}")
    if b'"' in b"".join(rows):
        sys.exit("the source has quoted fields: a line may not be a row")

    months: dict[int, list[bytes]] = {month: [] for month in range(1, 13)}
    for row in rows:
        year, month, _ = row.split(b",", 2)
        if int(year) != YEAR:
            sys.exit(f"a row of another year: {row!r}")
        months[int(month)].append(row if row.endswith(b"\n") else row + b"\n")

    here = Path(__file__).parent
    total = 0
    for month, lines in months.items():
        path = here / f"flights-{YEAR}-{month:02}.csv.gz"
        path.write_bytes(gzip.compress(header + b"".join(lines), compresslevel=9, mtime=0))
        total += path.stat().st_size
        print(f"{path.name}: {len(lines)} rows, {path.stat().st_size} bytes")
    print(f"{len(rows)} rows, {total} bytes")
    if total > LIMIT_BYTES:
        sys.exit(f"more than {LIMIT_BYTES} bytes in all")


if __name__ == "__main__":
    main()
