"""Failures that a user can act on; anything else is a bug and keeps its traceback.

The text is a sentence and the next step: `ToolError("No board was found. Plug one in, or pass
--port.")`. The class says which exit code the `l4` command ends with (table in docs/cli.md).
"""


class ToolError(Exception):
    """A failure the user can act on: a sentence and the next step."""

    exit_code = 1


class NotFound(ToolError):
    """What was named does not exist: a network, a node, a board."""

    exit_code = 3


class Unavailable(ToolError):
    """Nobody answered, or what is needed does not run; trying again may help."""

    exit_code = 4


class Refused(ToolError):
    """Somebody said no: a wrong passphrase, a mode that does not allow it."""

    exit_code = 5
