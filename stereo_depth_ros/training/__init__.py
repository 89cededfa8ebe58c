"""Training of the networks, on rendered scenes and on pairs of datasets."""
