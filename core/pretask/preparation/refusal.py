"""Refusal: the error for inputs that an encoder cannot read."""

from pretask.errors import PretaskError


def refuse(needs: str, got: str, do: str) -> PretaskError:
    """Return the error of what an encoder was given; its exit code is that of wrong usage."""
    return PretaskError("the encoder", needs, got, do, exit_code=2)
