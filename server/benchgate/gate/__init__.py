"""What the agent talks to: the MCP server. It never touches a database under test."""
