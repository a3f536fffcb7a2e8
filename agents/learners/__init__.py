"""From a config to what is trained; the only room that knows Stable-Baselines3's internals."""
