"""How a backend is reached: where it is, how long it may take, and how its answers are read."""
