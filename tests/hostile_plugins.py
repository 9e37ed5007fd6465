"""Plugins that do what no plugin should, by kind: source of the light module, and what its row says."""

HOOK = "@hookimpl\ndef pretask_components():\n    "
LIE = """
def lie(**facts):
    thing = model('net', 'm:A', modality='image')
    for name, value in facts.items():
        object.__setattr__(thing, name, value)
    return thing
@hookimpl
def pretask_components():
    yield lie({})
"""
UNREADABLE = "class Odd(Exception):\n    def __str__(self): raise {error}\nraise Odd"
HOSTILE: dict[str, tuple[str, str]] = {
    # import
    "no such module": ("import flash_of_nobody", "ModuleNotFoundError: No module named 'flash_of_nobody'"),
    "no python": ("def f(:", "SyntaxError"),
    "sys.exit": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "exit with a text": ("raise SystemExit('no licence')", "SystemExit: no licence"),
    "generator exit": ("raise GeneratorExit", "GeneratorExit"),
    "an exception of its own": ("class Odd(BaseException): pass\nraise Odd('two\\nlines')", "Odd: two lines"),
    "a message that raises": (UNREADABLE.format(error="ValueError"), "Odd: its message cannot be read"),
    "a message that exits": (UNREADABLE.format(error="SystemExit"), "Odd: its message cannot be read"),
    "a message without end": (
        "class Odd(Exception):\n    def __str__(self): return str(self)\nraise Odd",
        "Odd: its message cannot be read",
    ),
    "a message that is none": ("class Odd(Exception):\n    def __str__(self): return 7\nraise Odd", "cannot be read"),
    "a long message": ("raise ValueError('x' * 1_000_000)", "x…"),
    "a message that steers a terminal": ("raise ValueError('\\x1b[2J\\x1b]0;evil\\x07')", "\\x1b[2J\\x1b]0;evil\\x07"),
    "recursion": ("def f(): return f()\nf()", "RecursionError"),
    "no memory": ("raise MemoryError", "MemoryError"),
    "a warning that is an error": (
        "import warnings\nwarnings.simplefilter('error')\nwarnings.warn('x')",
        "UserWarning",
    ),
    "a group of errors": ("raise ExceptionGroup('many', [ValueError('one')])", "ExceptionGroup: many"),
    "closes stdout": ("import sys\nsys.stdout.close()\nsys.stderr.close()", "has no hook"),
    "closes the descriptors": ("import os\nos.close(1)\nos.close(2)", "has no hook"),
    "another folder": ("import os\nos.chdir('/')", "its import changed the current folder"),
    "an empty path": ("import sys\nsys.path.clear()", "its import changed the path of modules"),
    "other answers to signals": (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
        "its import changed the answer to signals",
    ),
    "warnings that are errors": (
        "import warnings\nwarnings.simplefilter('error', UserWarning)",
        "changed the filter of warnings",
    ),
    "little recursion": ("import sys\nsys.setrecursionlimit(900)", "its import changed the limit of recursion"),
    "a thread": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(2,), name='forever').start()",
        "its import changed a thread, which it left running (forever)",
    ),
    # hooks
    "a hook that raises": (HOOK + "raise ValueError('no colors')", "ValueError: no colors"),
    "a hook that exits": (HOOK + "yield {}; raise SystemExit", "SystemExit"),
    "a hook that gives a number": (HOOK + "return 7", "TypeError: 'int' object is not iterable"),
    "a generator without end": (HOOK + "while True: yield 1", "more than 10000 things; its generator may have no end"),
    "an iterable without end": (HOOK + "import itertools; return itertools.repeat(1)", "may have no end"),
    "a hook that is misspelled": ("@hookimpl\ndef pretask_componets(): return []", "is no hook"),
    "a hook that is not marked": ("def pretask_components(): return []", "is never called"),
    "a hook with a strange parameter": ("@hookimpl\ndef pretask_commands(group): pass", "{'group'} are declared"),
    # declarations
    "text": (HOOK + "yield 'jigsaw'", "'jigsaw' is no component"),
    "None": (HOOK + "yield None", "None is no component"),
    "what cannot be shown": (
        "class Odd:\n    def __repr__(self): raise ValueError\n" + HOOK + "yield Odd()",
        "a Odd that it declares cannot be read: ValueError",
    ),
    "a summary that is None": (
        LIE.format("summary=None"),
        "has the summary None, which is no text",
    ),
    "a source that is a number": (
        LIE.format("source=2015"),
        "has the source 2015, which is no text",
    ),
    "a summary that steers a terminal": (
        HOOK + "yield model('net', 'm:A', modality='image', summary='\\x1b[31mred')",
        "has texts with line ends or with what nobody sees",
    ),
    "a summary of two lines": (
        HOOK + "yield model('net', 'm:A', modality='image', summary='a\\nb')",
        "has texts with line ends",
    ),
    "a modality that nobody sees": (HOOK + "yield data('d', 'm:A', modality='im\\u200bage')", "what nobody sees"),
    "an option that steers a terminal": (
        HOOK + "yield task('t', split='s', objective='o', model='m', options={'split.x': '\\x1b[2J'})",
        "what nobody sees",
    ),
    "an implementation that is None": (LIE.format("implementation=None"), "cannot be read: TypeError"),
    "a name that is None": (LIE.format("name=None"), "is not named in lower-case words"),
    "a kind that is a list": (LIE.format("kind=['model']"), "is of no known kind"),
    "a version that is text": (LIE.format("version='1'"), "has the version '1'"),
    "traits that are a list": (LIE.format("traits=[]"), "does not declare modality"),
    "traits that are None": (LIE.format("traits=None"), "cannot be read"),
}
ENTRIES: dict[str, tuple[str, str]] = {
    "module:attribute": ("plugin_x:plugin", "Let it name the module alone"),
    "module [extra]": ("plugin_x [all]", "Let it name the module alone"),
    "a path": ("plugin/x.py", "which is no module"),
    "nothing": ("", "which is no module"),
    "a keyword that steers a terminal": ("plugin\x1b[2J", "which is no module"),
}
