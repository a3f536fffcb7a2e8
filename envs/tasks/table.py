"""The table that the tasks share."""

from __future__ import annotations

from envs.simulation import Simulation


def add_table(simulation: Simulation, *, length: float = 1.1, centre: float = -0.3) -> None:
    """Add a table, its top at height 0, on the ground.

    Size and place are those of panda-gym's: 0.7 m wide, 0.4 m high.

    Args:
        simulation: Where to.
        length: Its extent in x, in metres.
        centre: Of the table in x, in metres.
    """
    ground = (0.0, 0.0, -0.41)
    simulation.add_box((3.0, 3.0, 0.01), ground, (0.42, 0.46, 0.52, 1.0), background=True)
    simulation.add_box((0.5 * length, 0.35, 0.2), (centre, 0.0, -0.2), (0.8, 0.7, 0.58, 1.0))
