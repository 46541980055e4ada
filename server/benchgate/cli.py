"""The command line: parses, calls, prints; decides nothing.

Hosts start the server often and only to look at it, so each command imports what it needs when it
is called.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

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
STANDARD_INPUT = 0

BACKEND_ABOUT = """\
Serve the embedded benchmark backend in the foreground, until Ctrl-C. The MCP server starts it by
itself when it is needed; it is one process for each data folder, and ends after 15 idle minutes.

--restart ends the one that runs and starts it again in the background with the environment of
this terminal, which is how it learns of a new password variable. --stop only ends it.
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
    _add_backend(
        commands.add_parser(
            "backend",
            help="the embedded benchmark backend",
            description=BACKEND_ABOUT,
            formatter_class=argparse.RawDescriptionHelpFormatter,
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


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else -1
    if not 0 <= number <= PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to {PORT_MAX}")
    return number


def _folder(text: str) -> Path:
    # An unset variable in a script would otherwise mean the current folder.
    if not text.strip():
        raise argparse.ArgumentTypeError("the name of a folder is missing")
    return Path(text).expanduser().absolute()


def _serve(options: argparse.Namespace) -> int:
    from benchgate import settings  # noqa: PLC0415 - start-up imports little
    from benchgate.gate.server import serve  # noqa: PLC0415

    loaded = settings.load()
    if options.transport == "stdio" and os.isatty(STANDARD_INPUT):
        sys.stderr.write(AT_A_TERMINAL)
    serve(loaded, transport=options.transport, host=options.host, port=options.port)
    return 0


def _backend(options: argparse.Namespace) -> int:
    data_dir = _data_dir(options)
    if options.stop or options.restart:
        return _end(options, data_dir)
    from benchgate.backend.lifetime import IDLE_SECONDS  # noqa: PLC0415 - start-up imports little
    from benchgate.backend.process import run_backend  # noqa: PLC0415

    idle_seconds = IDLE_SECONDS if options.idle_seconds is None else options.idle_seconds
    return run_backend(data_dir, host=options.host, port=options.port, idle_seconds=idle_seconds)


def _end(options: argparse.Namespace, data_dir: Path) -> int:
    from benchgate.backend.owner import Owner  # noqa: PLC0415 - start-up imports little

    owner = Owner(data_dir)
    was_running = owner.stop(force=options.force)
    _tell("The backend has ended." if was_running else "No backend was running.")
    if options.restart:
        url = owner.start(host=options.host, port=options.port)
        _tell(f"The backend listens on {url}.")
    return 0


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
