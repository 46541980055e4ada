"""Two databases compared in conversation on the terminal: the first thing a newcomer runs."""
