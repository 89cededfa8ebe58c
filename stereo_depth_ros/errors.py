"""What the package raises for its users, told apart from faults of the package itself.

The commands report a `UserError` as one line, as they do an OSError, with which the system names
what it refused. All else shows its traceback: a plain ValueError may come from NumPy or from a slip
of this code, where the place says more than the text.
"""


class UserError(Exception):
    """What a user can mend; the text names the cause and the cure."""


class InputError(UserError, ValueError):
    """A file, an option or a setting that cannot be used."""
