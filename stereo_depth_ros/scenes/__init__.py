"""Rendered stereo scenes with exact truth."""
