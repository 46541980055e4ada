"""The driver for DuckDB files."""
