"""Groups of commands that do something when they are called bare."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


def running(default: str) -> type[TyperGroup]:
    """A group that runs one of its commands when it is called bare, or with nothing but options."""

    class DefaultGroup(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            asks_help = bool({"-h", "--help"} & set(args[:1]))
            if not ctx.resilient_parsing and not asks_help and (not args or args[0].startswith("-")):
                args = [default, *args]
            return super().parse_args(ctx, args)

    return DefaultGroup
