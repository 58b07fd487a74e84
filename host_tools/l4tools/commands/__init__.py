"""One module a verb of `l4`. `network.py` is the model; to add a verb:

1. Write `commands/VERB.py` with `app = verb("One line about it.")` and functions marked
   `@app.command("name")`. One function: `l4 VERB`. Several: `l4 VERB NAME`.
2. Every function takes `ctx: typer.Context` first; `session = ctx.obj` (session.py) prints with
   `session.out` and opens the network with `session.load_network()`.
3. It returns nothing (exit code 0) or one of the codes of output.py; failures are raised as
   ToolError (errors.py), a wrong argument as typer.BadParameter: a sentence and the next step.
4. Import what is slow inside the function. Name the verb in the table VERBS of cli.py; a verb
   whose module is not there is not offered. The global options are not declared again.
"""

import typer


def verb(help: str) -> typer.Typer:
    """The `app` of a command module: the same look and manners for all."""
    return typer.Typer(
        help=help,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
