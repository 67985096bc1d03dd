"""Compared systems, one file each; the file's name is what recipes call it.

Each holds ``SUMMARY`` (one line), ``Config`` (a frozen dataclass: its options; a subclass of :class:`._base.MethodConfig`) and
``build(config, labels: LabelSpace) -> Method``: a module with the two calls ``encode_images`` and ``predict_labels``.
"""
