"""The least that an MCP server can be: what benchgate's own cost is measured against."""
