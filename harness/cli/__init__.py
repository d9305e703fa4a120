"""The command `harness`. Data goes to stdout, progress and messages to stderr.

Bad input exits with 2, a run of which a plugin failed with 1, a bug with 70.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import NoReturn

import click

from harness import __version__, escapes
from harness.cli import plain
from harness.cli.interrupts import answered
from harness.errors import CRASH, HarnessError, unknown
from harness.files import FULL

# The submodule `list` takes the builtin's name in this namespace as soon as it is imported.
COMMANDS = {
    "run": "Run algorithms on benchmarks on a simulated clock.",
    "grid": "Run a whole evaluation out of one file, with its figures and page.",
    "list": "List algorithms, predictors, methods, spaces and benchmarks.",
    "show": "Show a benchmark, an algorithm, or results.",
    "plot": "Plot regret over simulated time.",
    "stability": "Rank the connections of architectures over all operators.",
    "reproduce": "Run the studies of a paper's figure or claim, and draw or judge them.",
    "data": "List, fetch, import, verify and remove tables.",
    "export": "Write the numbers of results as CSV, Parquet or JSON.",
    "compare": "Compare algorithms: a table, tests, and sentences to quote.",
    "report": "Write a page about results: curves, ranks, tests, cells, provenance.",
    "verify": "Check that stored results are what was written.",
    "predict": "Measure how good predictors are on a table.",
    "baseline": "Keep studies that later versions are held against.",
    "train": "Train architectures for real, those that studies found.",
    "tabulate": "Train cells of a space, and write a new tabular benchmark.",
    "search": "Search for an architecture by training for real.",
    "correlate": "Hold super-networks against the table: Kendall's tau.",
    "validate": "Hold the table's accuracies against trained ones.",
    "compile": "Compile all kernels now, so that no study waits for it.",
    "regress": "Tell whether an algorithm became worse than its baseline.",
}

_REFUSALS = (*FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR)
"""What is the fault of a disk, of permissions or of a path, not a bug."""
_LIMITS = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
"""What the system has no more of."""


class _Group(click.Group):
    """Imports a subcommand's module when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in COMMANDS:
            raise unknown("command", cmd_name, COMMANDS)
        command: click.Command = import_module(f"harness.cli.{cmd_name}").command
        return _debuggable(command)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises HarnessError for a word with control characters, which output would repeat, or an empty one.

        That would mean the working folder where a path is asked for.
        """
        for before, word in zip(["harness", *args], args, strict=False):
            if escapes.controls(word):
                raise HarnessError(
                    f"'{escapes.plain(word)}' has control characters.", "name files and things without them."
                )
            option, equals, value = word.partition("=")
            if not word or (word.startswith("--") and equals and not value):
                raise HarnessError(
                    f"what follows '{option or before}' is empty.", "is a variable of the shell not set?"
                )
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])


_DEBUG = click.Option(
    ["--debug"],
    is_flag=True,
    expose_value=False,
    callback=lambda ctx, _, given: ctx.obj.append("debug") if given else None,
    help="Show tracebacks of what failed.",
)


def _debuggable(command: click.Command) -> click.Command:
    """The command, which takes --debug as every command does, and no list twice, of which the first would not count."""
    for part in (command, *getattr(command, "commands", {}).values()):
        if _DEBUG not in part.params:
            part.params.append(_DEBUG)
            part.parse_args = partial(_parsed, part, part.parse_args)
    return command


def _parsed(
    command: click.Command, parse: Callable[[click.Context, list[str]], list[str]], ctx: click.Context, args: list[str]
) -> list[str]:
    """What `parse` makes of the arguments. Raises HarnessError for a list that is given more than once."""
    for option in () if ctx.resilient_parsing else command.params:
        if isinstance(option, click.Option) and not option.multiple and "[," in option.type.name:
            given = [word for word in args if word.partition("=")[0] in option.opts]
            if len(given) > 1:
                name = option.opts[0]
                raise HarnessError(f"{name} is given {len(given)} times.", f"separate by commas: {name} A,B")
    return parse(ctx, args)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="harness")
def group() -> None:
    """Honest, fast simulation of NAS and HPO algorithms on published tables.

    Start with: harness run --algo rs,re,ls --bench nb201 --seeds 500
    """


group.params.append(_DEBUG)


def main() -> NoReturn:
    """Entry point of the console script."""
    if isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase):
        # unbuffered, a disk that fills up cuts what is printed without a word: a raw file writes what it can
        sys.stdout = open(sys.stdout.fileno(), "w", encoding=sys.stdout.encoding, closefd=False)  # noqa: SIM115
    os.environ["MPLBACKEND"] = "agg"  # figures become files, whatever the notebook or shell around draws with
    if "_HARNESS_COMPLETE" in os.environ:  # the shell asks, by click's own protocol
        with suppress(HarnessError):
            group.main(prog_name="harness", obj=[])
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # of a file whose name is not UTF-8 the next command is told the bytes, who reads is shown which they are
            bare = stream is sys.stdout and not stream.isatty()
            unicode = stream.encoding.lower().startswith("utf")
            stream.reconfigure(
                errors=plain.HANDLER if not unicode else "surrogateescape" if bare else "backslashreplace"
            )
    sys.exit(exit_status())


def exit_status() -> int:
    """Run the command. An interrupt that became another error on its way, or none, is answered as one."""
    said: list[str] = []
    stdout = sys.stdout
    with answered() as interrupts:
        try:
            status = group.main(prog_name="harness", standalone_mode=False, obj=said) or 0
        except (KeyboardInterrupt, click.Abort) as interrupt:
            return _interrupted(str(interrupt))
        except BaseException as error:
            if isinstance(error, SystemExit) and (sys.stdout is not stdout or isinstance(error.__context__, OSError)):
                error = BrokenPipeError()  # click, which replaces stdout, and rich leave so where the reader has gone
            return _interrupted() if interrupts.heard else _failed(error, "debug" in said)
        return _interrupted() if interrupts.heard else status


def _interrupted(told: str = "") -> int:
    exec("")  # else Python ends by the signal once more where an exec was interrupted, as in imports
    click.echo(told or "interrupted. Nothing half-done is left: every file is whole or absent.", err=True)
    return 130


def _failed(error: BaseException, debug: bool) -> int:
    if debug and isinstance(error, HarnessError | MemoryError):
        _print_traceback(error)
    if isinstance(error, HarnessError):
        _complain(error.message, error.hint)
        return error.status
    if isinstance(error, click.ClickException):
        return _complain_of_usage(error)
    if isinstance(error, MemoryError):
        reason = str(error)[:1].lower() + str(error)[1:].rstrip(".")
        return _complain(f"there is not enough memory{reason and f': {reason}'}.", "ask for less at a time.")
    return _complain_of_system(error) if isinstance(error, OSError) else _crashed(error)


def _print_traceback(error: BaseException) -> None:
    import traceback

    traceback.print_exception(error)


def _complain_of_system(error: OSError) -> int:
    if isinstance(error, BrokenPipeError):
        sys.stdout = None  # the reader has gone; nothing is flushed to it at exit
        return 141
    if error.errno in _LIMITS:
        limits = "use fewer --processes or --workers, or raise the limits, which `ulimit -a` shows."
        return _complain(f"the system refuses more open files, processes or memory: {error.strerror}.", limits)
    if error.errno not in _REFUSALS:
        return _crashed(error)
    if error.filename is None:
        sys.stdout = None  # what is left in it cannot be printed either
    what = "write" if error.filename is None else f"access {error.filename}"
    denied = isinstance(error, PermissionError)
    hint = "let yourself in, or choose another place." if denied else "free some space, or choose another place."
    return _complain(f"cannot {what}: {error.strerror}.", hint)


def _crashed(error: BaseException) -> int:
    """Show a bug with its traceback. Not with status 1: that is an answer of `harness regress`."""
    _print_traceback(error)
    reason = f"{type(error).__name__}: {error}".strip().removesuffix(":")
    _complain(f"harness crashed: {reason}", "this is a bug of harness or of a plugin named in the traceback.")
    return CRASH


def _complain_of_usage(error: click.ClickException) -> int:
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"see {context.command_path if context else 'harness'} --help"
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return 2
    if isinstance(error, click.NoSuchOption):
        close = " or ".join(error.possibilities or ())
        return _complain(f"unknown option '{error.option_name}'.", f"did you mean {close}?" if close else hint)
    if isinstance(error, click.BadParameter) and error.message.endswith("is not readable."):
        return _complain(f"{error.message[:1].lower()}{error.message[1:]}", "let yourself read it.")
    said = (getattr(getattr(error, "param", None), "help", None) or "").partition(" [")[0].rstrip(".")
    return _complain(error.format_message(), f"{said[:1].lower()}{said[1:]}; {hint}" if said else hint)


def _complain(message: str, hint: str) -> int:
    for line in message.splitlines():
        click.echo(f"error: {escapes.plain(line)}", err=True)
    if hint:
        click.echo(f"hint: {escapes.plain(hint)}", err=True)
    return 2
