"""One file a label set; the file's name is the set's. Every module has

* ``SUMMARY``: one line;
* ``KIND``: of pictures, one of :data:`benchmarks.suite.held_out.KINDS`;
* ``LICENCE``: of the pictures and labels, with whom to name;
* ``PACKAGES``: the packages that it is made of, none where the data are in the repository;
* ``HOLES``: whether some labels of a picture are unknown;
* ``collect(archives) -> list[Drawing]``: every usable picture with its keywords, before near duplicates, splits and labels.
  ``archives`` are the opened packages, in the order of ``PACKAGES``.
"""
