"""Bodies that the robot moves about."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from envs.randomisation import Interval, Quantity, draw, draw_fit, draw_point
from envs.robots.robot import Robot
from envs.simulation import UPRIGHT, Simulation, Vector, euler_angles

OBSERVATION_LIMIT = 10.0
"""Greatest entry of an observation, in the entry's unit; greater ones are clipped."""

BLUE = (0.13, 0.36, 0.78)

MASS = Quantity((1.0, 1.0), (0.05, 10.0), "kg")
FRICTION = Quantity((0.5, 0.5), (0.01, 2.0))
CUBE_SIZE = Quantity((0.04, 0.04), (0.02, 0.1), "m")
# The fingers open to 8 cm, and a cube is seldom straight between them. Both robots hold all of
# these (`python -m benchmarks.grasps`), but not always what is smaller, lighter or heavier.
GRIPPED_SIZE = Quantity((0.04, 0.04), (0.03, 0.06), "m")
GRIPPED_MASS = Quantity((1.0, 1.0), (0.2, 2.0), "kg")

# How far above its place on the table a cube begins that is in the hand, in metres.
_GRASPED_LIFT: Interval = (0.0, 0.2)
# The hand comes closer than this to where it should be, in metres.
_GRASPED_MARGIN = 0.005
# How much narrower than the cube the hand is at first, in metres: fingers that only touch a cube
# have no contact, and the first to have one throws it at the other.
_SQUEEZE = 0.0005


class LooseBody(ABC):
    """A movable body as a task sees it: drawn and placed at a reset, read once a step.

    Args:
        simulation: Where to put the body.
        ranges: Where `object_x`, `object_y`, `object_size`, `object_mass`, `object_friction` lie.

    Attributes:
        size: Its width in metres.
        position: At the last `observe`, in metres.
        quaternion: At the last `observe`.
    """

    position: Vector
    quaternion: Vector

    def __init__(self, simulation: Simulation, ranges: Mapping[str, Interval]) -> None:
        self._simulation = simulation
        self._sizes, self._masses, self._frictions = (
            ranges[f"object_{name}"] for name in ("size", "mass", "friction")
        )
        self._starts = (ranges["object_x"], ranges["object_y"])
        self.size, mass, friction = self._sizes[0], self._masses[0], self._frictions[0]
        self._body = self._add(mass)
        simulation.set_friction(self._body, -1, sliding=friction, turning=0.0)

    @property
    @abstractmethod
    def height(self) -> float:
        """Height of its centre in metres, when it is placed on the table."""

    @abstractmethod
    def _add(self, mass: float) -> int:
        """Adds the body to the simulation, in the given size."""

    def draw(self, generator: np.random.Generator) -> None:
        """Draws an episode's size, mass and friction, unless they are fixed.

        Args:
            generator: The episode's.
        """
        size, mass, friction = (
            draw(interval, generator) for interval in (self._sizes, self._masses, self._frictions)
        )
        if self._sizes[0] != self._sizes[1]:
            # PyBullet never frees a shape: as few as a tenth of a millimetre tells apart.
            self.size = min(max(round(size, 4), self._sizes[0]), self._sizes[1])
            self._simulation.remove(self._body)
            self._body = self._add(mass)
            self._simulation.set_friction(self._body, -1, sliding=friction, turning=0.0)
            return
        if self._masses[0] != self._masses[1]:
            self._simulation.set_mass(self._body, mass)
        if self._frictions[0] != self._frictions[1]:
            self._simulation.set_friction(self._body, -1, sliding=friction, turning=0.0)

    def place(self, position: Vector) -> None:
        """Puts the body somewhere, upright and at rest."""
        self._simulation.place(self._body, position, UPRIGHT)

    def observe(self, turned: Callable[[Vector], Vector] = euler_angles) -> Vector:
        """Reads the body.

        Args:
            turned: Says by a quaternion how the body is turned; by default roll, pitch and yaw in
                rad.

        Returns:
            12 entries, three each, if `turned` gives three: position in m, how it is turned,
            velocity in m/s, angular velocity in rad/s.
        """
        position, self.quaternion, velocity, spin = self._simulation.body_motion(self._body)
        seen = (*position, *turned(self.quaternion), *velocity, *spin)
        # A body squeezed out of the hand can spin and fly faster than the observation space allows.
        seen = tuple(min(max(entry, -OBSERVATION_LIMIT), OBSERVATION_LIMIT) for entry in seen)
        self.position = seen[:3]
        return seen


class Cube(LooseBody):
    """A cube; its size is its side.

    Args:
        simulation: Where to put the body.
        ranges: Where `object_x`, `object_y`, `object_size`, `object_mass`, `object_friction` lie.
        colours: One for all faces, or one each of those towards -x, x, -y, y, -z and z.
    """

    def __init__(
        self,
        simulation: Simulation,
        ranges: Mapping[str, Interval],
        colours: Sequence[Vector] = ((*BLUE, 1.0),),
    ) -> None:
        self._colours = colours
        super().__init__(simulation, ranges)

    @property
    def height(self) -> float:
        """Height of its centre in metres, when it lies on the table."""
        return 0.5 * self.size

    @property
    def half_extents(self) -> Vector:
        """Half its sides, in metres."""
        return (self.height,) * 3

    def begin_in_hand(
        self,
        robot: Robot,
        away: Sequence[tuple[Vector, float]],
        generator: np.random.Generator,
    ) -> None:
        """Makes a robot hold the cube, up to 0.2 m above the places where it would start.

        Args:
            robot: One with a gripper.
            away: Points, each as x, y and how far above the cube's place on the table it is, and
                how far from it the cube is at least; all in metres.
            generator: The episode's.
        """
        _, (x, y, lift) = draw_fit(
            lambda: away,
            lambda: draw_point((*self._starts, _GRASPED_LIFT), generator),
            lambda place, away: all(
                math.dist(place, point) >= distance + _GRASPED_MARGIN for point, distance in away
            ),
        )
        robot.grasp((x, y, self.height + lift), self.size - _SQUEEZE)
        robot.observe()
        self.place(robot.ee_position)

    def _add(self, mass: float) -> int:
        return self._simulation.add_box(
            self.half_extents,
            (0.0, 0.0, self.height),
            self._colours[0],
            mass=mass,
            faces=self._colours,
        )


class Puck(LooseBody):
    """A flat cylinder, half as high as wide; its size is its diameter.

    Panda-gym drops it from as high as it is thick, and measures goals from there: at rest its
    centre lies half its thickness lower.
    """

    @property
    def height(self) -> float:
        """Height in metres from which its centre falls."""
        return 0.5 * self.size

    def _add(self, mass: float) -> int:
        return self._simulation.add_cylinder(
            0.5 * self.size,
            0.5 * self.size,
            (0.0, 0.0, self.height),
            (*BLUE, 1.0),
            mass=mass,
        )
