"""The quantities that an episode draws, and noise and delay between an agent and its robot."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from types import MappingProxyType
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from envs.choices import check_keywords

Range: TypeAlias = float | Sequence[float]
"""As a user writes it: a number, or a pair (low, high) to draw from in every episode."""

Interval: TypeAlias = tuple[float, float]
"""Lowest and highest value; they are equal for a fixed value."""

DrawnT = TypeVar("DrawnT")
GoalT = TypeVar("GoalT")

_STARTS_A_GOAL = 20
_MOST_GOALS = 10_000
_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Quantity:
    """A quantity that a keyword argument of an environment sets.

    Attributes:
        default: Its range if the keyword is not given.
        valid: The range that it may not leave.
        unit: Its unit, for messages.
        whole: Whether it must be an integer.
    """

    default: Interval
    valid: Interval
    unit: str = ""
    whole: bool = False

    def read(self, name: str, given: object) -> Interval:
        """Checks a value and returns it as an interval.

        Args:
            name: The keyword.
            given: A number or a pair of them.

        Returns:
            The lowest and the highest value.

        Raises:
            ValueError: If `given` is neither, is not finite, is out of bounds or its ends are
                swapped.
        """
        ends = (given, given) if isinstance(given, Real) else given
        kind = Integral if self.whole else Real
        if (
            isinstance(ends, Sequence)
            and len(ends) == 2
            and all(isinstance(end, kind) and not isinstance(end, bool) for end in ends)
        ):
            # An integer can be too large for a float.
            with contextlib.suppress(OverflowError):
                # Adding 0 turns -0.0 into 0.0; NumPy cannot draw from (0.0, -0.0).
                low, high = (int(end) if self.whole else float(end) + 0.0 for end in ends)
                if self.valid[0] <= low <= high <= self.valid[1]:
                    return low, high
        number = "whole number" if self.whole else "number"
        lowest, highest = (f"{end:g}" for end in self.valid)
        raise ValueError(
            f"{name} must be a {number}, or a pair (low, high) of them, "
            f"from {lowest} to {highest}{self.unit and ' ' + self.unit}, got {given!r}"
        )


def read_ranges(
    owner: str, quantities: Mapping[str, Quantity], given: Mapping[str, object]
) -> dict[str, Interval]:
    """Reads keyword arguments.

    Args:
        owner: Name of what takes them, for the message.
        quantities: What they can set, by keyword.
        given: The arguments.

    Returns:
        The range of every quantity.

    Raises:
        TypeError: If a keyword is unknown.
        ValueError: If a value is invalid.
    """
    check_keywords(owner, given, quantities)
    return {
        name: quantity.read(name, given[name]) if name in given else quantity.default
        for name, quantity in quantities.items()
    }


def draw(interval: Interval, generator: np.random.Generator) -> float:
    """Draws a number uniformly; a fixed one draws nothing from the generator.

    Args:
        interval: Where the number lies.
        generator: The episode's.

    Returns:
        The number.
    """
    low, high = interval
    return low if low == high else float(generator.uniform(low, high))


def chance(probability: Interval, generator: np.random.Generator) -> bool:
    """Decides whether something happens; probability 0 draws nothing from the generator.

    Args:
        probability: Where the probability lies.
        generator: The episode's.

    Returns:
        Whether it happens.
    """
    drawn = draw(probability, generator)
    return drawn > 0.0 and generator.random() < drawn


def draw_point(intervals: Sequence[Interval], generator: np.random.Generator) -> list[float]:
    """Draws a point uniformly from a box; even fixed coordinates draw a number each.

    Args:
        intervals: Where each coordinate lies.
        generator: The episode's.

    Returns:
        The coordinates.
    """
    low, high = [low for low, _ in intervals], [high for _, high in intervals]
    point: list[float] = generator.uniform(low, high).tolist()
    return point


def draw_fit(
    draw_goal: Callable[[], GoalT],
    draw_start: Callable[[], DrawnT],
    fits: Callable[[DrawnT, GoalT], bool],
) -> tuple[GoalT, DrawnT]:
    """Draws a goal and a start that fits; after many misfits, the goal is drawn again.

    Args:
        draw_goal: Draws a goal.
        draw_start: Draws where the objects start.
        fits: Tells whether a start fits a goal.

    Returns:
        A goal and a start that fit.

    Raises:
        RuntimeError: If none fits, which `check_room` prevents where goals are
            drawn.
    """
    for _ in range(_MOST_GOALS):
        goal = draw_goal()
        for _ in range(_STARTS_A_GOAL):
            start = draw_start()
            if fits(start, goal):
                return goal, start
    raise RuntimeError("no placement was valid: the ranges, or the goal asked for, leave no room")


def check_room(
    owner: str,
    ranges: Mapping[str, Interval],
    bodies: int,
    fits: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]],
    condition: str,
) -> None:
    """Raises a ValueError if `draw_fit` would rarely find a placement.

    Args:
        owner: Whose ranges they are, for the message.
        ranges: Among them `goal_x`, `goal_y`, `object_x` and `object_y`.
        bodies: How many bodies are placed.
        fits: Which of n placements of the bodies, shape (n, bodies, 2), fit goals, shape (n, 2).
        condition: What `fits` asks for, for the message.

    Raises:
        ValueError: If fewer than one placement in a hundred is valid.
    """
    places = {name: ranges[name] for name in ("goal_x", "goal_y", "object_x", "object_y")}
    low, high = np.reshape(list(places.values()), (2, 2, 2)).transpose(2, 0, 1)
    of = [0] + [1] * bodies
    points = np.random.default_rng(0).uniform(low[of], high[of], (10_000, 1 + bodies, 2))
    share = float(np.mean(fits(points[:, 1:], points[:, 0])))
    if share < _LEAST_SHARE:
        given = ", ".join(
            f"{name} from {low:g} to {high:g}" for name, (low, high) in places.items()
        )
        raise ValueError(
            f"{owner} needs room: {condition}; with {given} "
            f"{'no' if share == 0.0 else 'hardly any'} placement is valid, widen one of them"
        )


PROBABILITY = Quantity((0.0, 0.0), (0.0, 1.0))
"""For something that does not happen by default."""

DISTURBANCES: Mapping[str, Quantity] = MappingProxyType(
    {
        "action_noise": Quantity((0.0, 0.0), (0.0, 1.0)),
        "action_latency": Quantity((0, 0), (0, 25), "control periods", whole=True),
        "observation_noise": Quantity((0.0, 0.0), (0.0, 1.0)),
    }
)
"""Keywords that every environment takes, whatever its task."""


class Disturbance:
    """Noise and delay between an agent and its robot.

    Actions take effect `action_latency` control periods late; until the first one does, the robot
    gets zeros. Gaussian noise with the standard deviation `action_noise` is added to actions, and
    the sum is clipped to [-1, 1]. Gaussian noise with the standard deviation `observation_noise`
    is added to every entry of `observation`, in the entry's unit.

    All of it is drawn from the episode's generator, so an episode can be simulated again from the
    generator's state at its start and the actions.

    Args:
        ranges: The range of each of `DISTURBANCES`, drawn from at the start of an episode.
        action_size: Number of entries of an action.
        observation_size: Number of entries of `observation`.
    """

    def __init__(
        self, ranges: Mapping[str, Interval], action_size: int, observation_size: int
    ) -> None:
        self._ranges = ranges
        self._action_size = action_size
        self._observation_size = observation_size
        self._action_deviation = self._observation_deviation = 0.0
        self._waiting: deque[list[float]] = deque()
        self._noise: NDArray[np.float64] | None = None

    def begin(self, generator: np.random.Generator) -> None:
        """Draws what holds for an episode, and the noise of its first observation."""
        low, high = self._ranges["action_latency"]
        latency = generator.integers(int(low), int(high), endpoint=True) if low < high else low
        self._waiting = deque([[0.0] * self._action_size] * int(latency))
        self._action_deviation = draw(self._ranges["action_noise"], generator)
        self._observation_deviation = draw(self._ranges["observation_noise"], generator)
        self._draw_observation_noise(generator)

    def act(self, action: list[float], generator: np.random.Generator) -> list[float]:
        """Returns what the robot does for an action; also draws the next observation's noise.

        Args:
            action: Entries in [-1, 1].
            generator: The episode's.

        Returns:
            Entries in [-1, 1].
        """
        self._waiting.append(action)
        action = self._waiting.popleft()
        if self._action_deviation:
            noise = generator.normal(0.0, self._action_deviation, self._action_size).tolist()
            action = [
                min(max(entry + by, -1.0), 1.0) for entry, by in zip(action, noise, strict=True)
            ]
        self._draw_observation_noise(generator)
        return action

    def add_noise(self, observation: NDArray[np.float32], limit: float) -> NDArray[np.float32]:
        """Adds the noise of the current observation, the same however often it is called.

        Args:
            observation: The true one.
            limit: What entries are clipped to, on both sides.

        Returns:
            The noisy one.
        """
        if self._noise is None:
            return observation
        return np.clip(observation + self._noise, -limit, limit).astype(np.float32)

    def _draw_observation_noise(self, generator: np.random.Generator) -> None:
        if self._observation_deviation:
            self._noise = generator.normal(0.0, self._observation_deviation, self._observation_size)
        else:
            self._noise = None
