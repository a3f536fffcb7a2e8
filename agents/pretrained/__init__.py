"""Agents that come with the lab, trained and ready to play: small files that nobody unpickles."""
