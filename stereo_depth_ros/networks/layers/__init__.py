"""Layers that several networks share because they are truly the same."""
