"""Losses of single entries, one file each; the file's name is what ``training.loss`` of a recipe calls it.

Each holds ``SUMMARY`` (one line), ``Config`` (a frozen dataclass: its options, the part ``loss`` of a recipe; a subclass of
:class:`._base.LossConfig`) and ``build(config) -> EntryLoss``. Which entries count, mean or sum, and exclusive groups are the
same for all of them: :class:`._base.LabelLoss`.

Other packages add theirs as entry points of the group below.
"""

ENTRY_POINTS = "ctran.losses"
CONFIG = "ctran.losses._base:LossConfig"
"""Base class of every ``Config``."""
DEFAULT = "bce"
"""The loss of a recipe that names none."""
UNLISTED = "assume_negative"
"""The loss of a recipe that names none, where labels that are not listed are probably absent (``data.absent: unlisted``)."""
