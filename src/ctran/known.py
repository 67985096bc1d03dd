"""Known labels as a user gives them, by name; :meth:`ctran.labels.LabelSpace.states` has them as codes."""

from collections.abc import Mapping

import numpy as np

from ctran.errors import UserTypeError

Known = Mapping[str, bool | np.bool_]
"""Known labels of a picture: label name -> present or absent."""


def booleans(known: Mapping[str, object]) -> dict[str, bool]:
    """Known labels as plain booleans; those of NumPy, as in the rows of a data frame, are converted.

    Raises:
        UserTypeError: a value that is not a boolean: 1, "yes", a missing value.
    """
    for name, present in known.items():
        if not isinstance(present, bool | np.bool_):
            hint = "; leave labels that are not known out" if present is None or present != present else ""
            raise UserTypeError(f"known[{name!r}] must be True or False, got {present!r}{hint}")
    return {name: bool(present) for name, present in known.items()}
