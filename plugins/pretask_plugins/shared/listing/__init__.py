"""Listing: the files of a data set with their parts and classes, for every loader of files, yours too.

    from pretask_plugins.shared.listing import list_any, open_tree

    with open_tree("my-data", root) as tree:  # a folder, a tar file, shards, or a table of paths
        listing = list_any(tree, (".xyz",), is_for_test)
        for item in listing.select("train"):
            content = tree.read(item.name)
        key = tree.digest([item.name for item in listing.select("train")])  # for pretask.cache

The rules are in listing.py (parts and classes), walking.py (links) and names.py (what is passed over, and the order).
"""

from pretask_plugins.shared.listing.file_tree import FileTree
from pretask_plugins.shared.listing.leftovers import Leftovers
from pretask_plugins.shared.listing.listing import (
    Item,
    Listing,
    build_listing,
    check_classes,
    check_counts,
    label_by_sidecars,
    list_files,
    sort_into_parts,
)
from pretask_plugins.shared.listing.names import natural_key, printable_name
from pretask_plugins.shared.listing.shards import ShardIndex, index_shards
from pretask_plugins.shared.listing.tables import TableTree, is_table, list_any, open_tree

__all__ = [
    "FileTree",
    "Item",
    "Leftovers",
    "Listing",
    "ShardIndex",
    "TableTree",
    "build_listing",
    "check_classes",
    "check_counts",
    "index_shards",
    "is_table",
    "label_by_sidecars",
    "list_any",
    "list_files",
    "natural_key",
    "open_tree",
    "printable_name",
    "sort_into_parts",
]
