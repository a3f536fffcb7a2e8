"""Signals of how a training fares, taken now and then from what is learned, changing nothing of it.

Every signal is computed anew, from SB3's own modules and a batch of its own, so that it is the same
whichever code makes the updates. The batch is drawn with generators that are put back afterwards.
`docs/diagnosis.md` explains each signal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import set_random_seed
from torch import Tensor, nn
from torch.nn.modules import activation

from agents.learners.features import JUDGED
from agents.learners.measures import (
    correlation,
    dormant_share,
    effective_rank,
    gradient_noise_scale,
    input_shape,
    mean_distance_to_nearest,
    norm,
    unpredictable_share,
    weight_gain,
)
from agents.learners.training_state import kept_generators

SIGNALS = (
    *("actor_gradient_norm", "critic_gradient_norm", "critic_noise_scale"),
    *("actor_update_ratio", "critic_update_ratio", "actor_weight_gain", "critic_weight_gain"),
    *("td_error", "td_error_std", "explained_variance"),
    *("q_mean", "q_min", "q_max", "q_low_bound", "q_high_bound"),
    *("entropy", "saturated_actions", "action_spread"),
    *("actor_dormant", "critic_dormant", "actor_effective_rank", "critic_effective_rank"),
    *("constant_inputs", "clipped_inputs", "largest_input_scale", "unexplained_inputs"),
    *("reward_min", "reward_max", "reward_end_gap", "reward_distance_correlation"),
    *("moved_goals", "goal_spread", "goal_gap"),
)
"""Names of all signals, in the order of the columns of `metrics.csv`."""

UPDATES_BETWEEN = 200
STEPS_BETWEEN = 2048
LARGEST_BATCH = 256
SMALLEST_BATCH = 64
RECENT_TRANSITIONS = 2000
SATURATED_ABOVE = 0.99
MOVED_ABOVE = 1e-3


def is_due(model: BaseAlgorithm, updates_before: int, steps_per_update: int) -> bool:
    """Whether signals are taken after an update: they must stay cheap beside the training.

    It depends on nothing but the counters, so that a run that was resumed has the same rows.

    Args:
        model: The model, right after the update.
        updates_before: Its count of updates before this one.
        steps_per_update: Environment timesteps of a rollout.
    """
    if isinstance(model, OffPolicyAlgorithm):
        return model._n_updates // UPDATES_BETWEEN > updates_before // UPDATES_BETWEEN
    step = model.num_timesteps
    return step // STEPS_BETWEEN > (step - steps_per_update) // STEPS_BETWEEN


@dataclass(frozen=True)
class RolloutSample:
    """Transitions of a rollout, kept because SB3 empties its buffer before the next one.

    Attributes:
        observations: By key, as the policy got them, each of shape (transitions, entries).
        actions: Before they are clipped, shape (transitions, actions).
        returns: Targets of the value function.
        advantages: Those of the policy.
        log_probs: log π(a|s) when the actions were taken.
        rewards: Of the transitions, by row and environment.
        starts: Whether an episode started at a transition, likewise.
        achieved: Achieved goals in metres, shape (rows, environments, entries).
        desired: Desired goals, likewise.
        seen: All observations without the goals, as the policy got them, likewise; `None` if they
            are no vectors.
        taken: All actions, likewise.
    """

    observations: Mapping[str, Tensor]
    actions: Tensor
    returns: Tensor
    advantages: Tensor
    log_probs: Tensor
    rewards: NDArray[Any]
    starts: NDArray[Any]
    achieved: NDArray[Any]
    desired: NDArray[Any]
    seen: NDArray[Any] | None
    taken: NDArray[Any]


def sample_rollout(model: OnPolicyAlgorithm) -> RolloutSample | None:
    """Copies an even sample of the rollout that a model is about to learn from.

    Args:
        model: The model, between the end of a rollout and its update.

    Returns:
        The sample; `None` if observations are not dictionaries.
    """
    buffer: Any = model.rollout_buffer
    assert isinstance(buffer, RolloutBuffer)
    if not isinstance(buffer.observations, Mapping):
        return None
    rows, n_envs = buffer.rewards.shape
    at = np.linspace(0, rows * n_envs - 1, min(LARGEST_BATCH, rows * n_envs)).astype(np.int64)
    row, env = np.divmod(at, n_envs)

    def taken(array: NDArray[Any]) -> Tensor:
        return torch.as_tensor(array[row, env].copy(), device=model.device)

    goals = {key: buffer.observations[key].copy() for key in (JUDGED, "desired_goal")}
    if (normalizer := model.get_vec_normalize_env()) is not None and normalizer.norm_obs:
        for key, values in goals.items():
            if key in normalizer.obs_rms:
                goals[key] = normalizer._unnormalize_obs(values, normalizer.obs_rms[key])
    seen = buffer.observations.get("observation")
    return RolloutSample(
        observations={key: taken(values) for key, values in buffer.observations.items()},
        actions=taken(buffer.actions),
        returns=taken(buffer.returns),
        advantages=taken(buffer.advantages),
        log_probs=taken(buffer.log_probs),
        rewards=buffer.rewards.copy(),
        starts=buffer.episode_starts.copy(),
        achieved=goals[JUDGED],
        desired=goals["desired_goal"],
        seen=seen.copy() if seen is not None and seen.ndim == 3 else None,
        taken=buffer.actions.copy(),
    )


def take_signals(model: BaseAlgorithm, rollout: RolloutSample | None) -> dict[str, float]:
    """Computes the signals that a model has.

    Nothing that later steps depend on is changed: generators, gradients, statistics of batch
    normalisation and the optimizers' memory stay as they are.

    Args:
        model: The model, right after an update.
        rollout: What the update was made of, for on-policy algorithms.

    Returns:
        Finite numbers by name, some of `SIGNALS`.
    """
    with kept_generators(), _evaluating(model.policy):
        set_random_seed(model._n_updates % 2**32, using_cuda=False)
        if isinstance(model, OffPolicyAlgorithm):
            signals = _off_policy(model)
        elif rollout is not None:
            signals = _on_policy(model, rollout)
        else:
            signals = {}
    return {name: value for name, value in signals.items() if math.isfinite(value)}


@contextmanager
def _evaluating(policy: nn.Module) -> Iterator[None]:
    """Keeps batch normalisation from learning, and puts each module's mode back."""
    modes = [(module, module.training) for module in policy.modules()]
    policy.train(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _activations(*modules: nn.Module) -> Iterator[list[list[Tensor]]]:
    """Collects the outputs of the activation layers of modules, a list for each layer."""
    layers: list[list[Tensor]] = []
    handles = []
    for module in modules:
        for part in module.modules():
            if type(part).__module__ == activation.__name__:
                outputs: list[Tensor] = []
                layers.append(outputs)
                handles.append(
                    part.register_forward_hook(
                        lambda _module, _inputs, output, kept=outputs: kept.append(output.detach())
                    )
                )
    try:
        yield layers
    finally:
        for handle in handles:
            handle.remove()


def _off_policy(model: Any) -> dict[str, float]:  # noqa: ANN401 - SAC, TD3, DDPG, TQC or CrossQ
    size = min(LARGEST_BATCH, max(SMALLEST_BATCH, model.batch_size))
    batch = model.replay_buffer.sample(size, env=model._vec_normalize_env)
    signals, alpha = _critic_signals(model, batch)
    signals |= _actor_signals(model, batch.observations, alpha)
    entropy = signals.get("entropy")
    gamma, rewards = model.gamma, batch.rewards
    low, high = float(rewards.min()), float(rewards.max())
    # Episodes end, so that 0 is always among the values that can be.
    bounds = [min(0.0, low / (1 - gamma)), max(0.0, high / (1 - gamma))] if gamma < 1 else []
    if entropy is not None and bounds:
        bonus = alpha * entropy * gamma / (1 - gamma)
        bounds = [bounds[0] + min(0.0, bonus), bounds[1] + max(0.0, bonus)]
    if bounds:
        signals |= {"q_low_bound": bounds[0], "q_high_bound": bounds[1]}
    ends = batch.dones.view(-1) > 0
    signals |= {"reward_min": low, "reward_max": high}
    if ends.any() and not ends.all():
        rewards = rewards.view(-1)
        signals["reward_end_gap"] = float(rewards[ends].mean() - rewards[~ends].mean())
    signals |= _input_signals(model, batch.observations)
    return signals | _goals_in_buffer(model)


def _values(critic: nn.Module, observations: Any, actions: Tensor) -> Tensor:  # noqa: ANN401
    """Q(s, a) of each critic, of shape (batch, critics); the mean of TQC's quantiles."""
    values = critic(observations, actions)
    return values.mean(2) if isinstance(values, Tensor) else torch.cat(values, 1)


def _alpha(model: Any) -> float:  # noqa: ANN401
    if getattr(model, "log_ent_coef", None) is not None:
        return float(model.log_ent_coef.detach().exp())
    coefficient = getattr(model, "ent_coef_tensor", None)
    return 0.0 if coefficient is None else float(coefficient)


@torch.no_grad()
def _target(model: Any, batch: Any, alpha: float) -> Tensor:  # noqa: ANN401
    """The targets y = r + γ(min Q'(s', a') - α log π(a'|s')), of shape (batch, 1)."""
    critic = getattr(model, "critic_target", model.critic)
    if hasattr(model.actor, "action_log_prob"):
        actions, log_prob = model.actor.action_log_prob(batch.next_observations)
        entropy = alpha * log_prob.reshape(-1, 1)
    else:
        actions, entropy = model.actor_target(batch.next_observations), 0.0
    values = critic(batch.next_observations, actions)
    if isinstance(values, Tensor):
        kept = values.flatten(1).sort(1).values
        dropped = model.top_quantiles_to_drop_per_net * values.shape[1]
        least = kept[:, : kept.shape[1] - dropped].mean(1, keepdim=True)
    else:
        least = torch.cat(values, 1).amin(1, keepdim=True)
    discounts = getattr(batch, "discounts", None)
    gamma = model.gamma if discounts is None else discounts
    target: Tensor = batch.rewards + (1 - batch.dones) * gamma * (least - entropy)
    return target


def _critic_signals(model: Any, batch: Any) -> tuple[dict[str, float], float]:  # noqa: ANN401
    alpha = _alpha(model)
    target = _target(model, batch, alpha)
    parameters = [p for p in model.critic.parameters() if p.requires_grad]
    halves, gradients = [], []
    with _activations(model.critic) as layers:
        for first in (0, 1):
            # Every other transition: the relabelled ones come first in a batch.
            part = slice(first, None, 2)
            values = _values(model.critic, _rows(batch.observations, part), batch.actions[part])
            loss = 0.5 * (values - target[part]).square().mean(0).sum()
            gradients.append(_gradient(loss, parameters))
            halves.append((values.detach(), target[part]))
    values, target = (torch.cat(parts) for parts in zip(*halves, strict=True))
    error = target - values
    mean = [(one + other) / 2 for one, other in zip(*gradients, strict=True)]
    hidden = [torch.cat(layer) for layer in layers if layer]
    spread = float(target.var())
    signals = {
        "critic_gradient_norm": norm(mean),
        "critic_noise_scale": gradient_noise_scale(gradients[0], gradients[1], len(target)),
        "critic_update_ratio": _update_ratio(model.critic.optimizer, parameters, mean),
        "critic_weight_gain": weight_gain([p.detach() for p in parameters]),
        "td_error": float(error.abs().mean()),
        "td_error_std": float(error.std()),
        "q_mean": float(values.mean()),
        "q_min": float(values.min()),
        "q_max": float(values.max()),
    }
    if spread > 0:
        signals["explained_variance"] = 1 - float(error.var()) / spread
    return signals | _hidden_signals("critic", hidden), alpha


def _actor_signals(model: Any, observations: Any, alpha: float) -> dict[str, float]:  # noqa: ANN401
    parameters = [p for p in model.actor.parameters() if p.requires_grad]
    signals: dict[str, float] = {}
    with _activations(model.actor) as layers:
        if hasattr(model.actor, "action_log_prob"):
            actions, log_prob = model.actor.action_log_prob(observations)
            least = _values(model.critic, observations, actions).amin(1)
            loss = (alpha * log_prob.view(-1) - least).mean()
            signals["entropy"] = -float(log_prob.detach().mean())
            hidden = [layer[0] for layer in layers if layer]
        else:
            actions = model.actor(observations)
            loss = -_values(model.critic, observations, actions)[:, 0].mean()
            # The last activation makes the actions.
            hidden = [layer[0] for layer in layers if layer][:-1]
    gradient = _gradient(loss, parameters)
    with torch.no_grad():
        chosen = model.actor(observations, deterministic=True) if "entropy" in signals else actions
    return {
        **signals,
        "actor_gradient_norm": norm(gradient),
        "actor_update_ratio": _update_ratio(model.actor.optimizer, parameters, gradient),
        "actor_weight_gain": weight_gain([p.detach() for p in parameters]),
        **_hidden_signals("actor", hidden),
        **_action_signals(chosen.detach(), SATURATED_ABOVE),
    }


def _action_signals(actions: Tensor, limit: float) -> dict[str, float]:
    return {
        "saturated_actions": float((actions.abs() >= limit).float().mean()),
        "action_spread": float(actions.std(0).mean()),
    }


def _hidden_signals(name: str, hidden: Sequence[Tensor]) -> dict[str, float]:
    if not hidden:
        return {}
    return {
        f"{name}_dormant": dormant_share(hidden),
        f"{name}_effective_rank": float(effective_rank(hidden[-1].flatten(1))),
    }


def _gradient(loss: Tensor, parameters: Sequence[Tensor], *, keep: bool = False) -> list[Tensor]:
    """The gradient of a loss, 0 where it does not depend; `.grad` is left alone."""
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=keep)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def _steps(
    optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor], gradients: Sequence[Tensor]
) -> list[Tensor] | None:
    """How far a step of a copy of an optimizer would move each parameter."""
    own = [p for group in optimizer.param_groups for p in group["params"]]
    if {id(p) for p in own} - {id(p) for p in parameters} or len(optimizer.param_groups) != 1:
        return None
    known = {id(p): g for p, g in zip(parameters, gradients, strict=True)}
    copies = [nn.Parameter(p.detach().clone()) for p in own]
    imitation = type(optimizer)(copies, lr=1.0)  # type: ignore[call-arg]
    # By hand: `load_state_dict` copies every entry twice, at half the cost of all signals.
    settings = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
    imitation.param_groups[0].update(settings)
    for parameter, original in zip(copies, own, strict=True):
        parameter.grad = known[id(original)]
        imitation.state[parameter] = {
            name: value.clone() if isinstance(value, Tensor) else value
            for name, value in optimizer.state.get(original, {}).items()
        }
    imitation.step()
    moved = {id(o): (c - o).detach() for c, o in zip(copies, own, strict=True)}
    return [moved.get(id(p), torch.zeros_like(p)) for p in parameters]


