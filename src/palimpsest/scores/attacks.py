"""The measurements of an attack as they lie on disk; apart, so that they are nothing to a choice between trials."""

from collections.abc import Iterator
from functools import cached_property

import pandas as pd

from palimpsest.evaluation.logs import items_from_table, read_frame
from palimpsest.evaluation.tables import TABLE
from palimpsest.metrics.probability import answer_probability
from palimpsest.scores.artefacts import Artefact, Evaluation, Scores


class Attack(Artefact):
    """An attack: a table of its draws and epochs."""

    def scores(self, suite: str, retrain: Evaluation) -> Iterator[tuple[int, Scores]]:
        """Yield each epoch with mean and spread over draws, the items being those of the suite that Retrain was asked."""
        path = self.directory / TABLE
        rows = self._table[self._table["id"].isin(retrain.forget_rows(suite)["id"])]
        for epoch, draws in rows.groupby("epoch"):
            values = pd.DataFrame(
                {
                    "forget_quality": retrain.judge(items, suite, path).p_value,
                    "forget_probability": answer_probability(items.answer),
                }
                for items in (items_from_table(draw, path) for _, draw in draws.groupby("draw"))
            )
            # The spread of a lone draw is not defined, and so has no row.
            spread = values.std(skipna=False).add_suffix("_sd")
            yield int(str(epoch)), pd.concat([values.mean(skipna=False), spread]).to_dict()

    @cached_property
    def _table(self) -> pd.DataFrame:
        return read_frame(self.directory / TABLE)
