"""The table that the tasks share, and where on it things may be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.randomisation import Interval
from envs.simulation import Simulation

DRAWN: Interval = (-0.15, 0.15)
"""Where panda-gym draws most goals and objects from, in x and in y, in metres."""

FLAT: Interval = (0.0, 0.0)
"""The height of what lies on the table: panda-gym's generator draws that, too."""

# An object whose centre is this far below the table has fallen off it, in metres.
_FALLEN = 0.05

# Within these both robots come within 2 cm of any point up to 0.3 m above the table.
REACHED_X: Interval = (-0.2, 0.15)
REACHED_Y: Interval = (-0.25, 0.25)
REACHED_Z: Interval = (0.0, 0.3)


def fallen(positions: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tells which objects have fallen off the table.

    Args:
        positions: Of their centres, in metres; shape (..., 3).

    Returns:
        Shape (...).
    """
    below: NDArray[np.bool_] = positions[..., 2] < -_FALLEN
    return below


def add_table(simulation: Simulation, *, length: float = 1.1, centre: float = -0.3) -> None:
    """Adds a table, its top at height 0, on the ground.

    Size and place are those of panda-gym's: 0.7 m wide, 0.4 m high.

    Args:
        simulation: Where to.
        length: Its extent in x, in metres.
        centre: Of the table in x, in metres.
    """
    ground = (0.0, 0.0, -0.41)
    simulation.add_ground((3.0, 3.0, 0.01), ground, (0.42, 0.46, 0.52, 1.0))
    simulation.add_box((0.5 * length, 0.35, 0.2), (centre, 0.0, -0.2), (0.8, 0.7, 0.58, 1.0))
