"""CrossQ for goal-conditioned environments, which sb3-contrib's CrossQ does not support.

CrossQ concatenates observations and next observations and passes them through its critic in one
batch, so that batch normalisation sees both. That fails with dictionary observations, and so with
HER. Here the replay buffers return dictionaries that `torch.cat` concatenates key by key, and the
policy extracts features from them as SB3's `MultiInputPolicy` classes do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from sb3_contrib import CrossQ
from sb3_contrib.crossq.policies import CrossQPolicy
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import CombinedExtractor
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from agents.learners.hindsight import EpisodicHerReplayBuffer


class JoinableDict(dict[str, torch.Tensor]):
    """Observations of a batch by key, which `torch.cat` can concatenate with others."""

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> JoinableDict:
        if function is not torch.cat:
            return NotImplemented  # type: ignore[no-any-return]
        batches, *rest = args
        keys = batches[0].keys()
        return cls(
            {
                key: function([batch[key] for batch in batches], *rest, **(kwargs or {}))
                for key in keys
            }
        )


class _JoinableSamples(DictReplayBuffer):
    def sample(  # type: ignore[override]
        self, batch_size: int, env: VecNormalize | None = None
    ) -> DictReplayBufferSamples:
        samples = super().sample(batch_size, env)
        return samples._replace(
            observations=JoinableDict(samples.observations),
            next_observations=JoinableDict(samples.next_observations),
        )


class JoinableReplayBuffer(_JoinableSamples):
    """SB3's `DictReplayBuffer` with joinable samples."""


class JoinableHerReplayBuffer(_JoinableSamples, EpisodicHerReplayBuffer):
    """`EpisodicHerReplayBuffer` with joinable samples."""


class MultiInputCrossQPolicy(CrossQPolicy):
    """CrossQ's policy on dictionary observations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - CrossQPolicy's own
        kwargs.setdefault("features_extractor_class", CombinedExtractor)
        super().__init__(*args, **kwargs)


class MultiInputCrossQ(CrossQ):
    """CrossQ on dictionary observations, with or without HER."""

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MultiInputPolicy": MultiInputCrossQPolicy
    }

    def _setup_model(self) -> None:
        with_her = self.replay_buffer_class is EpisodicHerReplayBuffer
        self.replay_buffer_class = JoinableHerReplayBuffer if with_her else JoinableReplayBuffer
        super()._setup_model()
