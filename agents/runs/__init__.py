"""What a run is on disk; needs neither torch nor Stable-Baselines3."""
