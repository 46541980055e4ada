"""Measured figures beside their peers, in the same run on the same machine."""
