"""How far two makings of an artefact have to agree, as each stage promises."""

from typing import Literal

Class = Literal["bitwise", "numeric", "statistical"]
CLASSES: tuple[Class, ...] = ("bitwise", "numeric", "statistical")
# Off the machine that made an artefact, or on a GPU, its stage promises this much; of stages not named here, the same bytes.
DECLARED: dict[str, Class] = {
    "reference": "numeric",
    "evaluate": "numeric",
    "markov_evaluate": "numeric",
    "base": "statistical",
    "finetune": "statistical",
    "unlearn": "statistical",
    "attack": "statistical",
    "trajectory": "statistical",
    "markov_train": "statistical",
    "markov_trajectory": "statistical",
}
