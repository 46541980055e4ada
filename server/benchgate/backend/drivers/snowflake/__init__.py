"""The driver for Snowflake."""
