"""Formats of exported graphs, one file each; the file's name is what ``--format`` calls it.

Each holds ``FILES`` (names of what it writes for one graph called ``{}``) and three functions on a graph ``G`` of its own kind:
``convert(program, inputs, outputs) -> G``, ``quantise(G, samples) -> G`` (int8; samples are arrays by input name) and
``save(G, folder, name, metadata)``.

What stays in float32 in an int8 graph was chosen on ``val`` of the demo, by how far the image tokens move (docs/export.md): the
first :data:`FIRST` convolutions, whose errors all later layers see, and convolutions of each channel by itself, which cost little
and have few weights to average errors out.
"""

FIRST = 3
