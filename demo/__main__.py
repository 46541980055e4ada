"""`python -m demo`."""

import sys

EXIT_INTERRUPTED = 130  # as a shell has it for Ctrl-C


def main() -> int:
    """Run the demo; the answer is the exit code."""
    try:
        # Importing takes a second, in which somebody may think better of it.
        from demo.command import run  # noqa: PLC0415

        return run()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
