"""`python -m demo`."""

import gc
import sys

EXIT_INTERRUPTED = 130  # as a shell has it for Ctrl-C


def main() -> int:
    """Run the demo; the answer is the exit code."""
    try:
        # Importing takes a second, in which somebody may think better of it. What is imported
        # stays to the end, so nobody looks for garbage in it.
        gc.disable()
        from demo.command import run  # noqa: PLC0415

        gc.freeze()
        gc.enable()
        return run()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
