"""The settings of the suite of depth."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.evaluation.suite import Reading, Suite
from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.settings import Count


class DepthSuite(Suite):
    """How deep unlearning goes: the unlearning depth score (arXiv 2605.24614) and the logit lens, layer by layer."""

    models = (ORIGINAL, RETRAIN)

    kind: Literal["depth"]
    """Activation patching between a model, Original and Retrain."""
    max_items: Count | None = 50
    """Patch only N forget items, evenly spaced; null: all."""
    threshold: Annotated[float, Field(ge=0.001, le=10)] = 0.05
    """A layer holds knowledge of an item if Retrain's output there costs Original more than this, in nats per label."""

    def reading(self, forget: float, everything: float, item: float) -> Reading:
        """Return about how much an evaluation reads: each item once per layer and for two models, assumed to have 16 layers."""
        return Reading(min(forget, (self.max_items or 200) * item) * 2 * 16, 0)


SETTINGS = DepthSuite
