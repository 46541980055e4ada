"""Databases under test: one small module each behind one coarse port."""
