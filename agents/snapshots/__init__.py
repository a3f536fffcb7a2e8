"""A learner's whole state, to disk and back."""
