"""Hindsight experience replay for tasks whose episodes end at the goal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.her.goal_selection_strategy import GoalSelectionStrategy

_CANDIDATES = 4


class EpisodicHerReplayBuffer(HerReplayBuffer):
    """SB3's `HerReplayBuffer` for tasks whose episodes end at the goal.

    An episode ends when its goal is reached: a recorded transition that arrives at its goal is
    terminal, and none starts there. SB3's relabelled transitions follow neither rule. Here, a
    transition that arrives at its new goal is terminal. With `skip_reached`, transitions that would
    start at their new goal are replaced (the filter of Manela and Biess,
    https://arxiv.org/abs/1905.05498): while an object is rarely touched, nearly all of them would,
    and would teach nothing. With `skip_lost`, transitions are replaced whose new goal is where the
    object is lost: a puck that has fallen off the table stays there for most of its episode. For
    each transition to be relabelled, four are then drawn. If too few of these qualify, transitions
    with their own episodes' goals fill up the batch.

    The environments must have `compute_reward` and `compute_terminated`, as Gymnasium-Robotics
    defines them, and `compute_lost` for `skip_lost`.

    Args:
        buffer_size: Transitions to keep, of all environments together.
        *args: The others of `HerReplayBuffer`.
        skip_reached: Whether transitions that would start at their new goal are replaced.
        skip_lost: Whether transitions are replaced whose new goal lies where the object is lost.
        **kwargs: The others of `HerReplayBuffer`.
    """

    def __init__(
        self,
        buffer_size: int,
        *args: Any,  # noqa: ANN401 - SB3's
        skip_reached: bool = False,
        skip_lost: bool = False,
        **kwargs: Any,  # noqa: ANN401 - SB3's
    ) -> None:
        # `HerReplayBuffer` makes a dictionary for every transition there will ever be: 2 s for a
        # million. It makes them for one step here, and the columns get their length afterwards.
        super().__init__(1, *args, **kwargs)
        DictReplayBuffer.__init__(
            self,
            buffer_size,
            self.observation_space,
            self.action_space,
            self.device,
            self.n_envs,
            self.optimize_memory_usage,
            self.handle_timeout_termination,
        )
        self.infos = np.empty((self.buffer_size, self.n_envs), object)
        self.ep_start = np.zeros((self.buffer_size, self.n_envs), np.int64)
        self.ep_length = np.zeros_like(self.ep_start)
        self.skip_reached, self.skip_lost = skip_reached, skip_lost
        self._pack()

    def _pack(self) -> None:
        """Packs each transition's numbers into a row, so that a batch is gathered at once.

        The columns that SB3 and others use become views of the rows. Pictures stay columns.
        """
        shapes = {
            key: int(np.prod(self.obs_shape[key]))
            for key, column in self.observations.items()
            if column.dtype == np.float32
        }
        width = self._width = sum(shapes.values())
        last = 2 * width + self.action_dim
        self._rows = np.zeros((self.buffer_size, self.n_envs, last + 3), np.float32)
        filled = slice(self.size())

        def packed(column: NDArray[Any], start: int, size: int) -> NDArray[Any]:
            view = self._rows[:, :, start : start + size]
            # Unlike `reshape`, it never copies.
            view.shape = column.shape
            view[filled] = column[filled]
            return view

        self._parts: dict[str, slice] = {}
        start = 0
        for key, size in shapes.items():
            self._parts[key] = slice(start, start + size)
            for columns, shift in ((self.observations, 0), (self.next_observations, width)):
                columns[key] = packed(columns[key], start + shift, size)
            start += size
        if self.actions.dtype == np.float32:
            self.actions = packed(self.actions, 2 * width, self.action_dim)
        for number, name in enumerate(("rewards", "dones", "timeouts")):
            setattr(self, name, packed(getattr(self, name), last + number, 1))
        self._finished: NDArray[np.int64] | None = None

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        # Views would be stored twice, and would not be views when they are loaded.
        del state["_rows"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._pack()

    def add(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - SB3's
        """Stores a step of all environments, as `HerReplayBuffer.add` does.

        Args:
            *args: Those of `HerReplayBuffer.add`.
            **kwargs: Those of `HerReplayBuffer.add`.
        """
        if self._finished is not None and self.ep_length[self.pos].any():
            self._finished = None  # An episode is about to be overwritten.
        super().add(*args, **kwargs)

    def _compute_episode_length(self, env_idx: int) -> None:
        super()._compute_episode_length(env_idx)
        self._finished = None

    def forget_finished(self) -> None:
        """Makes the next `sample` look for finished episodes again, after rows were written."""
        self._finished = None

    def sample(  # type: ignore[override]
        self, batch_size: int, env: VecNormalize | None = None
    ) -> DictReplayBufferSamples:
        """Draws a batch.

        Args:
            batch_size: Number of transitions.
            env: What normalises observations and rewards, if anything does.

        Returns:
            The transitions, the relabelled ones first.

        Raises:
            RuntimeError: If no episode has ended yet.
        """
        if self._finished is None:
            self._finished = np.flatnonzero(self.ep_length[: self.size()] > 0)
        finished = self._finished
        if not len(finished):
            raise RuntimeError(
                "no episode has ended yet, so there are no goals to relabel with: "
                "let learning_starts be longer than an episode in every environment"
            )

        def draw(count: int) -> NDArray[np.int64]:
            drawn: NDArray[np.int64] = finished[np.random.randint(len(finished), size=count)]
            return drawn

        wanted = int(self.her_ratio * batch_size)
        skips = self.skip_reached or self.skip_lost
        candidates = draw(_CANDIDATES * wanted if skips else wanted)
        goals = self._new_goals(candidates)
        transitions = self._rows.reshape(-1, self._rows.shape[-1])
        rows = transitions.take(candidates, axis=0)
        width, achieved = self._width, self._parts["achieved_goal"]
        start, end = rows[:, :width][:, achieved], rows[:, width:][:, achieved]
        if self.skip_reached:
            # One call for both halves costs less than two.
            both = np.concatenate([start, end]), np.concatenate([goals, goals])
            ends = self._ask("compute_terminated", *both)
            unfit, ended = ends[: len(goals)], ends[len(goals) :]
        else:
            ended = self._ask("compute_terminated", end, goals)
            unfit = np.zeros_like(ended)
        if self.skip_lost:
            unfit = unfit | self._ask("compute_lost", goals, goals)
        if skips:
            chosen = np.flatnonzero(~unfit)[:wanted]
            candidates, goals, ended = candidates[chosen], goals[chosen], ended[chosen]
            rows, end = rows[chosen], end[chosen]
        count = len(goals)
        recorded = draw(batch_size - count)
        rows = np.concatenate([rows, transitions.take(recorded, axis=0)])
        observed = rows[:, : 2 * width].reshape(batch_size, 2, width)
        observed[:count, :, self._parts["desired_goal"]] = goals[:, None]
        rewards, dones = rows[:, -3].copy(), rows[:, -2] * (1.0 - rows[:, -1])
        rewards[:count] = self._ask("compute_reward", end, goals)
        dones[:count] = ended
        at = np.concatenate([candidates, recorded])
        observations, next_observations = self._observed(observed, at, env)
        if self.actions.dtype == np.float32:
            actions = rows[:, 2 * width : -3]
        else:
            actions = self.actions.reshape(-1, self.action_dim)[at]
        return DictReplayBufferSamples(
            observations=observations,
            actions=self._tensor(actions),
            next_observations=next_observations,
            dones=self._tensor(dones.reshape(-1, 1)),
            rewards=self._tensor(self._normalize_reward(rewards.reshape(-1, 1), env)),
        )

    def _tensor(self, values: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)

    def _new_goals(self, transitions: NDArray[np.int64]) -> NDArray[Any]:
        """Draws goals for transitions, as `HerReplayBuffer._sample_goals` does."""
        row, column = np.divmod(transitions, self.n_envs)
        start = self.ep_start.reshape(-1).take(transitions)
        length = self.ep_length.reshape(-1).take(transitions)
        if self.goal_selection_strategy == GoalSelectionStrategy.FUTURE:
            then = np.random.randint((row - start) % self.buffer_size, length)
        elif self.goal_selection_strategy == GoalSelectionStrategy.EPISODE:
            then = np.random.randint(0, length)
        else:
            then = length - 1
        achieving = (then + start) % self.buffer_size * self.n_envs + column
        achieved = self.next_observations["achieved_goal"]
        drawn: NDArray[Any] = achieved.reshape(-1, *achieved.shape[2:])[achieving]
        return drawn

    def _ask(self, method: str, achieved: NDArray[Any], desired: NDArray[Any]) -> NDArray[Any]:
        """Calls a method of the environments, which are all alike, on achieved goals."""
        assert self.env is not None
        infos: list[dict[str, Any]] = [{}] * len(achieved)
        (answer,) = self.env.env_method(method, achieved, desired, infos, indices=[0])
        return np.asarray(answer)

    def _observed(
        self, packed: NDArray[np.float32], at: NDArray[np.int64], env: VecNormalize | None
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Normalises current and next observations, by key, from `packed` and the columns."""
        normalised = (env.norm_obs_keys or []) if env is not None and env.norm_obs else []
        if env is not None and any(key in self._parts for key in normalised):
            packed = self._normalised(packed, env, normalised)
        sizes = [part.stop - part.start for part in self._parts.values()]
        sides: list[dict[str, torch.Tensor]] = []
        for side, columns in zip(
            self._tensor(packed).unbind(1), (self.observations, self.next_observations), strict=True
        ):
            split = dict(zip(self._parts, torch.split_with_sizes(side, sizes, 1), strict=True))
            for key, column in columns.items():
                if key in split:
                    if len(self.obs_shape[key]) != 1:
                        split[key] = split[key].reshape(-1, *self.obs_shape[key])
                    continue
                values = column.reshape(-1, *column.shape[2:])[at]
                if key in normalised:
                    assert env is not None
                    values = env._normalize_obs(values, env.obs_rms[key]).astype(np.float32)
                split[key] = self._tensor(values)
            sides.append(split)
        return sides[0], sides[1]

    def _normalised(
        self, packed: NDArray[np.float32], env: VecNormalize, keys: Sequence[str]
    ) -> NDArray[np.float32]:
        """Applies `VecNormalize` to all parts at once; parts without it stay as they are."""
        mean, deviation = np.zeros(self._width), np.ones(self._width)
        limit: Any = env.clip_obs
        for key in keys:
            if key in self._parts:
                statistic = env.obs_rms[key]
                mean[self._parts[key]] = statistic.mean.ravel()
                deviation[self._parts[key]] = np.sqrt(statistic.var + env.epsilon).ravel()
        if not set(self._parts) <= set(keys):
            limit = np.full(self._width, np.inf)
            for key in keys:
                if key in self._parts:
                    limit[self._parts[key]] = env.clip_obs
        scaled: NDArray[np.float64] = packed - mean
        scaled /= deviation
        np.maximum(scaled, -limit, out=scaled)
        np.minimum(scaled, limit, out=scaled)
        return scaled.astype(np.float32)
