"""The MCP tools, one module per noun, and the seam where errors become tool results."""
