"""An SDK server whose one tool makes one HTTP GET and returns what came, as it came."""

import sys

import httpx
from mcp.server import MCPServer

URL, TOKEN = sys.argv[1:3]

server = MCPServer("one-get", log_level="WARNING")  # as quiet as ours
http = httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)


@server.tool()
async def get() -> str:
    """Get the page."""
    response = await http.get(URL)
    return response.raise_for_status().text


if __name__ == "__main__":
    server.run()
