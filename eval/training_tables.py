"""Reads the tables that a run writes while it trains."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents import RunError

Columns = dict[str, NDArray[np.float64]]


def read_training_table(path: Path, columns: Sequence[str]) -> Columns:
    """Reads columns of `episodes.csv` or `metrics.csv`.

    A last row that a killed process left half written is ignored.

    Args:
        path: The file.
        columns: Names of the columns, all of numbers.

    Returns:
        An array of shape (rows,) for each column; without rows if there is no file yet.

    Raises:
        RunError: If the file cannot be read or a column is missing or holds something else.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    whole_lines = data[: data.rfind(b"\n") + 1]
    if not whole_lines:
        return {name: np.zeros(0) for name in columns}
    import pandas as pd  # late, as it takes half a second

    try:
        table = pd.read_csv(
            io.BytesIO(whole_lines), usecols=list(columns), dtype=np.float64, engine="c"
        )
    except ValueError as error:
        reason = str(error).strip().split("\n")[0]
        raise RunError(f"{path} is damaged or foreign: {reason}") from None
    if table.isna().to_numpy().any():
        raise RunError(f"{path} is damaged or foreign: numbers are missing in {', '.join(columns)}")
    return {name: table[name].to_numpy(np.float64) for name in columns}
