"""The one exception for what a user can put right."""


class InputError(Exception):
    """Something the user can put right: the message is one sentence that says what is wrong and what to do.

    The command line prints the message alone, without a traceback.
    """
