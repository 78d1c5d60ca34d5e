"""The scores of a model of Markov chains: its distance from the truth on each chain, and the standard error of that."""

from collections.abc import Mapping

import pandas as pd

from palimpsest.evaluation.metric import Metric, Scoring


def read(table: pd.DataFrame, source: object) -> Mapping[str, float]:
    """Return the numbers of a table of distances (`suite.SCHEMA`) by what follows `kl_` in their names."""
    numbers = table.set_index("chain")
    return numbers["kl"].to_dict() | numbers["se"].add_suffix("_se").to_dict()


METRICS = (Metric("kl_", lambda distances: distances),)
SCORING = Scoring[Mapping[str, float]](read=read, metrics=METRICS)
