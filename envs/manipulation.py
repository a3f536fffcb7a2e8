"""A robot and a task as a gymnasium environment."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.robots import ROBOTS, Robot
from envs.simulation import CONTROL_PERIOD, Camera, Simulation
from envs.tasks import TASK_TYPES, Task

Observation: TypeAlias = dict[str, NDArray[np.float32]]
RenderMode: TypeAlias = Literal["rgb_array", "human"]

SNAPSHOT_VERSION = 1


class ManipulationEnv(gym.Env[Observation, NDArray[np.float32]]):
    """Goal-conditioned environment: a robot that acts, a task that judges.

    An episode terminates when the goal is reached. Truncating it is the business of gymnasium's
    `TimeLimit`, which `gymnasium.make` adds.

    Args:
        robot: The robot; it belongs to this environment alone.
        task: The task; it belongs to this environment alone.
        reward: `"sparse"`: 0 when the goal is reached, else -1. `"dense"`: minus the distance.
        render_mode: None, `"rgb_array"` for frames without a display or `"human"` for a window.
        render_width: Of a frame, in pixels.
        render_height: Of a frame, in pixels.
        camera: Where frames are rendered from; by default the task's, farther back for a tall
            robot.

    Raises:
        ValueError: `reward` or `render_mode` is unknown, a frame size is not positive, or the task
            needs a gripper and the robot does not open and close one.
        RuntimeError: `render_mode="human"` without a display.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (gymnasium declares it so)
        "render_modes": ["rgb_array", "human"],
        "render_fps": round(1 / CONTROL_PERIOD),
    }

    def __init__(
        self,
        robot: Robot,
        task: Task,
        *,
        reward: Literal["sparse", "dense"] = "sparse",
        render_mode: RenderMode | None = None,
        render_width: int = 720,
        render_height: int = 480,
        camera: Camera | None = None,
    ) -> None:
        check_choice("reward", reward, ("sparse", "dense"))
        check_choice("render_mode", render_mode, (None, "rgb_array", "human"))
        if render_width < 1 or render_height < 1:
            raise ValueError(
                f"a frame needs at least one pixel, got {render_width}×{render_height}"
            )
        if task.needs_gripper and not robot.gripper:
            raise ValueError(
                f"{type(task).__name__} needs a robot that opens and closes its gripper, "
                f"such as Panda(gripper=True)"
            )
        self.robot = robot
        self.task = task
        self.reward = reward
        self.render_mode = render_mode
        self.render_width = render_width
        self.render_height = render_height
        self.camera = camera or dataclasses.replace(
            task.camera, distance=task.camera.distance * robot.camera_distance
        )
        self.action_space = spaces.Box(-1.0, 1.0, (robot.action_size,), np.float32)
        size, goal_size = robot.observation_size + task.observation_size, task.goal_size
        self.observation_space = spaces.Dict(  # type: ignore[assignment]
            {
                "observation": spaces.Box(-10.0, 10.0, (size,), np.float32),
                "achieved_goal": spaces.Box(-10.0, 10.0, (goal_size,), np.float32),
                "desired_goal": spaces.Box(-10.0, 10.0, (goal_size,), np.float32),
            }
        )
        self._simulation = Simulation(visuals=render_mode is not None, gui=render_mode == "human")
        robot.load(self._simulation)
        task.load(self._simulation, robot)
        self._goal: NDArray[np.float32] | None = None
        self._start: Mapping[str, Any] = {}
        self._actions: list[list[float]] = []
        self._running = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Restarts the generator that goals are drawn from; None goes on with it.
            options: There are none.

        Returns:
            The first observation, and a dictionary with `is_success`.

        Raises:
            RuntimeError: The environment is closed.
            ValueError: `options` is not empty.
        """
        self._check_open()
        if options:
            raise ValueError(f"reset takes no options, got {sorted(options)}")
        super().reset(seed=seed)
        self._begin_episode()
        observation = self._observe()
        self._running = True
        reached = self._distance(observation) < self.task.threshold
        return observation, {"is_success": bool(reached)}

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Act for one control period of 0.04 s.

        Args:
            action: One number an entry of the action space; beyond [-1, 1] it is clipped.

        Returns:
            Observation, reward, terminated, truncated, and a dictionary with `is_success`.

        Raises:
            RuntimeError: The environment is closed, or no episode is running.
            ValueError: The action has the wrong shape, is not numeric or is not finite.
        """
        self._check_open()
        if not self._running:
            over = "the episode is over" if self._goal is not None else "no episode was started"
            raise RuntimeError(f"step() needs a running episode, and {over}: call reset()")
        entries = self._check_action(action)
        self._actions.append(entries)
        self._advance(entries)
        observation = self._observe()
        distance = self._distance(observation)
        terminated = bool(distance < self.task.threshold)
        self._running = not terminated
        reward = float(self._reward(distance))
        return observation, reward, terminated, False, {"is_success": terminated}

    def compute_reward(
        self,
        achieved_goal: NDArray[np.floating],
        desired_goal: NDArray[np.floating],
        info: object = None,
    ) -> NDArray[np.float32]:
        """Reward for having achieved one goal while another was desired.

        Args:
            achieved_goal: Shape (..., goal_size).
            desired_goal: Shape (..., goal_size).
            info: Not needed; hindsight replay passes one dictionary a goal.

        Returns:
            Shape (...).
        """
        return self._reward(self.task.distance(achieved_goal, desired_goal))

    def render(self) -> NDArray[np.uint8] | None:
        """Draw the scene.

        Returns:
            Frame of shape (render_height, render_width, 3) with `render_mode="rgb_array"`, else
            None: the window draws itself.

        Raises:
            RuntimeError: The environment is closed.
        """
        self._check_open()
        if self.render_mode != "rgb_array":
            return None
        return self._simulation.render(self.camera, self.render_width, self.render_height)

    def close(self) -> None:
        """Free the simulation. Closing twice is allowed."""
        self._simulation.close()

    def snapshot(self) -> dict[str, Any]:
        """Everything :meth:`restore` needs to continue bit for bit, in this or another process.

        PyBullet's own saved states do not travel between processes, so this holds the state of the
        generator when the episode began and the actions since, to be simulated again.

        Returns:
            Plain data that `json` writes and reads without loss.

        Raises:
            RuntimeError: The environment is closed.
        """
        self._check_open()
        started = self._goal is not None
        generator = self._start if started else self.np_random.bit_generator.state
        return {
            "version": SNAPSHOT_VERSION,
            "environment": self._identity(),
            "generator": generator,
            "actions": [list(entries) for entries in self._actions],
            "started": started,
            "running": self._running,
            "digest": _digest(self._observe()) if started else "",
        }

    def restore(self, data: Mapping[str, Any]) -> Observation | None:
        """Continue where a snapshot was taken.

        Wrappers know nothing of this: `TimeLimit` still counts the steps since its own last reset.
        The steps of the restored episode are as many as the snapshot has `actions`.

        Args:
            data: What :meth:`snapshot` returned, from an environment made with the same arguments.

        Returns:
            The observation at the snapshot, or None if that was before the first reset.

        Raises:
            RuntimeError: The environment is closed, or simulating the actions again led elsewhere,
                as it may with another version of PyBullet; no episode is running then.
            ValueError: The snapshot is malformed or of another environment. Nothing has changed.
        """
        self._check_open()
        generator, actions = self._check_snapshot(data)
        self.np_random = generator
        self._running = False
        if not data["started"]:
            self._goal = None
            return None
        self._begin_episode()
        observation = self._observe()
        for entries in actions:
            self._advance(entries)
            observation = self._observe()
        self._actions = actions
        if _digest(observation) != data["digest"]:
            raise RuntimeError(
                "simulating the snapshot's actions again led to another state; "
                "was it taken with another version of PyBullet or on another kind of machine?"
            )
        self._running = data["running"]
        return observation

    def _begin_episode(self) -> None:
        self._start = self.np_random.bit_generator.state
        self._actions = []
        self.robot.reset()
        self._simulation.clear_contacts()
        self._goal = np.array(self.task.reset(self.np_random), np.float32)

    def _advance(self, entries: list[float]) -> None:
        self.robot.act(entries)
        self._simulation.step()

    def _observe(self) -> Observation:
        assert self._goal is not None
        robot = self.robot.observe()
        task = self.task.observe()
        return {
            "observation": np.array((*robot, *task), np.float32),
            "achieved_goal": np.array(self.task.achieved_goal(), np.float32),
            "desired_goal": self._goal.copy(),
        }

    def _distance(self, observation: Observation) -> NDArray[np.float64]:
        achieved, desired = observation["achieved_goal"], observation["desired_goal"]
        return self.task.distance(achieved.tolist(), desired.tolist())

    def _reward(self, distance: NDArray[np.float64]) -> NDArray[np.float32]:
        if self.reward == "dense":
            return (-distance).astype(np.float32)
        return (distance < self.task.threshold).astype(np.float32) - np.float32(1.0)

    def _identity(self) -> dict[str, Any]:
        return {
            "robot": type(self.robot).__name__,
            "task": type(self.task).__name__,
            "control": self.robot.control,
            "reward": self.reward,
        }

    def _check_open(self) -> None:
        if self._simulation.closed:
            raise RuntimeError("this environment is closed: make a new one")

    def _check_action(self, action: NDArray[np.float32]) -> list[float]:
        valid = f"{self.robot.action_size} finite numbers in [-1, 1]"
        try:
            array = np.asarray(action)
        except ValueError as error:
            raise ValueError(f"an action is {valid}, got {action!r}") from error
        if array.dtype.kind not in "fiu":
            raise ValueError(f"an action is {valid}, got entries of type {array.dtype}")
        if array.shape != self.action_space.shape:
            raise ValueError(f"an action is {valid}, got shape {array.shape}")
        # On so few numbers plain Python is faster than numpy.
        entries: list[float] = array.tolist()
        if not all(map(math.isfinite, entries)):
            raise ValueError(f"an action is {valid}, got {entries}")
        entries = [min(max(entry, -1.0), 1.0) for entry in entries]
        if array.dtype != np.float32:
            # The same action must act the same in whatever precision it comes.
            entries = np.array(entries, np.float32).tolist()
        return entries

    def _check_snapshot(
        self, data: Mapping[str, Any]
    ) -> tuple[np.random.Generator, list[list[float]]]:
        """The generator and the actions in a snapshot, or ValueError."""
        if not isinstance(data, Mapping):
            raise ValueError(f"a snapshot is a mapping, got {type(data).__name__}")
        if data.get("version") != SNAPSHOT_VERSION:
            raise ValueError(
                f"a snapshot of version {SNAPSHOT_VERSION} is needed, got {data.get('version')!r}"
            )
        expected = self.snapshot()
        if data.keys() != expected.keys():
            raise ValueError(f"a snapshot holds {sorted(expected)}, got {sorted(data)}")
        if data["environment"] != expected["environment"]:
            raise ValueError(
                f"the snapshot is of {data['environment']}, this is {expected['environment']}"
            )
        for key in ("started", "running"):
            if not isinstance(data[key], bool):
                raise ValueError(f"a snapshot's {key!r} is true or false, got {data[key]!r}")
        if not isinstance(data["digest"], str):
            raise ValueError(f"a snapshot's 'digest' is a string, got {data['digest']!r}")
        generator = np.random.Generator(np.random.PCG64())
        try:
            generator.bit_generator.state = data["generator"]
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"a snapshot's 'generator' is a PCG64 state: {error}") from error
        if not isinstance(data["actions"], list):
            raise ValueError(f"a snapshot's 'actions' is a list, got {data['actions']!r}")
        actions = [self._check_action(entries) for entries in data["actions"]]
        if not data["started"] and (actions or data["running"]):
            raise ValueError("a snapshot from before the first reset holds no episode")
        return generator, actions


