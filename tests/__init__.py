"""The type checker that tests run the package under: beartype, with int accepted for float as everywhere in Python."""

from functools import partial
from importlib.machinery import SourceFileLoader
from unittest.mock import patch

from beartype import BeartypeConf, beartype
from jaxtyping import _import_hook

check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def get_code(loader, name):
    """The code of a module with checks, from its bytecode or compiled."""
    tagged = partial(_import_hook._optimized_cache_from_source, loader._typechecker.get_hash())
    with patch("importlib._bootstrap_external.cache_from_source", tagged):
        return SourceFileLoader.get_code(loader, name)


# jaxtyping gives bytecode with checks another name while it *runs* a module, so that each library that the module imports
# is compiled from source: thousands of files, half a minute. The name is needed while the code is fetched.
_import_hook._JaxtypingLoader.get_code = get_code
_import_hook._JaxtypingLoader.exec_module = SourceFileLoader.exec_module
