"""docs/commands.md says what --help says. Written anew by `python -m tests.unit.test_commands_page`."""

from __future__ import annotations

import inspect
from pathlib import Path

import click

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"

HEAD = """# Commands

Durations are written `500ms`, `2s`, `1m`, `1h`; sizes `16KiB`, `64MiB`. Secrets are given as files only. Logs go to
stderr, one line an event. When it is ready to serve, each server prints one line on stdout,
`ready grpc=HOST:PORT http=HOST:PORT`, of the two what it has, with real ports, so that `:0` works. Exit status: 0 after
SIGINT or SIGTERM and a clean drain, 2 for a wrong command line, 1 with one clear line for anything else. `--version`
says which version a command is of.
"""


def commands() -> list[click.Command]:
    """All of them, in the order of the page."""
    from gateway.__main__ import command as gateway
    from gateway.demo import command as demo
    from keyviz_grpc.cli.health import command as health
    from keyviz_grpc.cli.node import command as node
    from keyviz_grpc.cli.token import command as token

    return [demo, gateway, node, token, health]


def section(command: click.Command) -> str:
    """One command as a heading, a paragraph and a table."""
    context = click.Context(command, info_name=command.name)
    rows = [row for option in settings(command) for row in [line(option, context)]]
    table = ["| option | variable | default | meaning |", "|---|---|---|---|", *rows]
    return "\n".join([f"## {command.name}", "", inspect.cleandoc(command.help or ""), "", *table, ""])


def settings(command: click.Command) -> list[click.Option]:
    """The options that set something: not --version."""
    return [option for option in command.params if isinstance(option, click.Option) and option.expose_value]


def line(option: click.Option, context: click.Context) -> str:
    """One option as a row of the table."""
    extra = option.get_help_extra(context)
    flag = ", ".join([*option.opts, *option.secondary_opts])
    metavar = "" if option.is_flag else " " + option.make_metavar(context)
    variables = ", ".join(f"`{name}`" for name in extra.get("envvars", ()))
    default = f"`{extra['default']}`" if "default" in extra else "required" if option.required else ""
    cells = [f"`{flag}{metavar}`", variables, default, option.help or ""]
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(command) for command in commands())])


def test_the_page_is_what_help_says() -> None:
    """Nobody has to remember to describe an option twice."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_option_has_a_variable_and_a_meaning() -> None:
    """Nothing can be set by a flag alone, and nothing is left unexplained."""
    for command in commands():
        assert all(isinstance(param, click.Option) for param in command.params)
        for option in settings(command):
            assert option.help, option.name
            assert str(option.envvar or "").startswith("KEYVIZ_"), option.name


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
