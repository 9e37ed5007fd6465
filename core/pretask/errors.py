"""The three errors of pretask: each says who needs what, what came, and what to do."""


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


class Incompatible(PretaskError):
    """Two parts that do not fit each other; raised before any training."""

    exit_code = 4

    @classmethod
    def because(cls, reason: str) -> "Incompatible":
        """The error for a reason that is already whole sentences, with its way out."""
        error = cls.__new__(cls)
        Exception.__init__(error, reason)
        return error


class Unknown(PretaskError):
    """A name, an option or a value that nothing knows; the message holds the nearest one that exists."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)
