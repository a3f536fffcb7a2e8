"""From flags to a config."""
