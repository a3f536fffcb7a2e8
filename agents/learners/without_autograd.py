"""What learners of every algorithm share that make updates without autograd where they can."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from stable_baselines3.common.base_class import BaseAlgorithm


class WithoutAutograd(BaseAlgorithm):
    """Keeps the update of one of SB3's models, and makes another where its tensors were replaced.

    Attributes:
        fallback: Why SB3's own `train` is used; `None` if updates are made without autograd, and
            before the first update.
    """

    update_class: ClassVar[type[Any]]
    fallback: str | None = None
    _update: Any = None
    _tried: int | None = None
    _addresses: list[int] | None = None

    @abstractmethod
    def why_not(self, batch_size: int) -> str | None:
        """Explains why the model must be updated by SB3's own `train`.

        The model and the generators stay as they are.

        Args:
            batch_size: Transitions in a batch.

        Returns:
            The reason, or `None` if its update can be made without autograd, to the same bits.
        """

    def _current_update(self, batch_size: int) -> Any:  # noqa: ANN401 - of `update_class`, or None
        update = self._update
        if (
            update is not None
            and update.batch_size == batch_size
            and update.addresses() == self._addresses
        ):
            return update
        if update is not None or self._tried != batch_size:
            self.fallback, self._tried = self.why_not(batch_size), batch_size
            update = self._update = None
            if self.fallback is None:
                update = self._update = self.update_class(self, batch_size)
                self._addresses = update.addresses()
        return update

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_update", "_tried", "_addresses", "fallback"]
