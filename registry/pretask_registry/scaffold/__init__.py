"""Scaffold: `pretask new` writes a package that installs, works and is checked, and that is then made into one's own.

The templates are files in `templates`, filled by string.Template; kinds.py says with what.
"""

from pretask_registry.scaffold.board import BOARD, new_board
from pretask_registry.scaffold.copied import copy_built_in
from pretask_registry.scaffold.kinds import KINDS, MODALITIES
from pretask_registry.scaffold.package import Written, new_package
from pretask_registry.scaffold.promote import promote

__all__ = ["BOARD", "KINDS", "MODALITIES", "Written", "copy_built_in", "new_board", "new_package", "promote"]
