"""What the tasks share in which one body is to be brought to a point."""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from envs.randomisation import Interval, Range, check_room, draw_fit, draw_point
from envs.robots.robot import Robot
from envs.simulation import Simulation, Vector
from envs.tasks.loose_body import Cube, LooseBody
from envs.tasks.table import FLAT, add_table, fallen
from envs.tasks.task import Task


class OneBodyTask(Task):
    """Bring a body to within 5 cm of a point; it starts farther away than that.

    Args:
        **given: As a `Task` takes them.

    Raises:
        TypeError: If a keyword is unknown.
        ValueError: If a value is invalid, or the ranges leave hardly any place for the body that is
            not at its goal.

    Attributes:
        lift: How far above its place on the table the body is to be brought, in metres.
    """

    observation_size = 12
    goal_size = 3
    threshold = 0.05

    def __init__(self, **given: Range) -> None:
        super().__init__(**given)
        self.lift: Interval = self.ranges.get("goal_z", FLAT)
        low, high = self.ranges["object_size"]
        self._heights: Interval = (0.5 * low, 0.5 * high)
        check_room(
            type(self).__name__,
            self.ranges,
            1,
            self._apart,
            f"its object starts at least {self.threshold:g} m from its goal",
        )

    def load(self, simulation: Simulation, robot: Robot) -> None:
        """Adds the table, the body and the goal's marker."""
        self._simulation = simulation
        self._body, self._marker = self._add_scene(simulation)

    @abstractmethod
    def _add_scene(self, simulation: Simulation) -> tuple[LooseBody, int]:
        """Adds the table, the body and the goal's marker."""

    def lost(self, achieved_goals: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tells where the body has fallen off the table."""
        return fallen(achieved_goals)

    def _show_goal(self, goal: Vector) -> None:
        self._simulation.move_marker(self._marker, goal)

    def _draw_goal(self, generator: np.random.Generator) -> Vector:
        """Draws the point: x, y and its height above the body's place on the table."""
        return draw_point((self.ranges["goal_x"], self.ranges["goal_y"], self.lift), generator)

    def reset(self, generator: np.random.Generator, goal: Vector | None = None) -> Vector:
        """Draws the point, and the body's place and properties."""
        box = (self.ranges["object_x"], self.ranges["object_y"], FLAT)

        def draw_goal() -> Vector:
            drawn = self._draw_goal(generator)
            # How high the body will lie is not drawn yet: as high as it can.
            return drawn if goal is None else (*goal[:2], max(goal[2] - self._heights[1], 0.0))

        at, start = draw_fit(
            draw_goal,
            lambda: draw_point(box, generator),
            lambda start, goal: math.dist(start, goal) >= self.threshold,
        )
        self._body.draw(generator)
        goal = (at[0], at[1], self._body.height + at[2]) if goal is None else goal
        self._show_goal(goal)
        self._body.place((start[0], start[1], self._body.height))
        return goal

    def read_goal(self, goal: list[float]) -> Vector:
        """Checks that the point lies in the range of drawn points."""
        bounds = {axis: self.ranges[f"goal_{axis}"] for axis in "xy"}
        low, high = (height + lift for height, lift in zip(self._heights, self.lift, strict=True))
        self._check_entries(goal, {**bounds, "z": (low, high)})
        return goal

    def observe(self) -> Vector:
        """Returns the motion of the body."""
        return self._body.observe()

    def achieved_goal(self) -> Vector:
        """Returns the position of the body."""
        return self._body.position

    def _apart(self, starts: NDArray[np.float64], goals: NDArray[np.float64]) -> NDArray[np.bool_]:
        lifts = np.linspace(*self.lift, len(goals))
        offsets = starts[:, 0] - goals
        apart: NDArray[np.bool_] = (
            np.hypot(np.hypot(offsets[:, 0], offsets[:, 1]), lifts) >= self.threshold
        )
        return apart


class CubeTask(OneBodyTask):
    """Bring a cube to a point, where a green one shows through everything.

    Args:
        **given: As a `Task` takes them.

    Raises:
        TypeError: As an `OneBodyTask` does.
        ValueError: As an `OneBodyTask` does.
    """

    def _add_scene(self, simulation: Simulation) -> tuple[LooseBody, int]:
        add_table(simulation)
        self._cube = Cube(simulation, self.ranges)
        colour = (0.1, 0.8, 0.2, 0.6)
        return self._cube, simulation.add_box_marker(self._cube.half_extents, [colour])

    def _show_goal(self, goal: Vector) -> None:
        self._simulation.resize_box_marker(self._marker, self._cube.half_extents)
        super()._show_goal(goal)
