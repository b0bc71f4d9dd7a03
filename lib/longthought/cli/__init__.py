"""The command line. A module of this folder holds the commands of one kind; `longthought --help` lists them.

Every mistake of the user's is answered by one line on stderr and exit status 2, before any kernel starts and in under a
second; therefore nothing heavy is imported here. Exit statuses of `run`: 0 done or up to date, 2 a mistake to mend,
3 a cell raised, 4 the kernel died, 5 a time-out, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from longthought.cli.base import app
from longthought.errors import UserError

# Importing a module registers its commands, in this order of the help.
for _module in ("running", "measuring", "data", "cleaning", "thinking", "human"):
    import_module(f"longthought.cli.{_module}")


@app.command()
def version() -> None:
    """Print the version of the book's library and of what its results stand on."""
    from longthought.runs.records import versions

    for package, number in versions().items():
        print(f"{package} {number}")


def main() -> None:
    """The console script: like `app`, but a user's mistake is one line and exit status 2."""
    try:
        app()
    except UserError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        # Typer turns Ctrl-C into an exit without a word.
        cause = getattr(end.__context__, "__cause__", None)
        if end.code == 130 and isinstance(cause, KeyboardInterrupt):
            print("error: " + "; ".join(["interrupted", *map(str, cause.args)]), file=sys.stderr)
        raise
    except BrokenPipeError:
        # Whoever read the output (head, say) has enough; nothing may be written while Python ends either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