def make(
    task: str,
    robot: str = "panda",
    control: Literal["ee", "joints"] = "ee",
    **kwargs: Any,  # noqa: ANN401 (those of ManipulationEnv)
) -> ManipulationEnv:
    """Make an environment from names; every registered id comes here.

    Args:
        task: Short name of the task, a key of `TASK_TYPES`.
        robot: Name of the robot, a key of `ROBOTS`.
        control: What an action displaces: `"ee"`, the end effector, or `"joints"`.
        **kwargs: Those of :class:`ManipulationEnv`.

    Returns:
        The environment.

    Raises:
        ValueError: A name is unknown, or the robot cannot do the task.
    """
    check_choice("task", task, tuple(TASK_TYPES))
    check_choice("robot", robot, tuple(ROBOTS))
    check_choice("control", control, ("ee", "joints"))
    robot_type, task_type = ROBOTS[robot], TASK_TYPES[task]
    if robot not in able_robots(task):
        tasks = ", ".join(repr(name) for name in TASK_TYPES if robot in able_robots(name))
        robots = ", ".join(repr(name) for name in able_robots(task))
        raise ValueError(
            f"robot {robot!r} cannot do task {task!r}, which needs a gripper: "
            f"{task!r} can be done by {robots}, and {robot!r} can do {tasks}"
        )
    return ManipulationEnv(
        robot_type(control, gripper=task_type.needs_gripper), task_type(), **kwargs
    )


def able_robots(task: str) -> tuple[str, ...]:
    """Names of the robots that can do a task, by its short name."""
    needs_gripper = TASK_TYPES[task].needs_gripper
    return tuple(name for name, robot in ROBOTS.items() if robot.has_gripper or not needs_gripper)


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise a ValueError that lists the choices, nearest match first asked for.

    Args:
        name: Of the argument.
        value: Of the argument.
        choices: Its valid values.

    Raises:
        ValueError: `value` is none of them.
    """
    choices = tuple(choices)
    if value in choices:
        return
    near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(repr(choice) for choice in choices)
    raise ValueError(f"{name} must be one of {listed}, got {value!r}{hint}")


def _digest(observation: Observation) -> str:
    entries = b"".join(observation[key].tobytes() for key in sorted(observation))
    return hashlib.sha256(entries).hexdigest()
