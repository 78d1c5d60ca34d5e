"""The unlearning methods: one module each, with one pure function of negative log-likelihoods, logits, activations or weights.

`forget_loss` returns one loss an item, shape (items,). Its positional parameters name what it needs, all of shape (items,):
`nll` (summed over the tokens of the forget answer), `tokens` (their number, EOS included), `reference_nll` (of the original
model), the same of a random refusal (`refusal_nll`, `refusal_tokens`, `refusal_reference_nll`), and `mean_tokens` /
`mean_refusal_tokens` (scalars over the whole optimiser step, so that a token mean is exact under gradient accumulation).
A method that needs whole distributions names `logits` instead, shape (labels, vocabulary), with `original_logits` and
`strengthened_logits` of the two frozen models where it reads them; it returns one loss a label, shape (labels,), and the
training step sums them over each answer and divides by `mean_tokens`.
A method that works inside the model names `activations`, shape (tokens, width), what one decoder layer puts out at every token of
prompt and answer, and may name `direction`, shape (width,), a unit vector drawn from the seed; it returns one loss a token, shape
(tokens,), and the training step takes each item's mean. Its module says by `trained_layers(layer)` which decoder layers' MLP
down-projections are trained, and nothing else of the model: the last of them is the one whose activations count.
Keyword-only parameters are the method's settings, each with a default and annotated with a type of `palimpsest.settings` that
bounds it: what lies outside is refused when the config is read. The training step takes the mean over items.

A method that trains nothing has `edit_weights` in place of `forget_loss`: of a weight of the model that it starts from and the
same one of the strengthened model, `start` and `strengthened`, it returns that of the unlearned model.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

FUNCTIONS = ("forget_loss", "edit_weights", "trained_layers")
# A method is a file of this folder, so that adding one changes no module that the others depend on.
METHODS = sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


@dataclass(frozen=True)
class Objective:
    """A method's loss or its edit of weights, what that reads and which settings it has with their defaults and their types."""

    inputs: tuple[str, ...]
    settings: dict[str, float]
    kinds: dict[str, Any]
    retain_loss: str
    forget_loss: Callable[..., Any] | None = None
    edit_weights: Callable[..., Any] | None = None
    trained_layers: Callable[..., range] | None = None

    @property
    def is_trained(self) -> bool:
        """Whether it trains a model, and so has epochs, rather than edit weights once."""
        return self.forget_loss is not None

    @property
    def retain_losses(self) -> tuple[str, ...]:
        """The retain losses that it can have."""
        return ("activations", "none") if self.needs_activations else ("ce", "kl", "none")

    @property
    def needs_reference(self) -> bool:
        """Whether it reads log-probabilities of the reference model, which are computed once, ahead of training."""
        return any("reference" in name for name in self.inputs)

    @property
    def needs_refusals(self) -> bool:
        """Whether it reads a refusal beside each forget answer."""
        return any("refusal" in name for name in self.inputs)

    @property
    def needs_logits(self) -> bool:
        """Whether it reads logits, and so returns one loss a label in place of one an item."""
        return "logits" in self.inputs

    @property
    def needs_activations(self) -> bool:
        """Whether it reads activations, and so returns one loss a token and trains some layers alone."""
        return "activations" in self.inputs

    @property
    def needs_original(self) -> bool:
        """Whether it reads logits of the model that unlearning starts from."""
        return any(name.startswith("original") for name in self.inputs)

    @property
    def needs_strengthened(self) -> bool:
        """Whether it reads logits or weights of the strengthened model."""
        return any(name.startswith("strengthened") for name in self.inputs)

    @property
    def weighs_answers(self) -> bool:
        """Whether it reads the answers' NLL, and so has the gradient weights of SimNPO's eq. 4 and 6."""
        return "nll" in self.inputs

    @property
    def needs_answers(self) -> bool:
        """Whether it reads the forget answers themselves."""
        return any("refusal" not in name for name in self.inputs)


def module_name(method: str) -> str:
    """Return the module of a method."""
    return f"{__name__}.{method.replace('-', '_')}"


def load_objective(method: str) -> Objective:
    """Import a method's module, that one alone, and read what it needs from its functions' signatures."""
    module = importlib.import_module(module_name(method))
    functions = {name: getattr(module, name) for name in FUNCTIONS if hasattr(module, name)}
    parameters = [p for function in functions.values() for p in inspect.signature(function).parameters.values()]
    settings = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    # Tensors are named for readers alone.
    hints = [get_type_hints(function, localns={"Tensor": Any}, include_extras=True) for function in functions.values()]
    return Objective(
        inputs=tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY),
        settings=settings,
        kinds={name: kind for hint in hints for name, kind in hint.items() if name in settings},
        retain_loss=getattr(module, "RETAIN_LOSS", "ce"),
        **functions,
    )
