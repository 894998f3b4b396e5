# SPDX-License-Identifier: Apache-2.0
"""The windows of a day, from those of its hours. They are filed in the day's first hour. Pure."""

import pyarrow as pa
import pyarrow.compute as pc

from common.units import DAY_NS, HOUR_NS
from consumer.rollup.sums import summed, widened


def of_hours(rows: pa.Table) -> pa.Table:
    """Return the windows of the day; ``rows`` are all roll-up rows of its hours."""
    return summed(widened(rows.filter(pc.equal(rows["window_ns"], HOUR_NS)), DAY_NS))


def split(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return an hour's own roll-up rows and those of the day that are filed with them."""
    day = pc.equal(rows["window_ns"], DAY_NS)
    return rows.filter(pc.invert(day)), rows.filter(day)
