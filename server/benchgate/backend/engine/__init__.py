"""Runs: their life, their worker processes, and what is measured."""
