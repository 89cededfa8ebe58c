"""Recordings in, depth out: readers, writers, and the loop between them."""
