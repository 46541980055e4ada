"""The command line: parses, calls, prints; decides nothing."""


def main() -> None:
    """Run the `benchgate` command."""
