"""A schedule for `torch.optim.lr_scheduler.LambdaLR`."""

from collections.abc import Callable

from schedules.schedule import Schedule


def lr_lambda(schedule: Schedule) -> Callable[[int], float]:
    """Returns the function to give to `LambdaLR`, for an optimizer created with `lr=1.0`.

    `LambdaLR` sets the rate to `base_lr * lr_lambda(epoch)`. The returned function gives the rate
    itself, not a factor, so **the base rate must be 1.0**: the product is then the schedule's rate
    bit for bit. A factor `schedule(step) / initial` could be off by a rounding in every phase. Any
    other base rate (Adam's default is 1e-3) scales all rates, so check
    `scheduler.get_last_lr()[0] == schedule(0)` once after building the scheduler.

    `epoch` counts the calls of `scheduler.step()`. Call it once per environment timestep, so that
    boundaries come at the right steps.

    The result is a plain function on purpose: `LambdaLR.state_dict()` leaves functions out, but
    would copy the fields of a schedule into the checkpoint and overwrite them on loading.

    Args:
        schedule: The function of the step.

    Raises:
        ValueError: If `schedule` is not a `Schedule`.

    Examples:
        >>> import torch
        >>> from schedules import StaircaseSchedule
        >>> schedule = StaircaseSchedule(1e-3, decay_steps=2, decay_rate=0.5)
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda(schedule))
        >>> for step in range(4):
        ...     print(step, scheduler.get_last_lr()[0])
        ...     optimizer.step()
        ...     scheduler.step()
        0 0.001
        1 0.001
        2 0.0005
        3 0.0005
    """
    if not isinstance(schedule, Schedule):
        raise ValueError(f"schedule must be a Schedule, got {schedule!r}")

    def learning_rate(step: int) -> float:
        return schedule(step)

    return learning_rate
