"""The three errors of pretask: each says who needs what, what came, and what to do."""

from typing import Any, TypeVar


class PretaskError(Exception):
    """Something that the user can mend: `<who> needs <requirement>; got <found>. <One thing to do.>`

    Args:
        who: The component or file that complains.
        needs: The requirement, with its number.
        got: What was found instead.
        do: One sentence, with its full stop, that says the way out.
        exit_code: What the command returns; 1 failed, 2 usage, 3 plugin problem, 4 incompatible.
    """

    exit_code = 1

    def __init__(self, who: str, needs: str, got: str, do: str, *, exit_code: int | None = None) -> None:
        super().__init__(f"{who} needs {needs}; got {got}. {do}")
        self.who, self.needs, self.got, self.do = who, needs, got, do
        if exit_code is not None:
            self.exit_code = exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        return told, (type(self), str(self)), vars(self)  # so that a worker's error arrives where it is awaited


class Incompatible(PretaskError):
    """Two parts that do not fit each other; raised before any training."""

    exit_code = 4

    @classmethod
    def because(cls, reason: str) -> "Incompatible":
        """The error for a reason that is already whole sentences, with its way out."""
        return told(cls, reason)


class Unknown(PretaskError):
    """A name, an option or a value that nothing knows; the message holds the nearest one that exists."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)


Told = TypeVar("Told", bound=PretaskError)


def told(kind: type[Told], message: str) -> Told:
    """The error of a kind with a message that is already whole."""
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    return error
