"""The command line: parses, calls, prints; decides nothing.

Hosts start the server often and only to look at it, so each command imports what it needs when it
is called.
"""

import argparse
import gc
import io
import os
import re
import shutil
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from benchgate import __version__
from benchgate.errors import BenchgateError, SettingsError

AT_A_TERMINAL = """\
benchgate: this is an MCP server, and waits here for an MCP host to talk to it. Hosts start it by
themselves: the README says how to tell yours of it. Ctrl-C ends it; --help shows the commands.
"""

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
PORT_MAX = 65_535
STANDARD_INPUT, STANDARD_OUTPUT = 0, 1

BACKEND_ABOUT = """\
Serve the embedded benchmark backend in the foreground, until Ctrl-C. The MCP server starts it by
itself when it is needed; it is one process for each data folder, and ends after 15 idle minutes.

--restart ends the one that runs and starts it again in the background with the environment of
this terminal, which is how it learns of a new password variable. --stop only ends it.
"""

APPROVALS_ABOUT = """\
Answer the questions that wait for a person, one by one, at this terminal. Standard input and
output have to be a terminal: nothing is read from a pipe, and Enter alone is no answer.

--set-pin makes this command and the approvals page ask for a PIN with every yes. It raises the
bar for an agent that has a shell of yours. It is no boundary against one: what you can do, such
a shell can do, and that includes removing the PIN's file (approvals.pin in the data folder), which
is also the way out when you have forgotten it.
"""
AUDIT_ABOUT = """\
Print the ledger of questions, answers and starts: every entry in order. It changes nothing.

--json prints one JSON object on each line: seq and hash, and the entry that was hashed (as
canonical JSON: keys sorted, no spaces, in UTF-8).

--verify checks the chain of hashes and holds the stored questions against it; the exit code is 1
when something was edited or is missing, and the first broken entry is named. Whoever can write to
the record can also forge a whole new chain or cut its end off. That shows only against a head that
was kept elsewhere: hand the one of an earlier hand-over or of an earlier check to --head.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the `benchgate` command and exit with its code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except BenchgateError as exc:
        sys.stderr.write(f"benchgate: {exc.advice}\n")
        code = EXIT_USAGE if isinstance(exc, SettingsError) else EXIT_ERROR
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchgate",
        description="Database load tests in conversation. Without a command: "
        "the MCP server on standard input and output, as MCP hosts start it.",
    )
    parser.add_argument("--version", action="version", version=f"benchgate {__version__}")
    parser.set_defaults(command=_serve, transport="stdio", host="127.0.0.1", port=0)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="the MCP server over standard input or HTTP"))
    as_written = argparse.RawDescriptionHelpFormatter
    _add_backend(
        commands.add_parser(
            "backend",
            help="the embedded benchmark backend",
            description=BACKEND_ABOUT,
            formatter_class=as_written,
        )
    )
    _add_approvals(
        commands.add_parser(
            "approvals",
            help="answer the questions that wait for you",
            description=APPROVALS_ABOUT,
            formatter_class=as_written,
        )
    )
    _add_audit(
        commands.add_parser(
            "audit",
            help="print or check the ledger of answers",
            description=AUDIT_ABOUT,
            formatter_class=as_written,
        )
    )
    return parser


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--transport", choices=["stdio", "http"], default="stdio")
    parser.add_argument("--host", default="127.0.0.1", help="where HTTP listens")
    parser.add_argument("--port", type=_port, default=8765, help="where HTTP listens")
    parser.set_defaults(command=_serve)


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument(
        "--port", type=_port, default=0, help="0, the default, is the last one or any free one"
    )
    parser.add_argument("--data-dir", type=_folder, help="default: BENCHGATE_DATA_DIR")
    ends = parser.add_mutually_exclusive_group()
    ends.add_argument("--stop", action="store_true", help="end the backend that runs")
    ends.add_argument("--restart", action="store_true", help="end it and start it again")
    parser.add_argument(
        "--force", action="store_true", help="with --stop or --restart: stop an active run too"
    )
    # For tests of a life that ends by itself.
    parser.add_argument("--idle-seconds", type=float, help=argparse.SUPPRESS)
    parser.set_defaults(command=_backend)


def _add_approvals(parser: argparse.ArgumentParser) -> None:
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--set-pin", action="store_true", help="ask for a PIN with every yes")
    ways.add_argument("--remove-pin", action="store_true", help="ask for no PIN any more")
    parser.set_defaults(command=_approvals)


def _add_audit(parser: argparse.ArgumentParser) -> None:
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--json", action="store_true", help="one JSON object on each line")
    ways.add_argument("--verify", action="store_true", help="check instead of printing")
    parser.add_argument(
        "--head", type=_head, metavar="SEQ:HASH", help="with --verify: must still be in the chain"
    )
    parser.set_defaults(command=_audit, usage_error=parser.error)


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else -1
    if not 0 <= number <= PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to {PORT_MAX}")
    return number


def _head(text: str) -> str:
    from benchgate.domain.ledger import HEAD_PATTERN  # noqa: PLC0415 - start-up imports little

    if not re.fullmatch(HEAD_PATTERN, text.strip()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no head: a number, a colon and 64 hexadecimal digits are needed"
        )
    return text.strip()


def _folder(text: str) -> Path:
    # An unset variable in a script would otherwise mean the current folder.
    if not text.strip():
        raise argparse.ArgumentTypeError("the name of a folder is missing")
    return Path(text).expanduser().absolute()


@contextmanager
def _importing() -> Generator[None]:
    """No search for garbage among what is imported inside, then or later.

    All of it stays to the end, and to look through it takes a fifth of the time of a short command.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _serve(options: argparse.Namespace) -> int:
    with _importing():
        from benchgate import settings  # noqa: PLC0415 - start-up imports little
        from benchgate.gate.server import serve  # noqa: PLC0415

    loaded = settings.load()
    if options.transport == "stdio" and os.isatty(STANDARD_INPUT):
        sys.stderr.write(AT_A_TERMINAL)
    serve(loaded, transport=options.transport, host=options.host, port=options.port)
    return 0


