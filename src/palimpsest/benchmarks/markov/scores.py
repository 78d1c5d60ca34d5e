"""The scores of a model of Markov chains: its divergence from the true distribution on each chain, with standard error."""

from collections.abc import Mapping

import pandas as pd

from palimpsest.evaluation.metric import COUNT, Metric, Scoring


def read(table: pd.DataFrame, source: object) -> Mapping[str, float]:
    """Return the numbers of a table of divergences (`suite.SCHEMA`) by their names without `kl_`."""
    numbers = table.set_index("chain")
    return numbers["kl"].to_dict() | numbers["se"].add_suffix("_se").to_dict()


METRICS = (
    Metric(
        "kl_",
        lambda distances: distances,
        suffixes=("CHAIN", "CHAIN_se"),
        formula="mean KL(true ‖ predicted) per predicted state of the test sequences of a chain, in nats, with standard error",
        bounds=COUNT,
        source="SimNPO, App. H",
    ),
)
SCORING = Scoring[Mapping[str, float]](read=read, metrics=METRICS)
