"""Data sets and file formats, one file each; the file's name is what recipes call it.

Each holds ``SUMMARY`` (one line for ``ctran datasets``), ``Config`` (a frozen dataclass: its options, typed and documented) and
``build(config) -> {"train": SampleTable, "val": ..., "test": ...}`` over one label space.
"""
