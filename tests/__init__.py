"""The type checker that tests run the package under: beartype, with int accepted for float as everywhere in Python."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
