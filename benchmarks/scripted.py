"""Controllers written by hand; each acts on nothing but the observation, one for each task."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Observation = Mapping[str, NDArray[np.floating]]
Controller = Callable[[Observation], NDArray[np.float32]]

_ABOVE = 0.1
_GAIN = 15.0


def _towards(target: NDArray[np.floating], hand: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.clip(_GAIN * (target - hand), -1.0, 1.0)


def reach(gain: float) -> Controller:
    """Go straight to the goal, by a displacement of `gain` times the way that is left."""

    def act(observation: Observation) -> NDArray[np.float32]:
        offset = observation["desired_goal"] - observation["achieved_goal"]
        return np.clip(gain * offset, -1.0, 1.0).astype(np.float32)

    return act


def push(observation: Observation) -> NDArray[np.float32]:
    """Go above the point behind the object, down, and towards the goal; anew when beside it."""
    hand, cube = observation["observation"][:3], observation["achieved_goal"]
    way = (observation["desired_goal"] - cube)[:2]
    way = way / max(float(np.linalg.norm(way)), 1e-6)
    left = np.array([-way[1], way[0]])
    along, aside = (hand - cube)[:2] @ way, (hand - cube)[:2] @ left
    behind = cube[:2] - 0.07 * way
    if hand[2] < 0.05 and -0.12 < along < 0.0 and abs(aside) < 0.015:
        target = np.array([*(hand[:2] + 0.04 * way - aside * left), 0.02])
    elif np.linalg.norm(behind - hand[:2]) < 0.02:
        target = np.array([*behind, 0.02])
    else:
        target = np.array([*(behind if hand[2] > 0.07 else hand[:2]), _ABOVE])
    return _towards(target, hand).astype(np.float32)


def pick_and_place(observation: Observation) -> NDArray[np.float32]:
    """Go above the cube, down, close the gripper and carry the cube to the goal."""
    seen = observation["observation"]
    hand, opening, cube = seen[:3], seen[6], seen[7:10]
    beside, above = float(np.linalg.norm((cube - hand)[:2])), hand[2] - cube[2]
    if abs(above) < 0.02 and beside < 0.025 and opening < 0.045:
        way = _towards(observation["desired_goal"], cube)
        return np.array([*way, -1.0], np.float32)
    if abs(above) < 0.012 and beside < 0.01:
        return np.array([0.0, 0.0, 0.0, -1.0], np.float32)
    if beside < 0.01 or (above < 0.04 and beside < 0.03):
        # Going down drags the hand back a little, more than the gain makes up for.
        target = cube + np.clip(cube - hand, -0.01, 0.01) * (1.0, 1.0, 0.0)
    elif above > 0.05:
        target = np.array([*cube[:2], max(hand[2] - 0.02, cube[2] + 0.06)])
    else:
        target = np.array([*hand[:2], cube[2] + _ABOVE])
    return np.array([*_towards(target, hand), 1.0], np.float32)
