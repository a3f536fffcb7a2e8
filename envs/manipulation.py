"""A robot and a task as a gymnasium environment."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import inspect
import math
import pickle
import time
from collections.abc import Mapping
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.wrappers import RenderCollection
from numpy.typing import NDArray

from envs.choices import check_choice, check_keywords
from envs.picture import Camera
from envs.randomisation import DISTURBANCES, Disturbance, Range, read_ranges
from envs.registry import ROBOTS, TASK_TYPES, able_robots
from envs.robots.robot import Robot
from envs.simulation import CONTROL_PERIOD, InSimulationError, LoadError, Simulation, Vector
from envs.tasks.loose_body import OBSERVATION_LIMIT
from envs.tasks.task import Distances, Goals, Task

Observation: TypeAlias = dict[str, NDArray[Any]]
RenderMode: TypeAlias = Literal[
    "rgb_array", "depth_array", "rgbd_tuple", "segmentation_array", "human"
]
Rendered: TypeAlias = NDArray[Any] | tuple[NDArray[np.uint8], NDArray[np.float32]]

REWARDS = ("sparse", "dense")
OBSERVATIONS = ("state", "pixels", "both")
RENDER_MODES = ("rgb_array", "depth_array", "rgbd_tuple", "segmentation_array", "human")
RENDER_LISTS: dict[str | None, str] = {
    f"{mode}_list": mode for mode in RENDER_MODES if mode != "human"
}
SNAPSHOT_VERSION = 1
_OPTIONAL_KEYS = {"goal", "next_generator"}

_SINGLE = np.dtype(np.float32)
_NOTHING = np.empty((), _SINGLE)


class ManipulationEnv(gym.Env[Observation, NDArray[np.float32]]):
    """Goal-conditioned environment: a robot that acts, a task that judges.

    An episode terminates when the goal is reached. Gymnasium's `TimeLimit`, which `gymnasium.make`
    adds, truncates it.

    `copy` and `pickle` create an environment with its own simulation, which continues bit for bit
    as this one would. It is made with the same arguments and brought to the same state in the way
    of `restore`. It includes public attributes, the task's `threshold` and what a subclass
    adds, but nothing else that was set on the robot or the task later.

    Args:
        robot: The robot; environments cannot share one.
        task: The task; environments cannot share one.
        reward: `"sparse"`: 0 when the goal is reached, else -1. `"dense"`: minus the distance.
        observation: `"state"`: `observation` holds the entries of robot and task. `"pixels"`: it
            holds those of the robot, and there is a picture, `pixels`. `"both"`: it holds all
            entries, and there is a picture.
        pixels_size: Width and height of `pixels`.
        pixels_camera: The camera of `pixels`; by default the task's.
        render_mode: None, or what `render` returns: `"rgb_array"`, `"depth_array"`,
            `"rgbd_tuple"` or `"segmentation_array"`, without a display, or `"human"` for a window.
        render_width: Of a frame or the window, in pixels.
        render_height: Of a frame or the window, in pixels.
        camera: The camera of frames; by default the task's, farther back for a tall robot.
        action_noise: Standard deviation of the noise on actions, in an action's own unit.
        action_latency: Control periods from an action to its effect.
        observation_noise: Standard deviation of the noise on the entries of `observation`, in
            their own units. From a pair (low, high), each of these three is drawn in every episode.

    Raises:
        ValueError: If `reward`, `observation` or `render_mode` is unknown, a number of pixels is
            not whole or not positive, a camera is not one, a noise or the latency is invalid, the
            task needs a gripper and the robot does not open and close one, or robot or task are in
            another environment or lack a size or the threshold.
        LoadError: If a file that the robot or the task loads is missing or cannot be read.
        RuntimeError: If `render_mode="human"` has no display, or the process has as many
            environments as PyBullet allows.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (gymnasium declares it so)
        "render_modes": list(RENDER_MODES),
        "render_fps": round(1 / CONTROL_PERIOD),
    }

    def __init__(
        self,
        robot: Robot,
        task: Task,
        *,
        reward: Literal["sparse", "dense"] = "sparse",
        observation: Literal["state", "pixels", "both"] = "state",
        pixels_size: int = 84,
        pixels_camera: Camera | Mapping[str, Any] | None = None,
        render_mode: RenderMode | None = None,
        render_width: int = 720,
        render_height: int = 480,
        camera: Camera | Mapping[str, Any] | None = None,
        action_noise: Range = 0.0,
        action_latency: Range = 0,
        observation_noise: Range = 0.0,
    ) -> None:
        before = set(vars(self))
        _check_parts(robot, task)
        check_choice("reward", reward, REWARDS)
        check_choice("observation", observation, OBSERVATIONS)
        check_choice("render_mode", render_mode, (None, *RENDER_MODES))
        for name, size in (
            ("pixels_size", pixels_size),
            ("render_width", render_width),
            ("render_height", render_height),
        ):
            if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
                raise ValueError(f"{name} is a whole number of pixels, at least 1, got {size!r}")
        if task.needs_gripper and not robot.gripper:
            raise ValueError(
                f"{type(task).__name__} needs a robot that opens and closes its gripper, "
                f"such as Panda(gripper=True)"
            )
        self._unloaded = _keep_unloaded(robot, task)
        self.robot = robot
        self.task = task
        self.reward = reward
        self.render_mode = render_mode
        self.render_width = render_width
        self.render_height = render_height
        back = dataclasses.replace(
            task.camera, distance=task.camera.distance * robot.camera_distance
        )
        self.camera = _read_camera("camera", camera, back)
        disturbances = read_ranges(
            "an environment",
            DISTURBANCES,
            {
                "action_noise": action_noise,
                "action_latency": action_latency,
                "observation_noise": observation_noise,
            },
        )
        self._action_shape = (robot.action_size,)
        self.action_space = spaces.Box(-1.0, 1.0, self._action_shape, np.float32)
        self.observation = observation
        self.pixels_size = pixels_size
        self.pixels_camera = _read_camera("pixels_camera", pixels_camera, task.pixels_camera)
        size, goal_size = robot.observation_size + task.observation_size, task.goal_size
        self._goal_shape = (goal_size,)
        seen = robot.observation_size if observation == "pixels" else size
        parts: dict[str, spaces.Space[Any]] = {
            "observation": spaces.Box(-OBSERVATION_LIMIT, OBSERVATION_LIMIT, (seen,), np.float32),
            "achieved_goal": spaces.Box(
                -OBSERVATION_LIMIT, OBSERVATION_LIMIT, (goal_size,), np.float32
            ),
            "desired_goal": spaces.Box(
                -OBSERVATION_LIMIT, OBSERVATION_LIMIT, (goal_size,), np.float32
            ),
        }
        if observation != "state":
            parts["pixels"] = spaces.Box(0, 255, (pixels_size, pixels_size, 3), np.uint8)
        self.observation_space = spaces.Dict(parts)  # type: ignore[assignment]
        self._disturbance = (
            Disturbance(disturbances, robot.action_size, size)
            if any(map(any, disturbances.values()))
            else None
        )
        self._disturbances = disturbances
        self._ranges = {name: list(ends) for name, ends in task.given.items()}
        if self._disturbance is not None:
            self._ranges |= {name: list(ends) for name, ends in disturbances.items()}
        human = render_mode == "human"
        self._simulation = Simulation(
            visuals=render_mode is not None,
            sketch=observation != "state",
            window=(render_width, render_height) if human else None,
        )
        for part, load in ((robot, robot.load), (task, partial(task.load, robot=robot))):
            try:
                load(self._simulation)
            except LoadError as error:
                self._simulation.close()
                raise LoadError(f"{type(part).__name__} cannot be loaded: {error}") from error
        self._simulation.show(self.camera)
        self._goal: list[float] = []
        self._asked: list[float] | None = None
        self._next_generator: np.random.Generator | None = None
        self._start: Mapping[str, Any] = {}
        self._actions: list[list[float]] = []
        self._running = False
        self._due = 0.0
        # Spaces have generators of their own.
        self._made = {*vars(self), "_made"} - before - {"action_space", "observation_space"}

    def __copy__(self) -> ManipulationEnv:
        """Copies deeply: a shallow copy would step the same simulation."""
        return copy.deepcopy(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Tells `copy` and `pickle` how to make another environment in the same state.

        Raises:
            RuntimeError: If the environment is closed.
            TypeError: If it has a window, or its robot or its task cannot be copied.
        """
        self._check_open()
        if self.render_mode == "human":
            raise TypeError("an environment with a window cannot be copied or pickled")
        if isinstance(self._unloaded, Exception):
            names = f"{type(self.robot).__name__} and {type(self.task).__name__}"
            raise TypeError(f"{names} cannot be copied or pickled: {self._unloaded}")
        arguments = {
            "reward": self.reward,
            "observation": self.observation,
            "pixels_size": self.pixels_size,
            "pixels_camera": self.pixels_camera,
            "render_mode": self.render_mode,
            "render_width": self.render_width,
            "render_height": self.render_height,
            "camera": self.camera,
            **self._disturbances,
        }
        # Generators are created on first use, so without this a copy would get different ones.
        _ = self.np_random, self.action_space.np_random
        added = {name: value for name, value in vars(self).items() if name not in self._made}
        state = {"threshold": self.task.threshold, "snapshot": self.snapshot(), "added": added}
        return _make_again, (type(self), *self._unloaded, arguments), state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Brings a copy to the state of the original."""
        self.task.threshold = state["threshold"]
        self.restore(state["snapshot"])
        vars(self).update(state["added"])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: Restarts the generator that goals are drawn from; None goes on with it.
            options: `{"goal": goal}` requests a goal, which must be one that the task could draw.
                Everything else is what the seed gives with a drawn goal, except that objects do
                not start at the requested goal.

        Returns:
            The first observation, and a dictionary with `is_success`.

        Raises:
            RuntimeError: If the environment is closed.
            ValueError: If `options` holds anything else, or the task cannot draw the goal; nothing
                has changed. Or, in the first episode, robot or task do not give what they say.
        """
        self._check_open()
        goal = self._read_options(options) if options else None
        super().reset(seed=seed)
        if self._next_generator is not None:
            if seed is None:
                self.np_random = self._next_generator
            self._next_generator = None
        self._running = False
        self._begin_episode(goal)
        state = self._read()
        self._running = True
        _, reached = self._judge(state["achieved_goal"].tolist(), self._goal)
        return self._seen(state), {"is_success": bool(reached)}

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Acts for one control period of 0.04 s.

        Args:
            action: One number an entry of the action space; beyond [-1, 1] it is clipped.

        Returns:
            Observation, reward, terminated, truncated, and a dictionary with `is_success`.

        Raises:
            RuntimeError: If the environment is closed, or no episode is running.
            ValueError: If the action has the wrong shape, is not numeric or is not finite.
        """
        # Unlike `close`, closing the window does not end the episode.
        if not self._running or self.render_mode == "human":
            self._check_open()
        if not self._running:
            over = "the episode is over" if self._goal else "no episode was started"
            raise RuntimeError(f"step() needs a running episode, and {over}: call reset()")
        entries = self._check_action(action)
        self._actions.append(entries)
        self._advance(entries)
        state = self._read()
        reward, reached = self._judge(state["achieved_goal"].tolist(), self._goal)
        if self.reward == "dense":
            # In the precision of `compute_reward`, which must agree.
            reward = float(np.float32(reward))
        terminated = bool(reached)
        self._running = not terminated
        if self.render_mode == "human":
            self._wait()
        return self._seen(state), float(reward), terminated, False, {"is_success": terminated}

    def compute_reward(
        self,
        achieved_goal: NDArray[np.floating],
        desired_goal: NDArray[np.floating],
        info: object = None,
    ) -> NDArray[np.float32]:
        """Computes the reward for achieving one goal while another was desired.

        Args:
            achieved_goal: Shape (..., goal_size).
            desired_goal: Shape (..., goal_size).
            info: Not needed; hindsight replay passes one dictionary a goal.

        Returns:
            Shape (...).

        Raises:
            ValueError: If goals are not as long as this task's, or not as many as each other.
        """
        reward, _ = self._judge(*self._check_goals(achieved_goal, desired_goal))
        return np.asarray(reward, np.float32)[()]

    def compute_terminated(
        self,
        achieved_goal: NDArray[np.floating],
        desired_goal: NDArray[np.floating],
        info: object = None,
    ) -> NDArray[np.bool_]:
        """Tells whether achieving one goal while another was desired ends the episode.

        Args:
            achieved_goal: Shape (..., goal_size).
            desired_goal: Shape (..., goal_size).
            info: Not needed; hindsight replay passes one dictionary a goal.

        Returns:
            Shape (...).

        Raises:
            ValueError: If goals are not as long as this task's, or not as many as each other.
        """
        _, reached = self._judge(*self._check_goals(achieved_goal, desired_goal))
        return np.asarray(reached, np.bool_)[()]

    def compute_lost(
        self,
        achieved_goal: NDArray[np.floating],
        desired_goal: NDArray[np.floating],
        info: object = None,
    ) -> NDArray[np.bool_]:
        """Tells where an object is lost for good, such as on the floor: no goal lies there.

        Args:
            achieved_goal: Shape (..., goal_size).
            desired_goal: Likewise; not needed, but given to the methods beside this.
            info: Not needed either.

        Returns:
            Shape (...).

        Raises:
            ValueError: If goals are not as long as this task's, or not as many as each other.
        """
        self._check_goals(achieved_goal, desired_goal)
        return np.asarray(self.task.lost(np.asarray(achieved_goal)), np.bool_)[()]

    def render(self) -> Rendered | None:
        """Draws the scene in the way of `render_mode`.

        Returns:
            `"rgb_array"`: a frame of shape (render_height, render_width, 3), 8-bit.
            `"depth_array"`: distances along the camera's axis in metres, 32-bit, of shape
            (render_height, render_width); 10 where there is nothing.
            `"rgbd_tuple"`: both.
            `"segmentation_array"`: the `envs.picture.Segment` of each pixel, 32-bit, of
            shape (render_height, render_width).
            Else None: a window draws itself.

        Raises:
            RuntimeError: If the environment is closed.
        """
        self._check_open()
        if self.render_mode in (None, "human"):
            return None
        size = self.render_width, self.render_height
        in_colour = self.render_mode in ("rgb_array", "rgbd_tuple")
        picture = self._simulation.picture(self.camera, *size, shadow=in_colour)
        if self.render_mode == "depth_array":
            return picture.depth
        if self.render_mode == "segmentation_array":
            return picture.segmentation
        frame = picture.frame()
        return frame if self.render_mode == "rgb_array" else (frame, picture.depth)

    def close(self) -> None:
        """Frees the simulation; closing twice is allowed."""
        self._running = False
        self._simulation.close()

    def reseed(self, seed: int) -> None:
        """Draws the next episodes from a new generator; a running episode is not affected.

        A `reset` with a seed of its own forgets it.

        Args:
            seed: Seed of the generator.
        """
        self._next_generator, _ = seeding.np_random(seed)

    def snapshot(self) -> dict[str, Any]:
        """Captures what `restore` needs to continue bit for bit, in any process.

        PyBullet's own saved states cannot be moved between processes, so this holds the state of
        the generator when the episode began and the actions since, to be simulated again.

        Returns:
            Plain data that `json` writes and reads without loss.

        Raises:
            RuntimeError: If the environment is closed.
        """
        self._check_open()
        started = bool(self._goal)
        generator = self._start if started else self.np_random.bit_generator.state
        return {
            "version": SNAPSHOT_VERSION,
            "environment": self._identity(),
            "generator": generator,
            "actions": [list(entries) for entries in self._actions],
            "started": started,
            "running": self._running,
            "digest": _digest(self._read()) if started else "",
            # Only where one was asked for.
            **({} if self._asked is None else {"goal": list(self._asked)}),
            **(
                {}
                if self._next_generator is None
                else {"next_generator": self._next_generator.bit_generator.state}
            ),
        }

    def restore(self, data: Mapping[str, Any]) -> Observation | None:
        """Continues where a snapshot was taken.

        Wrappers are not restored: `TimeLimit` still counts the steps since its own last reset. The
        number of steps in the restored episode is the length of the snapshot's `actions`.

        Args:
            data: What `snapshot` returned, from an environment made with the same arguments;
                those about pictures and `observation` may differ.

        Returns:
            The observation at the snapshot, or None if that was before the first reset.

        Raises:
            RuntimeError: If the environment is closed, or simulating the actions again led
                elsewhere, as it may with another version of PyBullet or of this code; no episode is
                running then.
            ValueError: If the snapshot is malformed or of another environment. Nothing has changed.
        """
        self._check_open()
        generator, next_generator, actions, goal = self._check_snapshot(data)
        self.np_random, self._next_generator = generator, next_generator
        self._running = False
        if not data["started"]:
            self._goal, self._actions, self._asked = [], [], None
            return None
        self._begin_episode(goal)
        state = self._read()
        for entries in actions:
            self._advance(entries)
            state = self._read()
        self._actions = actions
        if _digest(state) != data["digest"]:
            raise RuntimeError(
                "simulating the snapshot's actions again led to another state; was it taken with "
                "another version of PyBullet or of this code, or on another kind of machine, or "
                "does the task have another source of chance than the generator?"
            )
        self._running = data["running"]
        return self._seen(state)

    def _begin_episode(self, goal: list[float] | None) -> None:
        self._start = self.np_random.bit_generator.state
        self._actions, self._asked = [], goal
        self.robot.reset()
        self._simulation.clear_contacts()
        drawn = (
            self.task.reset(self.np_random)
            if goal is None
            else self.task.reset(self.np_random, self.task.read_goal(goal))
        )
        try:
            entries = np.array(drawn, _SINGLE)
        except (TypeError, ValueError):
            entries = _NOTHING
        self._goal = entries.tolist()
        if entries.shape != self._goal_shape or not all(map(math.isfinite, self._goal)):
            self._goal = []
            size = self.task.goal_size
            raise _bad_part(self.task, "reset", size, "goal_size", drawn)
        if self._disturbance is not None:
            self._disturbance.begin(self.np_random)

    def _advance(self, entries: list[float]) -> None:
        if self._disturbance is not None:
            entries = self._disturbance.act(entries, self.np_random)
        self.robot.act(entries)
        self._simulation.step()

    def _read(self) -> Observation:
        """Reads everything that robot and task observe, whether or not the agent sees it."""
        robot, task = self.robot.observe(), self.task.observe()
        achieved_goal = self.task.achieved_goal()
        self._check_read(robot, task, achieved_goal)
        state: Observation = {
            "observation": np.array((*robot, *task), _SINGLE),
            "achieved_goal": np.array(achieved_goal, _SINGLE),
            "desired_goal": np.array(self._goal, _SINGLE),
        }
        if self._disturbance is not None:
            state["observation"] = self._disturbance.add_noise(
                state["observation"], OBSERVATION_LIMIT
            )
        return state

    def _seen(self, state: Observation) -> Observation:
        """Returns the observation as the agent sees it."""
        if self.observation == "state":
            return state
        if self.observation == "pixels":
            state["observation"] = state["observation"][: self.robot.observation_size].copy()
        return {**state, "pixels": self._simulation.sketch(self.pixels_camera, self.pixels_size)}

    def _wait(self) -> None:
        """Waits for the rest of the control period, so that the window shows real time."""
        now = time.monotonic()
        time.sleep(max(self._due - now, 0.0))
        self._due = max(self._due, now) + CONTROL_PERIOD

    def _judge(self, achieved: Goals, desired: Goals) -> tuple[Distances, bool | NDArray[np.bool_]]:
        """Returns rewards of achieved goals and whether they match the desired ones."""
        distance = self.task.distance(achieved, desired)
        reached = distance < self.task.threshold
        return -distance if self.reward == "dense" else reached - 1.0, reached

    def _check_read(self, robot: Vector, task: Vector, achieved_goal: Vector) -> None:
        """Refuses a robot or a task whose readings do not match what it declares."""
        parts = (
            (self.robot, "observe", "observation_size", robot),
            (self.task, "observe", "observation_size", task),
            (self.task, "achieved_goal", "goal_size", achieved_goal),
        )
        for part, method, name, given in parts:
            size = getattr(part, name)
            try:
                good = len(given) == size and all(map(math.isfinite, given))
            except TypeError:
                good = False
            if not good:
                self._goal = []
                raise _bad_part(part, method, size, name, given)

    def _check_goals(
        self, achieved_goal: object, desired_goal: object
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Goals as arrays, or ValueError."""
        achieved, desired = np.asarray(achieved_goal), np.asarray(desired_goal)
        for goal in (achieved, desired):
            if goal.shape[-1:] != self._goal_shape or goal.dtype.kind not in "fiu":
                raise ValueError(
                    f"a goal of {type(self.task).__name__} is {self._goal_shape[0]} numbers, "
                    f"got {goal.dtype} of shape {goal.shape}"
                )
        if achieved.shape != desired.shape:
            try:
                np.broadcast_shapes(achieved.shape, desired.shape)
            except ValueError:
                raise ValueError(
                    f"as many goals must be achieved as desired, got {achieved.shape} and "
                    f"{desired.shape}"
                ) from None
        return achieved, desired

    def _read_options(self, options: object) -> list[float]:
        if not isinstance(options, Mapping) or set(options) != {"goal"}:
            raise ValueError(f"reset's options are {{'goal': goal}} or none, got {options!r}")
        return self._read_goal(options["goal"])

    def _read_goal(self, given: object) -> list[float]:
        """Converts a requested goal into the task's numbers, or raises a ValueError."""
        try:
            array = np.asarray(given)
        except ValueError:
            array = _NOTHING
        good = array.shape == self._goal_shape and array.dtype.kind in "fiu"
        if not good or not np.isfinite(array).all():
            raise ValueError(
                f"a goal of {type(self.task).__name__} is {self._goal_shape[0]} finite numbers, "
                f"got {given!r}"
            )
        goal: list[float] = array.astype(np.float64).tolist()
        self.task.read_goal(goal)
        return goal

    def _identity(self) -> dict[str, Any]:
        identity: dict[str, Any] = {
            "robot": type(self.robot).__name__,
            "task": type(self.task).__name__,
            "control": self.robot.control,
            "reward": self.reward,
        }
        if self._ranges:
            identity["ranges"] = self._ranges
        return identity

    def _check_open(self) -> None:
        if self._simulation.closed:
            raise RuntimeError("this environment is closed: make a new one")

    def _check_action(self, action: NDArray[np.float32]) -> list[float]:
        # On so few numbers plain Python is faster than numpy.
        try:
            array = np.asarray(action)
        except ValueError as error:
            raise self._bad_action(repr(action)) from error
        if array.dtype.kind not in "fiu":
            raise self._bad_action(f"entries of type {array.dtype}")
        if array.shape != self._action_shape:
            raise self._bad_action(f"shape {array.shape}")
        entries: list[float] = array.tolist()
        for entry in entries:
            # Also true of what is not a number.
            if not -1.0 <= entry <= 1.0:
                if not all(map(math.isfinite, entries)):
                    raise self._bad_action(str(entries))
                entries = [min(max(entry, -1.0), 1.0) for entry in entries]
                break
        if array.dtype != _SINGLE:
            # An action must have the same effect in whatever precision it comes.
            entries = np.array(entries, _SINGLE).tolist()
        return entries

    def _bad_action(self, got: str) -> ValueError:
        size = self.robot.action_size
        return ValueError(f"an action is {size} finite numbers, clipped to [-1, 1], got {got}")

    def _check_snapshot(
        self, data: Mapping[str, Any]
    ) -> tuple[
        np.random.Generator, np.random.Generator | None, list[list[float]], list[float] | None
    ]:
        """Reads generators, actions and requested goal of a snapshot, or raises a ValueError."""
        if not isinstance(data, Mapping):
            raise ValueError(f"a snapshot is a mapping, got {type(data).__name__}")
        if data.get("version") != SNAPSHOT_VERSION:
            raise ValueError(
                f"a snapshot of version {SNAPSHOT_VERSION} is needed, got {data.get('version')!r}"
            )
        expected = self.snapshot()
        keys = expected.keys() - _OPTIONAL_KEYS
        if data.keys() - _OPTIONAL_KEYS != keys:
            raise ValueError(f"a snapshot holds {sorted(keys)}, got {sorted(data)}")
        if data["environment"] != expected["environment"]:
            raise ValueError(
                f"the snapshot is of {data['environment']}, this is {expected['environment']}"
            )
        for key in ("started", "running"):
            if not isinstance(data[key], bool):
                raise ValueError(f"a snapshot's {key!r} is true or false, got {data[key]!r}")
        if not isinstance(data["digest"], str):
            raise ValueError(f"a snapshot's 'digest' is a string, got {data['digest']!r}")
        generator = _generator("generator", data["generator"])
        following = data.get("next_generator")
        next_generator = None if following is None else _generator("next_generator", following)
        if not isinstance(data["actions"], list):
            raise ValueError(f"a snapshot's 'actions' is a list, got {data['actions']!r}")
        actions = [self._check_action(entries) for entries in data["actions"]]
        if not data["started"] and (actions or data["running"] or "goal" in data):
            raise ValueError("a snapshot from before the first reset holds no episode")
        goal = self._read_goal(data["goal"]) if "goal" in data else None
        return generator, next_generator, actions, goal


def _generator(key: str, state: object) -> np.random.Generator:
    generator = np.random.Generator(np.random.PCG64())
    try:
        generator.bit_generator.state = state  # type: ignore[assignment]
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"a snapshot's {key!r} is a PCG64 state: {error}") from error
    return generator


def _check_parts(robot: Robot, task: Task) -> None:
    for part, kind in ((robot, Robot), (task, Task)):
        if not isinstance(part, kind):
            article = kind.__name__.lower()
            raise ValueError(f"a {article} is an envs.{kind.__name__}, got {part!r}")
    sizes = (
        (robot, "action_size", 1),
        (robot, "observation_size", 0),
        (task, "observation_size", 0),
        (task, "goal_size", 1),
    )
    for owner, name, least in sizes:
        size = getattr(owner, name, None)
        if isinstance(size, bool) or not isinstance(size, Integral) or size < least:
            raise ValueError(
                f"{type(owner).__name__}.{name} is a whole number, at least {least}, got {size!r}"
            )
    threshold = getattr(task, "threshold", None)
    if isinstance(threshold, bool) or not isinstance(threshold, Real) or not float(threshold) > 0.0:
        raise ValueError(f"{type(task).__name__}.threshold is a positive number, got {threshold!r}")


def _bad_part(part: object, method: str, size: int, name: str, given: object) -> ValueError:
    return ValueError(
        f"{type(part).__name__}.{method} must return {size} finite numbers, as {name} says, "
        f"got {given!r}"
    )


def _keep_unloaded(robot: Robot, task: Task) -> tuple[Robot, Task] | Exception:
    """Copies to make another environment of, or why there are none."""
    try:
        return copy.deepcopy((robot, task))
    except InSimulationError as error:
        raise ValueError(
            "a robot and a task belong to one environment alone, and one of these is in another: "
            "make new ones"
        ) from error
    except (TypeError, pickle.PicklingError) as error:
        # They can be used all the same.
        return error


def _make_again(
    kind: type[ManipulationEnv], robot: Robot, task: Task, arguments: Mapping[str, Any]
) -> ManipulationEnv:
    # A subclass may take other arguments; what it adds is part of the state.
    env = kind.__new__(kind)
    ManipulationEnv.__init__(env, robot, task, **arguments)
    return env


def make(
    task: str,
    robot: str = "panda",
    control: Literal["ee", "joints"] = "ee",
    render_mode: str | None = None,
    **kwargs: Any,  # noqa: ANN401 (those of ManipulationEnv)
) -> gym.Env[Observation, NDArray[np.float32]]:
    """Makes an environment from names; every registered id calls this.

    Args:
        task: Short name of the task, a key of `TASK_TYPES`.
        robot: Name of the robot, a key of `ROBOTS`.
        control: What an action displaces: `"ee"`, the end effector, or `"joints"`.
        render_mode: One of `ManipulationEnv`, or one that returns an image with `_list`
            after it, for all images since the last call.
        **kwargs: The others of `ManipulationEnv`, and what the task's `quantities` name.

    Returns:
        The environment, for lists of images in gymnasium's `RenderCollection`.

    Raises:
        TypeError: If a keyword is unknown.
        ValueError: If a name is unknown, a value invalid, or the robot cannot do the task.
    """
    check_choice("task", task, tuple(TASK_TYPES))
    check_choice("robot", robot, tuple(ROBOTS))
    robot_type, task_type = ROBOTS[robot], TASK_TYPES[task]
    if robot not in able_robots(task):
        tasks = ", ".join(repr(name) for name in TASK_TYPES if robot in able_robots(name))
        robots = ", ".join(repr(name) for name in able_robots(task))
        raise ValueError(
            f"robot {robot!r} cannot do task {task!r}, which needs a gripper: "
            f"{task!r} can be done by {robots}, and {robot!r} can do {tasks}"
        )
    valid = (*task_type.quantities, "robot", "control", *_ARGUMENTS)
    check_keywords(task_type.__name__, kwargs, valid)
    check_choice("render_mode", render_mode, (None, *RENDER_MODES, *RENDER_LISTS))
    kwargs["render_mode"] = RENDER_LISTS.get(render_mode, render_mode)
    ranges = {name: kwargs.pop(name) for name in task_type.quantities if name in kwargs}
    env = ManipulationEnv(
        robot_type(control, gripper=task_type.needs_gripper), task_type(**ranges), **kwargs
    )
    return RenderCollection(env) if render_mode in RENDER_LISTS else env


def _read_camera(name: str, given: Camera | Mapping[str, Any] | None, default: Camera) -> Camera:
    # A spec read from JSON has a mapping instead of a camera.
    if given is None or isinstance(given, Camera):
        return given or default
    try:
        return Camera(**given)
    except TypeError as error:
        fields = ", ".join(field.name for field in dataclasses.fields(Camera))
        raise ValueError(
            f"{name} must be an envs.Camera or a mapping of its fields {fields}, got {given!r}"
        ) from error


_ARGUMENTS = tuple(inspect.signature(ManipulationEnv).parameters)[2:]


def check_ranges(task: str, ranges: Mapping[str, Any]) -> None:
    """Checks the randomisation arguments of `make` without making anything.

    Args:
        task: Short name of the task, a key of `TASK_TYPES`.
        ranges: Keywords of the task's `quantities` and of `DISTURBANCES`.

    Raises:
        TypeError: If a keyword is unknown.
        ValueError: If the task is unknown, or a value invalid.
    """
    check_choice("task", task, tuple(TASK_TYPES))
    task_type = TASK_TYPES[task]
    read_ranges(task_type.__name__, {**task_type.quantities, **DISTURBANCES}, ranges)
    task_type(**{name: given for name, given in ranges.items() if name not in DISTURBANCES})


def _digest(observation: Observation) -> str:
    entries = b"".join(observation[key].tobytes() for key in sorted(observation))
    return hashlib.sha256(entries).hexdigest()
