"""Parquet files with columns of every wrong type."""

import io
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TYPES: list[tuple[pa.DataType, Any]] = [
    *((pa.int64(), -1), (pa.float64(), float("nan")), (pa.bool_(), True), (pa.binary(), b"\xff\0"), (pa.null(), None)),
    *((pa.list_(pa.int64()), [2**40]), (pa.list_(pa.string()), ["red", None]), (pa.struct([("a", pa.int8())]), {"a": 1})),
    *(
        (pa.map_(pa.string(), pa.int8()), [("a", 1)]),
        (pa.timestamp("ns"), 2**60),
        (pa.decimal128(38, 2), 1),
        (pa.duration("s"), 1),
    ),
    *((pa.list_(pa.list_(pa.string())), [["red"]]), (pa.large_string(), "\0"), (pa.string(), None), (pa.date64(), 0)),
    *(
        (pa.struct([("bytes", pa.binary()), ("path", pa.string())]), {"bytes": None, "path": "../x"}),
        (pa.timestamp("us"), 2**62),
    ),
]
"""Types of a Parquet column, and a cell of each."""


def changed_parquet(content: bytes, chance: Random) -> bytes:
    """A column of another type or name, swapped with another, repeated or left out; no rows."""
    table = pq.read_table(io.BytesIO(content))
    at, kind, names = chance.randrange(table.num_columns), chance.randrange(6), list(table.column_names)
    if kind == 0:
        table = table.remove_column(at)
    elif kind == 1:
        other = chance.randrange(table.num_columns)
        names[at], names[other] = names[other], names[at]
        table = table.rename_columns(names)
    elif kind == 2:
        table = table.slice(0, chance.choice([0, 1]))
    else:
        form, cell = chance.choice(TYPES)
        column = pa.array([cell if chance.random() < 0.5 else None for _ in range(table.num_rows)], form)
        table = table.set_column(at, names[at], column)
    table = table.replace_schema_metadata(None) if chance.random() < 0.5 else table
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()
