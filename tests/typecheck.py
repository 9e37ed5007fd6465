"""What checks annotations while tests run: beartype, with int accepted where float is asked for (PEP 484)."""

from beartype import BeartypeConf, beartype

typechecked = beartype(conf=BeartypeConf(is_pep484_tower=True))
