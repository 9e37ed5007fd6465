"""The three errors of pretask: each says who needs what, what came, and what can be done."""


class PretaskError(Exception):
    """Something that the user can change: `<who> needs <requirement>; got <found>. <One thing to do.>`

    Args:
        who: The component or file that complains; without anything else, the whole message.
        needs: The requirement, with its number.
        got: What was found instead.
        do: One sentence, with its full stop, that says the way out.
        exit_code: What the command returns; 1 failed, 2 usage, 3 plugin problem, 4 incompatible.
    """

    exit_code = 1

    def __init__(self, who: str, needs: str = "", got: str = "", do: str = "", *, exit_code: int | None = None) -> None:
        # Of one argument, so that pickle makes it anew from its message: a worker's error arrives where it is awaited.
        super().__init__(f"{who} needs {needs}; got {got}. {do}" if needs else who)
        self.who, self.needs, self.got, self.do = (who, needs, got, do) if needs else ("", "", "", "")
        if exit_code is not None:
            self.exit_code = exit_code


class Incompatible(PretaskError):
    """Two parts that do not fit each other; raised before any training."""

    exit_code = 4


class Unknown(PretaskError):
    """A name, an option or a value that nothing knows; the message holds the nearest one that exists."""

    exit_code = 2
