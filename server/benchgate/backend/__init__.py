"""The embedded backend: a benchmark service on loopback that really loads databases."""
