"""One person's yes: asked for on the best channel there is, recorded, and used once."""
