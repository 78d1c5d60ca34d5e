"""The ids of evaluations among the inputs of the stage `scores`."""


def evaluation_id(of: str, suite: str) -> str:
    """Return the id of an evaluation; `of` is a model's folder below the run, or the folder of Original's or Retrain's seed."""
    return f"{of}/{suite}"


def evaluation_parts(id: str) -> tuple[str, str]:
    """Return the model or seed of an evaluation's id, and the suite."""
    of, _, suite = id.rpartition("/")
    return of, suite
