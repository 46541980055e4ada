"""A whole benchmark in conversation on the terminal: the first thing a newcomer runs."""
