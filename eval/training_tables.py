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
    table = read_sparse_table(path, columns)
    if any(np.isnan(column).any() for column in table.values()):
        raise RunError(f"{path} is damaged or foreign: numbers are missing in {', '.join(columns)}")
    return table or {name: np.zeros(0) for name in columns}


def read_sparse_table(path: Path, columns: Sequence[str] | None = None) -> Columns:
    """Reads columns in which numbers may be missing.

    Args:
        path: The file.
        columns: Names of the columns, all of numbers; all there are if `None`.

    Returns:
        An array of shape (rows,) for each column, `nan` where a number is missing; nothing if there
        is no file yet, or no whole line in it.

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
        return {}
    import pandas as pd  # late, as it takes half a second

    usecols = None if columns is None else list(columns)
    try:
        table = pd.read_csv(io.BytesIO(whole_lines), usecols=usecols, dtype=np.float64, engine="c")
    except ValueError as error:
        reason = str(error).strip().split("\n")[0]
        raise RunError(f"{path} is damaged or foreign: {reason}") from None
    return {name: table[name].to_numpy(np.float64) for name in columns or table}
