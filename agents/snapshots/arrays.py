"""The bytes that arrays are stored as."""

from __future__ import annotations

import io

import numpy as np

from agents.learners.learner import Arrays


def to_npz(arrays: Arrays) -> bytes:
    """Packs arrays so that equal ones give equal bytes, and none is pickled.

    Args:
        arrays: The arrays by name.

    Returns:
        Content of an `.npz` file.
    """
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()
