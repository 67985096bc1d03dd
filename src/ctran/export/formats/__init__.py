"""Formats of exported graphs, one file each; the file's name is what ``--format`` calls it.

Each holds ``FILES`` (names of what it writes for one graph called ``{}``) and three functions on a graph ``G`` of its own kind:
``convert(program, inputs, outputs) -> G``, ``quantise(G, samples) -> G`` (int8; samples are arrays by input name) and
``save(G, folder, name, metadata)``.
"""
