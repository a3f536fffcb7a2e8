"""Moves a run to its end: the loop, what watches it, forks and worker processes."""
