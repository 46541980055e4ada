"""A bare SDK server whose one tool starts a run without asking anybody: what a start itself costs.

It makes the requests that any start needs: what the run is, what speaks against it, the start,
and what became of it.
"""

import sys
from typing import Any

import httpx
from mcp.server import MCPServer

server: MCPServer[Any] = MCPServer("unasked", log_level="ERROR")
url, token = sys.argv[1:]
http = httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, trust_env=False)


@server.tool()
async def start(run_id: str) -> str:
    """Start a run, whoever wants it."""
    runs = f"{url}/api/runs/{run_id}"
    requests = (
        ("GET", f"{runs}/"),
        ("GET", f"{url}/health"),
        ("GET", f"{runs}/preflight"),
        ("POST", f"{runs}/start"),
        ("GET", f"{url}/api/tests/{run_id}/"),
    )
    answers = [(await http.request(method, path)).raise_for_status() for method, path in requests]
    return answers[-1].text


server.run()
