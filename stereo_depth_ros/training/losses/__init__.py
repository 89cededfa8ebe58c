"""What networks are trained for: a module for each family of losses."""
