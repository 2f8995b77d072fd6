"""The runner of the workshop: what `lineside workshop` does with the course in the top-level ``workshop/``."""
