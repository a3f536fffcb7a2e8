"""Experiment trackers, which follow the tables of a run from a process of their own."""
