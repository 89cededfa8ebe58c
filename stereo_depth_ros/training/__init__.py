"""Training of `lite` on rendered scenes."""
