"""Keeps a staircase in place over repeated calls of `learn()` in Stable-Baselines3.

Not imported by the package: importing Stable-Baselines3 takes seconds.
"""

from dataclasses import replace

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import FloatSchedule

from schedules.checks import as_integer
from schedules.progress import ProgressSchedule


class StaircaseCallback(BaseCallback):
    """Pins the model's `ProgressSchedule` to the planned run, whatever this `learn()` covers of it.

    SB3 computes `progress_remaining` by a total of its own in each `learn()`: the steps asked for,
    plus those done if `reset_num_timesteps=False`. A schedule of the progress alone would be
    squeezed into each call. With this callback, `learn(a)` and then
    `learn(b, reset_num_timesteps=False)` see at every step the rate that one whole `learn()` would
    see, also after `save` and `load`.

    The model's `learning_rate` must be a `ProgressSchedule`. Steps left for the last call are
    `total_timesteps - model.num_timesteps`, which is less than one might think where a rollout
    overshot.

    Raises:
        ValueError: If, at the start of `learn()`, `model.learning_rate` is not a
            `ProgressSchedule`, the `total_timesteps` of `learn()` is not an integer, or this
            `learn()` would train beyond those of the schedule.
    """

    def _on_training_start(self) -> None:
        progress_schedule = self.model.learning_rate
        if not isinstance(progress_schedule, ProgressSchedule):
            raise ValueError(
                "model.learning_rate must be a schedules.ProgressSchedule for StaircaseCallback, "
                f"got {progress_schedule!r}"
            )
        done = self.model.num_timesteps
        learn_total = self.model._total_timesteps
        if learn_total <= done:
            return
        asked = learn_total - done if done else learn_total
        as_integer("total_timesteps of learn()", asked, minimum=1)
        planned = progress_schedule.total_timesteps
        if learn_total > planned:
            raise ValueError(
                f"total_timesteps of learn() must be <= {max(planned - done, 0)}, as the schedule "
                f"plans {planned} steps and {done} are done; got {asked}"
            )
        self.model.lr_schedule = FloatSchedule(
            replace(progress_schedule, progress_total=learn_total)
        )
        # Until the first step the model still holds the progress of the previous learn(), by
        # another total; whoever asks for the rate in between must get the rate of this step.
        self.model._update_current_progress_remaining(done, learn_total)

    def _on_step(self) -> bool:
        return True