def _update_ratio(
    optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor], gradients: Sequence[Tensor]
) -> float:
    steps = _steps(optimizer, parameters, gradients)
    weights = norm([p.detach() for p in parameters])
    return float("nan") if steps is None or weights == 0 else norm(steps) / weights


def _rows(observations: Any, part: slice) -> Any:  # noqa: ANN401 - tensors by key, or one
    if isinstance(observations, Mapping):
        kind: Any = type(observations)
        return kind({key: values[part] for key, values in observations.items()})
    return observations[part]


def _input_signals(model: Any, observations: Mapping[str, Tensor]) -> dict[str, float]:  # noqa: ANN401
    numbers = [v.flatten(1) for v in observations.values() if v.is_floating_point() and v.dim() < 3]
    if not numbers:
        return {}
    inputs = torch.cat(numbers, 1).double().cpu().numpy()
    normalizer = model.get_vec_normalize_env()
    clip = normalizer.clip_obs if normalizer is not None and normalizer.norm_obs else None
    constant, clipped, spread = input_shape(inputs, clip)
    return {
        "constant_inputs": constant,
        "clipped_inputs": clipped,
        "largest_input_scale": spread,
    }


def _goals_in_buffer(model: Any) -> dict[str, float]:  # noqa: ANN401
    """What the newest transitions in the replay buffer say, of raw observations."""
    buffer = model.replay_buffer
    if not isinstance(buffer.observations, Mapping) or JUDGED not in buffer.observations:
        return {}
    rows = min(buffer.size(), max(1, RECENT_TRANSITIONS // buffer.n_envs))
    at = np.arange(buffer.pos - rows, buffer.pos) % buffer.buffer_size

    def newest(columns: Mapping[str, NDArray[Any]], key: str) -> NDArray[Any]:
        values: NDArray[Any] = columns[key][at].astype(np.float64)
        return values.reshape(len(at) * buffer.n_envs, -1)

    before, after = (
        newest(columns, JUDGED) for columns in (buffer.observations, buffer.next_observations)
    )
    rewards = newest({"rewards": buffer.rewards}, "rewards")[:, 0]
    signals = _goal_signals(before, after, newest(buffer.observations, "desired_goal"), rewards)
    if buffer.observations.get("observation", np.zeros(0)).dtype == np.float32:
        signals["unexplained_inputs"] = unpredictable_share(
            newest(buffer.observations, "observation"),
            newest({"actions": buffer.actions}, "actions"),
            newest(buffer.next_observations, "observation"),
        )
    return signals


def _goal_signals(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    desired: NDArray[np.float64],
    rewards: NDArray[np.float64],
) -> dict[str, float]:
    distances = np.linalg.norm(after - desired, axis=1)
    return {
        "reward_distance_correlation": correlation(rewards, distances),
        "moved_goals": float((np.linalg.norm(after - before, axis=1) > MOVED_ABOVE).mean()),
        "goal_spread": float(np.sqrt(desired.var(0).sum())),
        "goal_gap": mean_distance_to_nearest(desired, after),
    }


def _on_policy(model: Any, sample: RolloutSample) -> dict[str, float]:  # noqa: ANN401 - PPO, A2C or TRPO
    policy = model.policy
    parameters = [p for p in policy.parameters() if p.requires_grad]
    # A truncated episode's last reward holds the value of what would have followed, and the goal
    # that was achieved after it is not in a rollout.
    within = sample.starts[1:] == 0
    rewards = sample.rewards[:-1][within].astype(np.float64)
    with (
        _activations(policy.mlp_extractor.policy_net) as acting,
        _activations(policy.mlp_extractor.value_net) as valuing,
    ):
        values, log_prob, entropy = policy.evaluate_actions(sample.observations, sample.actions)
    values = values.flatten()
    advantages = sample.advantages - sample.advantages.mean()
    advantages = advantages / (advantages.std() + 1e-8)
    actor_loss = -(advantages * (log_prob - sample.log_probs).exp()).mean()
    errors = sample.returns - values
    even, odd = (0.5 * errors[first::2].square().mean() for first in (0, 1))
    actor = _gradient(actor_loss, parameters, keep=True)
    halves = [_gradient(loss, parameters, keep=True) for loss in (even, odd)]
    critic = [(one + other) / 2 for one, other in zip(*halves, strict=True)]
    error, values = errors.detach(), values.detach()
    signals = {
        "actor_gradient_norm": norm(actor),
        "critic_gradient_norm": norm(critic),
        "critic_noise_scale": gradient_noise_scale(halves[0], halves[1], len(values)),
        "td_error": float(error.abs().mean()),
        "td_error_std": float(error.std()),
        "q_mean": float(values.mean()),
        "q_min": float(values.min()),
        "q_max": float(values.max()),
        "reward_min": float(rewards.min(initial=np.inf)),
        "reward_max": float(rewards.max(initial=-np.inf)),
    }
    if model.gamma < 1 and len(rewards):
        low, high = (float(np.quantile(rewards, q)) for q in (0.01, 0.99))
        signals["q_low_bound"] = min(0.0, low / (1 - model.gamma))
        signals["q_high_bound"] = max(0.0, high / (1 - model.gamma))
    if entropy is not None:
        signals["entropy"] = float(entropy.detach().mean())
    for name, gradients in (("actor", actor), ("critic", critic)):
        pulled = [p.detach() for p, g in zip(parameters, gradients, strict=True) if bool(g.any())]
        signals[f"{name}_weight_gain"] = weight_gain(pulled)
    signals |= _shared_update_ratios(model, parameters, actor, critic, entropy)
    signals |= _hidden_signals("actor", [layer[0] for layer in acting if layer])
    signals |= _hidden_signals("critic", [layer[0] for layer in valuing if layer])
    signals |= _action_signals(sample.actions, 1.0)
    signals |= _input_signals(model, sample.observations)
    if within.any() and not within.all():
        steps = sample.rewards[:-1]
        signals["reward_end_gap"] = float(steps[~within].mean() - steps[within].mean())
    before, after, desired = (
        goals[within].astype(np.float64)
        for goals in (sample.achieved[:-1], sample.achieved[1:], sample.desired[:-1])
    )
    if sample.seen is not None:
        newest = slice(-RECENT_TRANSITIONS, None)
        signals["unexplained_inputs"] = unpredictable_share(
            *(
                part[within][newest].astype(np.float64)
                for part in (sample.seen[:-1], sample.taken[:-1], sample.seen[1:])
            )
        )
    return signals | _goal_signals(before, after, desired, rewards)


def _shared_update_ratios(
    model: Any,  # noqa: ANN401
    parameters: Sequence[Tensor],
    actor: Sequence[Tensor],
    critic: Sequence[Tensor],
    entropy: Tensor | None,
) -> dict[str, float]:
    """Both ratios of an optimizer that actor and critic share, from one step of its copy."""
    # TRPO's optimizer steps on the value function alone.
    by_policy = not hasattr(model, "n_critic_updates")
    factor = 2 * model.vf_coef if hasattr(model, "vf_coef") else 2.0
    total = [factor * g for g in critic]
    if by_policy:
        total = [g + a for g, a in zip(total, actor, strict=True)]
        if entropy is not None and model.ent_coef:
            bonus = _gradient(-model.ent_coef * entropy.mean(), parameters, keep=True)
            total = [g + b for g, b in zip(total, bonus, strict=True)]
    limit = getattr(model, "max_grad_norm", None)
    if by_policy and limit is not None:
        share = min(1.0, limit / (norm(total) + 1e-6))
        total = [share * g for g in total]
    steps = _steps(model.policy.optimizer, parameters, total)
    if steps is None:
        return {}
    ratios = {}
    named = {"actor": actor, "critic": critic} if by_policy else {"critic": critic}
    for name, gradients in named.items():
        chosen = [k for k, g in enumerate(gradients) if bool(g.any())]
        weights = norm([parameters[k].detach() for k in chosen])
        if weights > 0:
            ratios[f"{name}_update_ratio"] = norm([steps[k] for k in chosen]) / weights
    return ratios
