"""The ways in which backends speak, one module or package each."""
