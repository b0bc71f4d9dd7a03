"""The one exception that means "the user can mend this": the command line prints it as a single line, no traceback."""


class UserError(Exception):
    """A mistake in what the user gave; its text says what, where, and how to mend it."""
