"""Data sets and file formats, one file each; the file's name is what recipes call it.

Each holds ``SUMMARY`` (one line for ``ctran datasets``), ``Config`` (a frozen dataclass: its options, typed and documented) and
``build(config) -> {"train": SampleTable, "val": ..., "test": ...}`` over one label space. ``Config.unused()``, where there is
one, yields options that have no effect beside others, each with the reason; training refuses those that are set.

Published data sets have ``ORIGIN`` (where to get them) and ``COUNTS`` (what they are known to hold). A source whose labels
follow from the data may keep files with a run: ``freeze(tables, folder)`` writes them, ``FROZEN`` names the option of each.

Other packages add theirs as entry points of the group below.
"""

ENTRY_POINTS = "ctran.sources"
DEFAULT = "openclipart"
"""The source of a recipe that names none."""
