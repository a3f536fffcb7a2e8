"""The bytes that arrays are stored as."""

from __future__ import annotations

import io

import numpy as np

from agents.learners.learner import Arrays


def to_npz(arrays: Arrays) -> bytes:
    """Packs arrays without pickling, so that equal arrays give equal bytes.

    Args:
        arrays: The arrays by name.

    Returns:
        Content of an `.npz` file.
    """
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()
