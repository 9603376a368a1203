"""The one exception for what a user can put right."""


class InputError(Exception):
    """Something the user can put right: the message is one sentence that says what is wrong and what to do.

    The command line prints the message alone, without a traceback.
    """


def first_line(error: BaseException) -> str:
    """What an error says in its first line, or its kind if it says nothing."""
    return str(error).strip().partition("\n")[0].rstrip(".:") or type(error).__name__
