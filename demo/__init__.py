"""A comparison of two databases in conversation on the terminal: the first thing a newcomer runs."""
