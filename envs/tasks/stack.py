"""Stack: put one cube on another at a place on the table."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from envs import controllers
from envs.randomisation import (
    PROBABILITY,
    Quantity,
    Range,
    chance,
    check_room,
    draw_fit,
    draw_point,
)
from envs.robots.robot import Robot
from envs.simulation import Simulation, Vector
from envs.tasks.loose_body import BLUE, FRICTION, GRIPPED_MASS, GRIPPED_SIZE, Cube
from envs.tasks.table import DRAWN, FLAT, REACHED_X, REACHED_Y, add_table, fallen
from envs.tasks.task import Task

_ORANGE = (0.95, 0.55, 0.1)
_LOWER_MASS = 2.0
# Least distance between the centres of a cube in the hand and of one beside it, in metres.
_HAND_ROOM = 0.095


class Stack(Task):
    """Bring a cube of 2 kg to a point on the table, and a cube of 1 kg on top of it.

    The cubes, 4 cm large, and the point are drawn uniformly from x, y in [-0.15, 0.15] m; the
    second cube falls from 4 cm above the table. Distance is that between vectors of six numbers,
    the positions of both cubes, and 10 cm are near enough. Sizes, masses, ranges, threshold and the
    limit of 100 steps are those of panda-gym's `PandaStack-v3`. Cubes that would start one above
    the other, or at their goal, are drawn again; panda-gym accepts them, and the second cube then
    falls onto the first.

    `placed` is the probability that an episode begins with the first cube at its goal, `grasped`
    that it begins with the next one in the hand: the second if the first is placed, else the first,
    anywhere up to 0.2 m above the places it is drawn from. Both are 0 in the task proper. They are
    for training, like PickAndPlace's `grasped`: each makes a beginning of what is a middle
    otherwise, and random actions hardly ever get there.

    Observation, a dictionary; `observation` is the robot's own (7 entries with a Panda), then:

    | entry              | meaning                                           | range     | unit  |
    |--------------------|---------------------------------------------------|-----------|-------|
    | 0-2                | position of the first cube in x, y, z             | [-10, 10] | m     |
    | 3-5                | roll, pitch and yaw of the first cube             | [-10, 10] | rad   |
    | 6-8                | velocity of the first cube in x, y, z             | [-10, 10] | m/s   |
    | 9-11               | angular velocity of the first cube about x, y, z  | [-10, 10] | rad/s |
    | 12-14              | position of the second cube in x, y, z            | [-10, 10] | m     |
    | 15-17              | roll, pitch and yaw of the second cube            | [-10, 10] | rad   |
    | 18-20              | velocity of the second cube in x, y, z            | [-10, 10] | m/s   |
    | 21-23              | angular velocity of the second cube about x, y, z | [-10, 10] | rad/s |
    | `achieved_goal` 0-2| position of the first cube in x, y, z             | [-10, 10] | m     |
    | `achieved_goal` 3-5| position of the second cube in x, y, z            | [-10, 10] | m     |
    | `desired_goal` 0-2 | where the first cube should be                    | [-10, 10] | m     |
    | `desired_goal` 3-5 | where the second cube should be, 4 cm above       | [-10, 10] | m     |

    Action: displacement of the end effector, or of the joints, and the gripper's; see the robot's
    tables.
    """

    quantities = MappingProxyType(
        {
            "goal_x": Quantity(DRAWN, REACHED_X, "m"),
            "goal_y": Quantity(DRAWN, REACHED_Y, "m"),
            "object_x": Quantity(DRAWN, REACHED_X, "m"),
            "object_y": Quantity(DRAWN, REACHED_Y, "m"),
            "object_size": GRIPPED_SIZE,
            "object_mass": GRIPPED_MASS,
            "object_friction": FRICTION,
            "placed": PROBABILITY,
            "grasped": PROBABILITY,
        }
    )
    controller = staticmethod(controllers.stack)
    observation_size = 24
    goal_size = 6
    threshold = 0.1
    needs_gripper = True
    max_episode_steps = 100

    def __init__(self, **given: Range) -> None:
        super().__init__(**given)
        self._size = self.ranges["object_size"][1]
        name = type(self).__name__
        apart = f"its cubes start {self._size:g} m apart in x or y"
        check_room(name, self.ranges, 2, self._fits, f"{apart}, and not at their goal")
        if self.ranges["placed"][1] > 0.0:
            check_room(
                name,
                self.ranges,
                2,
                lambda starts, goals: self._fits(_lower_at_goal(starts, goals), goals),
                f"{apart}, the lower one at its goal and the other not",
            )

    def load(self, simulation: Simulation, robot: Robot) -> None:
        """Adds the table, the cubes and the goals' markers."""
        self._simulation, self._robot = simulation, robot
        add_table(simulation)
        heavy = {} if "object_mass" in self.given else {"object_mass": (_LOWER_MASS,) * 2}
        self._lower = Cube(simulation, {**self.ranges, **heavy}, [(*BLUE, 1.0)])
        self._upper = Cube(simulation, self.ranges, [(*_ORANGE, 1.0)])
        self._cubes = (self._lower, self._upper)
        self._markers = [
            simulation.add_box_marker(cube.half_extents, [(*colour, 0.5)])
            for cube, colour in zip(self._cubes, (BLUE, _ORANGE), strict=True)
        ]

    def reset(self, generator: np.random.Generator, goal: Vector | None = None) -> Vector:
        """Draws the point, and the cubes' places and properties."""
        goals, objects = (
            (self.ranges[f"{of}_x"], self.ranges[f"{of}_y"], FLAT) for of in ("goal", "object")
        )
        placed = chance(self.ranges["placed"], generator)

        def begin(starts: NDArray[np.float64], goal: NDArray[np.float64]) -> NDArray[np.float64]:
            return _lower_at_goal(starts, goal) if placed else starts

        def draw_goal() -> NDArray[np.float64]:
            drawn = draw_point(goals, generator)
            return np.array(drawn[:2] if goal is None else goal[:2])

        at, starts = draw_fit(
            draw_goal,
            lambda: np.array([draw_point(objects, generator)[:2] for _ in self._cubes]),
            lambda starts, goal: bool(self._fits(begin(starts, goal), goal)),
        )
        starts = begin(starts, at)
        for cube in self._cubes:
            cube.draw(generator)
        heights = (self._lower.height, self._lower.size + self._upper.height)
        if goal is None:
            goal = [entry for height in heights for entry in (*at.tolist(), height)]
        for cube, marker, start, height, aim in zip(
            self._cubes,
            self._markers,
            starts.tolist(),
            heights,
            (goal[:3], goal[3:]),
            strict=True,
        ):
            cube.place((*start, height))
            self._simulation.resize_box_marker(marker, cube.half_extents)
            self._simulation.move_marker(marker, aim)
        if chance(self.ranges["grasped"], generator):
            held, other = (1, 0) if placed else (0, 1)
            cube = self._cubes[held]
            to = (*at.tolist(), heights[held] - cube.height)
            beside = (*starts[other].tolist(), 0.0)
            away = [(to, self.threshold), (beside, _HAND_ROOM)]
            cube.begin_in_hand(self._robot, away, generator)
        return goal

    def read_goal(self, goal: list[float]) -> Vector:
        """Checks that the lower goal lies in the range of drawn places, and the upper above it."""
        low, high = self.ranges["object_size"]
        x, y = goal[:2]
        bounds = {
            "lower x": self.ranges["goal_x"],
            "lower y": self.ranges["goal_y"],
            "lower z": (0.5 * low, 0.5 * high),
            "upper x": (x, x),
            "upper y": (y, y),
            "upper z": (1.5 * low, 1.5 * high),
        }
        self._check_entries(goal, bounds)
        return goal

    def observe(self) -> Vector:
        """Returns the motion of the cubes."""
        return (*self._lower.observe(), *self._upper.observe())

    def achieved_goal(self) -> Vector:
        """Positions of the cubes."""
        return (*self._lower.position, *self._upper.position)

    def lost(self, achieved_goals: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tells where a cube has fallen off the table."""
        return fallen(achieved_goals[..., :3]) | fallen(achieved_goals[..., 3:])

    def _fits(self, starts: NDArray[np.float64], goals: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tells whether cubes, shape (..., 2, 2), lie apart and not at goals, shape (..., 2)."""
        beside = np.abs(starts[..., 0, :] - starts[..., 1, :]).max(-1) >= self._size
        offsets = starts - goals[..., None, :]
        away = np.sqrt((offsets * offsets).sum((-1, -2))) >= self.threshold
        fits: NDArray[np.bool_] = beside & away
        return fits


def _lower_at_goal(starts: NDArray[np.float64], goals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Starts of cubes, shape (..., 2, 2), with the lower ones' moved to goals, shape (..., 2)."""
    moved = starts.copy()
    moved[..., 0, :] = goals
    return moved
