"""The learning rate as a function of the step, so that a resumed run needs no scheduler state."""

from palimpsest.training.settings import TrainSettings


def learning_rate(step: int, steps: int, warmup_steps: int, settings: TrainSettings) -> float:
    """Return the learning rate of step `step`, from 0: linear warm-up from 0, then linear decay to 0 at `steps`, or constant."""
    if step < warmup_steps:
        return settings.learning_rate * step / max(1, warmup_steps)
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * max(0.0, (steps - step) / max(1, steps - warmup_steps))
