"""Standard library: Python's own documentation strings, read from the source that is installed, so that nothing must be
fetched.

Source: the authors of CPython; the groups follow the chapters of The Python Standard Library.
Differs: the test of the library, and modules of none of the groups, are left out. Another version of Python is another
data set; its fingerprint says so.
Axes: N rows, L tokens.
"""

import ast
import sys
import sysconfig
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pretask import PretaskError, Samples
from pretask.cache import cached
from pretask.options import Size

from pretask_plugins.data.text.corpus import cut, is_for_test
from pretask_plugins.data.text.rows import Extent, Layout, Piece, row_samples
from pretask_plugins.data.text.spoken import TextData
from pretask_plugins.data.text.tokenization import Kind, Tokenization, VocabularySize, learn
from pretask_plugins.shared.parts import check_part

EDITION = 1  # of the choice of texts; raised, like the component's version, when it changes
MIN_WORDS = 4  # a shorter text is left out
GROUPS: Mapping[str, str] = {
    "text": "string re difflib textwrap stringprep rlcompleter codecs encodings locale gettext pprint reprlib shlex",
    "types": "datetime _pydatetime calendar collections _collections_abc heapq bisect weakref types copy enum graphlib "
    "zoneinfo numbers decimal _pydecimal fractions random statistics operator _operator functools _strptime "
    "_weakrefset",
    "files": "pathlib os posixpath ntpath genericpath fileinput stat filecmp tempfile glob fnmatch linecache shutil "
    "pickle pickletools copyreg shelve dbm sqlite3 gzip bz2 lzma zipfile tarfile csv configparser tomllib netrc "
    "plistlib io _pyio _compression wave aifc sunau chunk",
    "concurrency": "threading _threading_local multiprocessing concurrent subprocess sched queue asyncio asyncore "
    "asynchat selectors signal contextvars",
    "internet": "email mailbox mimetypes base64 html xml webbrowser wsgiref urllib http ftplib poplib imaplib smtplib "
    "smtpd uuid socketserver xmlrpc ipaddress cgi cgitb nntplib telnetlib json quopri socket ssl hmac",
    "interfaces": "tkinter turtle curses cmd getopt argparse optparse getpass",
    "debugging": "unittest doctest bdb pdb timeit trace tracemalloc cProfile profile pstats logging warnings traceback "
    "pydoc",
    "language": "typing inspect ast symtable token tokenize keyword tabnanny pyclbr py_compile compileall dis "
    "importlib zipimport pkgutil modulefinder runpy distutils venv zipapp platform sysconfig site code codeop abc "
    "_py_abc contextlib dataclasses ctypes",
}
BLOCKS = {"body", "orelse", "finalbody", "handlers", "cases"}  # fields of nodes that are lists of statements
GROUP = {module: group for group, modules in GROUPS.items() for module in modules.split()}


class Document(NamedTuple):
    """One documentation string, and the group of the module that it stands in."""

    group: str
    text: str


@dataclass(frozen=True)
class Stdlib(TextData):
    """Rows (L,) of ids from documentation strings; a tenth of them, by their hash, is for testing.

    Args:
        length: Tokens of a row.
        tokenizer: Byte pairs, bytes and characters read back exactly; word pieces and words know no spaces.
        vocab_size: Ids at most.
        packed: Whether rows are cut from all strings of a group, one after the other, or hold one string each.
        lowercase: Whether word pieces and words are in lower case and without accents.
    """

    length: Size = 64
    tokenizer: Kind = "bpe"
    vocab_size: VocabularySize = 2048
    packed: bool = True
    lowercase: bool = True

    def __call__(self, part: str, /) -> Samples:
        """Return one part, labeled by what the modules are for.

        Raises:
            PretaskError: Python is installed without its source.
        """
        return self.rows(part)[0]

    def extent(self, part: str) -> Extent:
        """Return tokens and bytes of a part."""
        return self.rows(part)[1]

    @cached_property
    def tokenization(self) -> Tokenization:
        """The tokenizer, from the cache or learned of the strings to train on."""

        def texts() -> Iterator[str]:
            return (document.text for document in read_documents("train"))

        name = f"Python {sys.version_info.major}.{sys.version_info.minor}"
        return learn(self.tokenizer, self.vocab_size, self.lowercase, facts("train"), texts, name)

    def rows(self, part: str) -> tuple[Samples, Extent]:
        """Return the rows of a part, and how much text they came of."""
        check_part("stdlib", part)
        layout = Layout(self.length, self.packed)
        return row_samples("stdlib", facts(part), self.tokenization, layout, lambda: pieces(part), tuple(GROUPS))


def facts(part: str) -> dict[str, Any]:
    """Return what determines the strings of a part."""
    return {"data": "stdlib", "edition": EDITION, "python": sys.version, "part": part}


def pieces(part: str) -> Iterator[Piece]:
    """Yield the strings of a part, group by group."""
    names = tuple(GROUPS)
    for document in sorted(read_documents(part), key=lambda document: names.index(document.group)):
        yield from (piece._replace(label=names.index(document.group)) for piece in cut([document.text]))


def read_documents(part: str) -> list[Document]:
    """Read the strings of a part in the order of their modules, from the cache or the library's source."""

    def make(_: Path) -> Mapping[str, Any]:
        return {"documents": list(find_documents())}

    _, notes = cached("documents", {**facts("all"), "groups": GROUPS}, make)
    every = [Document(*document) for document in notes["documents"]]
    return [document for document in every if is_for_test(document.text) == (part == "test")]


def find_documents() -> Iterator[Document]:
    """Find every documentation string of some length once, in the source of the library."""
    root = Path(sysconfig.get_path("stdlib"))
    seen: set[str] = set()
    for module, group in sorted(GROUP.items()):
        for path in list_source_files(root, module):
            for text in read_docstrings(path):
                if text not in seen:
                    seen.add(text)
                    yield Document(group, text)
    if not seen:
        raise PretaskError(
            "stdlib",
            "the source of Python's standard library",
            f"none in {root}",
            "Install a Python that has it, or choose the data text.",
        )


def list_source_files(root: Path, module: str) -> list[Path]:
    """List the source files of a module or package, without its tests; none where this Python has no such module."""
    inside = sorted((root / module).rglob("*.py"))
    return [*root.glob(f"{module}.py"), *(path for path in inside if not {"test", "tests"} & set(path.parts))]


def read_docstrings(path: Path) -> Iterator[str]:
    """Read the documentation strings of a file that have at least a few words."""
    for node in walk_statements(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text and len(text.split()) >= MIN_WORDS:
                yield text


def walk_statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes of a module that can hold statements, in the order of ast.walk, without looking into expressions.

    Of the nodes of a file these are one in ten, and only they can have a documentation string.
    """
    waiting: deque[ast.AST] = deque([tree])
    while waiting:
        node = waiting.popleft()
        waiting.extend(
            child
            for name in node._fields
            if name in BLOCKS
            for child in getattr(node, name)
            if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case)
        )
        yield node
