"""Database load tests in conversation, started only by a person."""

__version__ = "0.1.0"
