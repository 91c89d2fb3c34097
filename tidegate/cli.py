"""
The command line: ``tidegate COMMAND``.

Nothing heavy is imported here or by the modules of the commands: each command imports what it
needs when it runs, so that ``tidegate --help`` answers at once.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import typer
from typer.core import TyperGroup

from tidegate.commands import (
    approve,
    check,
    config,
    data,
    explain,
    holds,
    init,
    kill,
    new_strategy,
    panic,
    pause,
    rebuild,
    replay,
    report,
    resume,
    scenario,
    sessions,
    status,
    stop_new_orders,
    trade,
    venue,
    verify,
    version,
)
from tidegate.exits import Interrupted
from tidegate.front import finish
from tidegate.origin import require_assertions, require_own_floors

NEW_OBJECTS: Final = (50_000, 20, 50)
"""When the collector comes while a command loads what it needs: rarely, for all of that stays."""


class FrontDoor(TyperGroup):
    """The group of all commands: whatever happens ends in an exit code of the contract."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an interrupt is an error like others, which typer would end silently."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run one command; exits with its code unless ``standalone_mode`` is off."""
        arguments = list(sys.argv[1:] if args is None else args)

        def command() -> Any:
            return super(FrontDoor, self).main(
                args=arguments,
                prog_name="tidegate",
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )

        code = finish(command, arguments)
        if standalone_mode:
            sys.exit(code)
        return code


app = typer.Typer(
    cls=FrontDoor,
    name="tidegate",
    help=(
        "A trading daemon of supervised actors: replay, paper, shadow and live sessions, and the "
        "audit of each.\n\nTo begin: `tidegate init`, then `tidegate trade`. To stop all risk: "
        "`tidegate kill`."
    ),
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)


@app.callback()
def front_door() -> None:
    """Refuse an installation that is not whole, before any command runs."""
    require_assertions()
    require_own_floors()


for _module in (
    replay,
    trade,
    kill,
    panic,
    stop_new_orders,
    pause,
    resume,
    status,
    holds,
    explain,
    sessions,
    report,
    verify,
    rebuild,
    check,
    approve,
    config,
    init,
    new_strategy,
    scenario,
    data,
    venue,
    version,
):
    _module.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the console script's entry."""
    gc.set_threshold(*NEW_OBJECTS)
    # pydantic would read the metadata of all that is installed for plugins, and let any of them
    # have a say in how a configuration is read.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    code: int = typer.main.get_command(app).main(
        args=None if arguments is None else list(arguments), standalone_mode=False
    )
    # The process is about to end: collecting all that was loaded would take 0.2 s, for nothing.
    gc.freeze()
    return code
