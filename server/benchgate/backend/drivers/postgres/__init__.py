"""The driver for PostgreSQL servers."""
