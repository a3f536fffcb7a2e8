"""Controllers written by hand; each acts on nothing but the observation, one for each task.

They show that a task can be done, and can demonstrate it to an agent that learns. They displace the
end effector (`control="ee"`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Observation: TypeAlias = Mapping[str, NDArray[np.floating]]
Controller: TypeAlias = Callable[[Observation], NDArray[np.float32]]
"""Returns the action for an observation of a single environment."""

_ABOVE = 0.1
_GAIN = 15.0
# Half the width of the Panda's closed fingers, and half that of a puck, in metres.
_FINGERS, _PUCK = 0.0143, 0.03
# A puck is being struck, or has been, above this speed in m/s.
_MOVING = 0.1
# A lower cube within this distance of its place is left there, in metres.
_PLACED = 0.04


def _towards(target: NDArray[np.floating], hand: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.clip(_GAIN * (target - hand), -1.0, 1.0)


def reach(gain: float) -> Controller:
    """Goes straight to the goal.

    Args:
        gain: Displacement for each metre that is left.
    """

    def act(observation: Observation) -> NDArray[np.float32]:
        offset = observation["desired_goal"] - observation["achieved_goal"]
        return np.clip(gain * offset, -1.0, 1.0).astype(np.float32)

    return act


def push(observation: Observation) -> NDArray[np.float32]:
    """Goes above the point behind the object, down, and towards the goal; anew when beside it."""
    hand, cube = observation["observation"][:3], observation["achieved_goal"]
    way = (observation["desired_goal"] - cube)[:2]
    way = way / max(float(np.linalg.norm(way)), 1e-6)
    left = np.array([-way[1], way[0]])
    along, aside = (hand - cube)[:2] @ way, (hand - cube)[:2] @ left
    if hand[2] < 0.05 and -0.12 < along < 0.0 and abs(aside) < 0.015:
        target = np.array([*(hand[:2] + 0.04 * way - aside * left), 0.02])
        return _towards(target, hand).astype(np.float32)
    return _get_behind(cube[:2] - 0.07 * way, hand)


def slide(observation: Observation) -> NDArray[np.float32]:
    """Strikes the puck along x, with a corner of the fingers where the goal is not straight ahead.

    Next to nothing rubs between finger and puck, so the puck goes where the normal of the contact
    points: a face of the fingers sends it along x, and a corner by the angle that its distance from
    the puck's axis makes. Half the Panda's fingers' width is in here; with the iiwa's narrower ones
    only straight strikes hit.
    """
    hand, puck = observation["observation"][:3], observation["achieved_goal"]
    moving = float(np.linalg.norm(observation["observation"][12:14])) > _MOVING
    way = (observation["desired_goal"] - puck)[:2]
    sine = float(way[1]) / max(float(np.linalg.norm(way)), 1e-6)
    aside = np.sign(sine) * (_FINGERS + _PUCK * abs(sine)) if abs(sine) > 0.05 else 0.0
    behind = np.array([puck[0] - 0.09, puck[1] - aside])
    astray = float(behind[1] - hand[1])
    if hand[2] < 0.05 and -0.13 < hand[0] - puck[0] < 0.0 and (moving or abs(astray) < 0.004):
        # Once it is struck, following it sideways would turn it.
        sideways = 0.0 if moving else _GAIN * astray
        strike = np.array([0.8, sideways, _GAIN * (0.02 - hand[2])], np.float32)
        return np.clip(strike, -1.0, 1.0)
    return _get_behind(behind, hand)


def pick_and_place(observation: Observation) -> NDArray[np.float32]:
    """Goes above the cube, down, closes the gripper and carries the cube to the goal."""
    seen = observation["observation"]
    return _carry(seen, observation["achieved_goal"], observation["desired_goal"])


def stack(observation: Observation) -> NDArray[np.float32]:
    """Carries the lower cube to its goal, then the upper one."""
    cubes, goals = (observation[key] for key in ("achieved_goal", "desired_goal"))
    lower_is_off = float(np.linalg.norm((cubes - goals)[:2])) > _PLACED
    part = slice(0, 3) if lower_is_off else slice(3, 6)
    return _carry(observation["observation"], cubes[part], goals[part])


def _get_behind(behind: NDArray[np.floating], hand: NDArray[np.floating]) -> NDArray[np.float32]:
    """Goes above a point on the table, then down."""
    if np.linalg.norm(behind - hand[:2]) < 0.02:
        target = np.array([*behind, 0.02])
    else:
        target = np.array([*(behind if hand[2] > 0.07 else hand[:2]), _ABOVE])
    return _towards(target, hand).astype(np.float32)


def _carry(
    seen: NDArray[np.floating], cube: NDArray[np.floating], goal: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Fetches a cube that may lie anywhere, and carries it to a point."""
    hand, opening = seen[:3], seen[6]
    beside, above = float(np.linalg.norm((cube - hand)[:2])), hand[2] - cube[2]
    if abs(above) < 0.02 and beside < 0.025 and opening < 0.045:
        return np.array([*_towards(goal, cube), -1.0], np.float32)
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
