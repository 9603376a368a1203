"""The one exception for what a user can put right."""


class InputError(Exception):
    """Something the user can put right: the message is one sentence that says what is wrong and what to do.

    The command line prints the message alone, without a traceback.
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's message, to be quoted in a sentence; the error's kind if it has no message."""
    return str(error).strip().partition("\n")[0].rstrip(".:") or type(error).__name__
