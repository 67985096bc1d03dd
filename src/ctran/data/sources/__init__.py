"""Data sets and file formats, one file each; the file's name is what recipes call it.

Each holds ``SUMMARY`` (one line for ``ctran data``), ``Config`` (a frozen dataclass: its options, typed and documented) and
``build(config) -> {"train": SampleTable, "val": ..., "test": ...}`` over one label space. ``Config.unused()``, where there is
one, yields options that have no effect beside others, each with the reason; training refuses those that are set.

Published data sets have ``ORIGIN`` (where to get them) and ``COUNTS`` (what they are known to hold). A source whose labels
follow from the data may keep files with a run: ``freeze(tables, folder)`` writes them, ``FROZEN`` names the option of each.

A format of users' own files has ``SAYS`` (:class:`~ctran.data.rows.Says`: which states of a label it can hold) and
``read(config) -> Annotated``, of which ``build`` makes tables. Where it can be written there is ``write(annotated, output)``,
which returns the options that read it. ``SPLITS = False``: it has no splits. ``PICTURES_APART = False``: no record names a
picture file.

Other packages add theirs as entry points of the group below.
"""

ENTRY_POINTS = "ctran.sources"
DEFAULT = "openclipart"
"""The source of a recipe that names none."""
