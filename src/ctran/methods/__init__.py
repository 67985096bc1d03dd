"""The methods, one file each; recipes select a method by its file's name.

Each has ``SUMMARY`` (one line), ``Config`` (a frozen dataclass of its options; a subclass of :class:`._base.MethodConfig`) and
``build(config, labels: LabelSpace) -> Method``: a module with the methods ``encode_images`` and ``predict_labels``.
``Config.unused`` names options that have no effect beside others.

Other packages add theirs as entry points of the group below.
"""

ENTRY_POINTS = "ctran.methods"
CONFIG = "ctran.methods._base:MethodConfig"
"""Base class of every ``Config``."""
DEFAULT = "ctran"
"""The method of a recipe that names none."""
