"""A body that the robot moves about."""

from __future__ import annotations

from envs.simulation import UPRIGHT, Simulation, Vector, euler_angles

LARGEST = 10.0


class LooseBody:
    """A movable body as a task sees it: placed at a reset, read once a step.

    Args:
        simulation: Where the body is.
        body: The body.

    Attributes:
        position: At the last :meth:`observe`, in metres.
        quaternion: At the last :meth:`observe`.
    """

    position: Vector
    quaternion: Vector

    def __init__(self, simulation: Simulation, body: int) -> None:
        self._simulation, self._body = simulation, body

    def place(self, position: Vector) -> None:
        """Put the body somewhere, upright and at rest."""
        self._simulation.place(self._body, position, UPRIGHT)

    def observe(self) -> Vector:
        """Read the body.

        Returns:
            12 entries, three each: position in m, roll, pitch and yaw in rad, velocity in m/s,
            angular velocity in rad/s.
        """
        position, self.quaternion, velocity, spin = self._simulation.body_motion(self._body)
        angles = euler_angles(self.quaternion)
        seen = (*position, *angles, *velocity, *spin)
        # A body squeezed out of the hand can spin and fly faster than the observation space allows.
        if max(seen) > LARGEST or min(seen) < -LARGEST:
            seen = tuple(min(max(entry, -LARGEST), LARGEST) for entry in seen)
        self.position = seen[:3]
        return seen
