"""An SDK server with one tool that does nothing."""

from mcp.server import MCPServer

server = MCPServer("bare", log_level="WARNING")  # as quiet as ours


@server.tool()
def nothing() -> str:
    """Do nothing."""
    return "done"


if __name__ == "__main__":
    server.run()
