"""Configs of every kind, drawn at random, with numbers from the tiniest to the largest."""

from __future__ import annotations

from hypothesis import strategies as st

import envs
from agents import ALGORITHMS, RunConfig
from tests.schedules.schedule_strategies import any_schedule

FRACTIONS = st.floats(0.0, 1.0)
POSITIVE = st.floats(0.0, exclude_min=True, allow_infinity=False)
NATURAL = st.integers(1, 10**9)
SWITCHES = st.booleans()
LAYERS = st.lists(st.integers(1, 1024), max_size=3)


def keys(**strategies):
    return st.fixed_dictionaries({}, optional=strategies)


def hyperparameters(*, off_policy):
    arch = LAYERS | st.fixed_dictionaries({"pi": LAYERS, "qf" if off_policy else "vf": LAYERS})
    common = {
        "policy": st.just("MultiInputPolicy"),
        "gamma": FRACTIONS,
        "stats_window_size": st.integers(1, 10**6),
        "policy_kwargs": keys(
            net_arch=arch,
            activation_fn=st.sampled_from(["relu", "tanh", "gelu"]),
            optimizer_class=st.sampled_from(["adam", "adamw"]),
            optimizer_kwargs=keys(eps=POSITIVE, weight_decay=POSITIVE),
        ),
    }
    if off_policy:
        return keys(
            **common,
            buffer_size=NATURAL,
            learning_starts=NATURAL,
            train_freq=NATURAL | st.tuples(NATURAL, st.just("step")).map(list),
            gradient_steps=NATURAL | st.just(-1),
        )
    return keys(**common, n_steps=NATURAL, gae_lambda=FRACTIONS)


@st.composite
def configs(draw):
    algo = draw(st.sampled_from(sorted(ALGORITHMS)))
    off_policy = ALGORITHMS[algo].off_policy
    n_envs = draw(st.integers(1, 64))
    values = {
        "env": draw(st.sampled_from(sorted(envs.TASKS))),
        "algo": algo,
        "total_timesteps": draw(st.integers(1, 10**10)),
        "schedule": draw(any_schedule()),
        "seed": draw(st.integers(0, 2**31 - n_envs)),
        "n_envs": n_envs,
        "vec_env": draw(st.sampled_from(["dummy", "subproc"])),
        "reward": draw(st.sampled_from(["sparse", "dense"])),
        "robot": draw(st.sampled_from(sorted(envs.ROBOTS))),
        "control": draw(st.sampled_from(["ee", "joints"])),
        "observation": draw(st.sampled_from(["state", "pixels", "both"])),
        "env_kwargs": draw(keys(action_noise=st.floats(0.0, 0.01))),
        "training_env_kwargs": draw(keys(observation_noise=st.just([0.0, 1e-3]))),
        "device": draw(st.sampled_from(["cpu", "cuda"])),
        "snapshot_every": draw(NATURAL),
        "hyperparameters": draw(hyperparameters(off_policy=off_policy)),
        "normalize": draw(
            st.none()
            | keys(clip_obs=POSITIVE, gamma=FRACTIONS, epsilon=POSITIVE, norm_obs=SWITCHES)
        ),
    }
    if off_policy:
        kinds = st.sampled_from(["normal", "ornstein-uhlenbeck"])
        noise = st.fixed_dictionaries({"kind": kinds, "sigma": POSITIVE | NATURAL})
        values["action_noise"] = draw(st.none() | noise)
        her = keys(n_sampled_goal=NATURAL, skip_reached=SWITCHES)
        values["her"] = draw(st.none() | her)
    return RunConfig(**values)
