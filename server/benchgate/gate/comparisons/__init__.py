"""Comparisons: kept, asked about, and driven from test to test."""
