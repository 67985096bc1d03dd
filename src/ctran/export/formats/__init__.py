"""Formats of exported graphs, one file each; the file's name is what ``--format`` calls it.

Each holds ``FILES`` (names of what it writes for one graph called ``{}``), ``INT8`` (whether it can) and functions on a graph
``G`` of its own kind: ``convert(program, inputs, outputs) -> G``, ``save(G, folder, name, metadata)`` and, where ``INT8``,
``quantise(G, samples) -> G``; samples are arrays by input name.
"""

FIRST = 3
"""Convolutions that stay in float32 in an int8 graph, as do those of each channel by itself: their errors reach all later
layers, and they cost little. Chosen on ``val`` of the demo, by how far the image tokens move (``docs/export.md``)."""
