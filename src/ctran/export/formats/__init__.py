"""Formats of exported graphs, one file each; the file's name is what ``--format`` calls it.

Each holds ``FILES`` (files that it writes for one graph called ``{}``), ``INT8`` (whether it supports int8) and functions on
the format's type of graph ``G``: ``convert(program, inputs, outputs) -> G``, ``save(G, folder, name, metadata)`` and, where
``INT8``, ``quantise(G, samples) -> G``; samples are arrays by input name.
"""

FIRST = 3
"""First convolutions that stay in float32 in an int8 graph, as do depthwise ones: their errors reach all later layers, and
they cost little. Chosen on ``val`` of the demo, by the change of the image tokens (``docs/export.md``)."""
