"""Self-contained report pages of runs and studies."""
