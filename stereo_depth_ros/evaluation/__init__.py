"""How good a model is: readers of public datasets, metrics, reports."""
