"""The `stereo-depth` command: one verb a module."""
