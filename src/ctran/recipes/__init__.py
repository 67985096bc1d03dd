"""Recipes (YAML), one experiment each, in folders by what they are for.

* ``demo``, ``linear``, ``planted``, ``planted_scenes``: run in minutes on two cores, their figures are measured
  (``docs/experiments``).
* ``auto``: a user's own pictures, as accurately as minutes on two cores allow; ``quick``: its first part alone, in seconds.
* ``tagger``: the demo's settings for a user's own pictures.
* ``paper/``: the rows of the paper's tables that are C-Tran's, in its setting; ``ctran table`` compares runs with them.
* ``modern/``: the same tasks with what the field has learned since; never run.

The header of those in ``paper/`` and ``modern/`` states what the recipe is, then ``Command``, ``Hardware`` (with hours),
``Published`` (the figure to compare with) and ``Doubts`` (why that figure may not be what it seems); where needed also
``Departs`` (from the released code), ``Readings`` (of an unclear text) and ``From`` (where choices are from). A recipe that
names a ``base`` holds only what differs from it.
"""