def _backend(options: argparse.Namespace) -> int:
    if options.stop or options.restart:
        return _end(options, _data_dir(options))
    with _importing():
        from benchgate import settings  # noqa: PLC0415 - start-up imports little
        from benchgate.backend.lifetime import IDLE_SECONDS  # noqa: PLC0415
        from benchgate.backend.process import run_backend  # noqa: PLC0415

    loaded = settings.load()
    return run_backend(
        options.data_dir or loaded.data_dir,
        host=options.host,
        port=options.port,
        idle_seconds=IDLE_SECONDS if options.idle_seconds is None else options.idle_seconds,
        production_patterns=loaded.production_patterns,
        ray_address=loaded.ray_address,
    )


def _end(options: argparse.Namespace, data_dir: Path) -> int:
    with _importing():
        from benchgate.backend.owner import Owner  # noqa: PLC0415 - start-up imports little

    owner = Owner(data_dir)
    was_running = owner.stop(force=options.force)
    _tell("The backend has ended." if was_running else "No backend was running.")
    if options.restart:
        url = owner.start(host=options.host, port=options.port)
        _tell(f"The backend listens on {url}.")
    return 0


def _approvals(options: argparse.Namespace) -> int:
    with _importing():
        from benchgate import settings  # noqa: PLC0415 - start-up imports little
        from benchgate.gate.approvals import terminal  # noqa: PLC0415 - imports SQLAlchemy

    _print_whatever_comes()
    loaded = settings.load()
    if options.set_pin:
        return terminal.set_pin(loaded)
    if options.remove_pin:
        return terminal.remove_pin(loaded)
    return terminal.answer_questions(loaded)


def _audit(options: argparse.Namespace) -> int:
    if options.head is not None and not options.verify:
        options.usage_error("--head goes with --verify")
    with _importing():
        from benchgate import settings  # noqa: PLC0415 - start-up imports little
        from benchgate.gate.approvals import audit  # noqa: PLC0415 - imports SQLAlchemy
        from benchgate.gate.home import GateHome  # noqa: PLC0415

    _print_whatever_comes()
    home = GateHome(settings.load())
    if options.verify:
        report = audit.verdict(home, head=options.head)
    elif options.json:
        report = audit.as_json(home)
    else:
        report = audit.as_table(home, columns=_columns())
    if report.text:
        _tell(report.text)
    return EXIT_ERROR if report.is_broken else 0


def _columns() -> int | None:
    """How wide the terminal is; a pipe takes lines of any length."""
    return shutil.get_terminal_size().columns if os.isatty(STANDARD_OUTPUT) else None


def _print_whatever_comes() -> None:
    """Let no name fail to print because the terminal's encoding lacks a letter of it."""
    cast("io.TextIOWrapper", sys.stdout).reconfigure(errors="backslashreplace")


def _tell(text: str) -> None:
    """Print *text*; what was asked for is done all the same when nobody reads it."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _data_dir(options: argparse.Namespace) -> Path:
    if options.data_dir is not None:
        return Path(options.data_dir)
    from benchgate import settings  # noqa: PLC0415 - start-up imports little

    return settings.load().data_dir
