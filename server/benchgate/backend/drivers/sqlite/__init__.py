"""The driver for SQLite files."""
