#!/usr/bin/env python3
"""Computes what the flights example must print, by other means: pandas over the same files.

    python3 expected.py        # writes expected.json beside itself; needs pandas

Null is an empty field or `NA`. Standard deviations are those of a population (ddof 0).
"""

import json
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent


def main() -> None:
    files = sorted(HERE.glob("flights-2013-*.csv.gz"))
    assert len(files) == 12, files
    read = dict(keep_default_na=False, na_values=["", "NA"], dtype={"tailnum": "string", "carrier": "string"})
    flights = pd.concat([pd.read_csv(file, **read) for file in files], ignore_index=True)

    departed = flights[flights["dep_delay"].notna()]
    by_carrier = departed.groupby("carrier", sort=True)["dep_delay"].agg(["count", "mean"])

    both = flights[flights["dep_delay"].notna() & flights["distance"].notna()]
    ratio = both["dep_delay"].astype("float64") / both["distance"].astype("float64")

    tails = flights["tailnum"].dropna().value_counts().rename_axis("tailnum").reset_index(name="count")
    top = tails.sort_values(["count", "tailnum"], ascending=[False, True]).head(10)

    expected = {
        "rows": len(flights),
        "departed": len(departed),
        "carriers": [
            {"carrier": carrier, "count": int(row["count"]), "mean_dep_delay": float(row["mean"])}
            for carrier, row in by_carrier.iterrows()
        ],
        "delay_per_distance": {"n": len(ratio), "mean": float(ratio.mean()), "std": float(ratio.std(ddof=0))},
        "tail_numbers": {
            "distinct": len(tails),
            "top": [{"tailnum": row.tailnum, "count": int(row.count_)} for row in
                    top.rename(columns={"count": "count_"}).itertuples()],
        },
    }
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
