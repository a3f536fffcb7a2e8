"""SB3's logger, made to tell what each update recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import Logger, make_output_format


class UpdateLogger(Logger):
    """SB3's logger, which keeps what an update recorded apart, for its own step.

    SB3 dumps to TensorBoard before an update, not after it, so the values and the rate of an update
    would appear at the step of the next dump, and the last ones never. Values also stay until they
    are dumped, so a loss that an update did not compute (TD3's delayed actor) would be read again
    from an earlier update.

    Args:
        folder: Folder of the TensorBoard event files.

    Attributes:
        update: What was recorded below `train/` since it was last dumped or cleared.
        is_due: Whether SB3 has dumped since then; the next update then belongs in the log.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), [make_output_format("tensorboard", str(folder))])
        self.update = Logger(None, self.output_formats)
        self.is_due = False

    def record(self, key: str, value: Any, exclude: Any = None) -> None:  # noqa: ANN401
        """Records a value for the next dump, or of this update.

        Args:
            key: Name, such as `"train/actor_loss"`.
            value: The value.
            exclude: Output formats that shall not get it.
        """
        record = self.update.record if key.startswith("train/") else super().record
        record(key, value, exclude)

    def dump(self, step: int = 0) -> None:
        """Writes what is recorded, but for the update's part.

        Args:
            step: Step count that it is written at.
        """
        super().dump(step)
        self.is_due = True

    def end_update(self, step: int, *, is_written: bool) -> None:
        """Writes what the update recorded, or drops it.

        Args:
            step: Step count right after the update.
            is_written: Whether it is written even if SB3 has not dumped at this time.
        """
        if is_written or self.is_due:
            self.update.dump(step)
        self.update.name_to_value.clear()
        self.update.name_to_excluded.clear()
        self.is_due = False
