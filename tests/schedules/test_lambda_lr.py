import io

import pytest
import torch
from hypothesis import given

from schedules import StaircaseSchedule, lr_lambda
from tests.schedules.schedule_strategies import any_schedule


def lambda_lr(schedule):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda(schedule))


@given(any_schedule())
def test_the_optimizer_has_exactly_the_rate_of_the_schedule(schedule):
    optimizer, scheduler = lambda_lr(schedule)
    for step in range(80):
        assert optimizer.param_groups[0]["lr"] == schedule(step)
        optimizer.step()
        scheduler.step()


def test_a_checkpoint_holds_no_schedule_and_goes_on_in_the_middle():
    schedule = StaircaseSchedule(1e-3, decay_steps=10, decay_rate=0.5)
    optimizer, scheduler = lambda_lr(schedule)
    for _ in range(25):
        optimizer.step()
        scheduler.step()
    assert scheduler.state_dict()["lr_lambdas"] == [None]
    checkpoint = io.BytesIO()
    torch.save(
        {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}, checkpoint
    )
    checkpoint.seek(0)
    state = torch.load(checkpoint, weights_only=True)
    resumed_optimizer, resumed = lambda_lr(schedule)
    resumed_optimizer.load_state_dict(state["optimizer"])
    resumed.load_state_dict(state["scheduler"])
    for step in range(25, 45):
        assert resumed_optimizer.param_groups[0]["lr"] == schedule(step)
        resumed_optimizer.step()
        resumed.step()


@pytest.mark.parametrize("schedule", [1e-3, None, lambda step: 1e-3])
def test_what_is_no_schedule_is_refused(schedule):
    with pytest.raises(ValueError, match="schedule must be a Schedule, got"):
        lr_lambda(schedule)
