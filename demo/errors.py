"""What can keep the demo from going on; each message tells the person what to do about it."""


class DemoError(Exception):
    """The demo cannot go on."""


class ToolFailed(DemoError):
    """A tool answered with an error; the message is the server's own block."""
