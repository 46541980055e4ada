"""The live page of one run, served to one browser."""
