"""Where a training diverged and how it was detected, as an error and as a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from agents.runs.directory import RunDirectory, RunError
from agents.runs.files import write_atomically

FORMAT = "staircase-lab divergence"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Divergence:
    """Where the numbers of a training stopped being finite.

    Attributes:
        step: Environment timesteps trained by then.
        phase: Index of the phase at that step.
        learning_rate: Rate of the last update.
        what: What was not finite, such as `"the loss critic_loss is nan"`.
    """

    step: int
    phase: int
    learning_rate: float
    what: str

    def __str__(self) -> str:
        return (
            f"diverged at step {self.step} in phase {self.phase} at rate "
            f"{self.learning_rate:g}: {self.what}"
        )


class Diverged(RunError):
    """A training produced numbers that are not finite; everything it wrote before is good.

    Attributes:
        divergence: Where the training diverged.
    """

    def __init__(self, run: RunDirectory, divergence: Divergence, last_good: int | None) -> None:
        good = "there is no snapshot yet"
        if last_good is not None:
            good = f"the snapshot at step {last_good} is good"
        super().__init__(f"{run.path} {divergence}; {good}; try a lower --initial-learning-rate")
        self.divergence = divergence


def write_divergence(run: RunDirectory, divergence: Divergence) -> None:
    """Records in `diverged.json` that a training diverged.

    Args:
        run: The run.
        divergence: Where it diverged.

    Raises:
        OSError: If it cannot be written.
    """
    data = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(divergence)}
    write_atomically(run.divergence_path, (json.dumps(data, indent=2) + "\n").encode())


def read_divergence(run: RunDirectory) -> Divergence | None:
    """Reads whether the last training of a run diverged.

    Args:
        run: The run.

    Returns:
        Where it did, or `None` if it did not.

    Raises:
        RunError: If `diverged.json` cannot be read or was not written by this project.
    """
    path = run.divergence_path
    try:
        data = json.loads(path.read_bytes())
        kind = data.pop("format"), data.pop("format_version")
        divergence = Divergence(**data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if kind != (FORMAT, FORMAT_VERSION):
        raise RunError(f"{path} has a format that this code does not read")
    return divergence
