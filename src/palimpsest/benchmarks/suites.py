"""The kinds of suites: a kind is a package with the modules `suite_settings`, `suite` and `scores`.

A benchmark may have a suite of its own name; other suites, such as lm-eval, serve several. Modules are imported only when they
are used, so editing one suite reruns no other: a code digest covers only the modules that the job uses.
"""

from functools import reduce
from importlib.metadata import EntryPoint, entry_points
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from palimpsest.benchmarks import kinds
from palimpsest.evaluation.suite import Suite

# Suites that belong to no benchmark.
SHARED = {kind: f"palimpsest.evaluation.{kind.replace('-', '_')}" for kind in ("depth", "lm-eval", "prompting", "sampling")}
# The entry points of metrics in other packages, each named `KIND.NAME`.
METRICS = "palimpsest.metrics"


def module_name(kind: str, module: str) -> str:
    """Return the full name of a module of a kind."""
    return f"{SHARED[kind]}.{module}" if kind in SHARED else kinds.module_name(kind, module)


def load(kind: str, module: str) -> Any:
    """Import a module of a kind."""
    return kinds.load_module(module_name(kind, module))


def added_metrics(kind: str) -> list[EntryPoint]:
    """Return the metrics that other packages add to a kind of suite, in the order of their names."""
    return sorted(point for point in entry_points(group=METRICS) if point.name.startswith(f"{kind}."))


def scoring_modules(kind: str) -> list[str]:
    """Return the modules that score a kind of suite, for the code digest."""
    return [module_name(kind, "scores"), *sorted({point.module for point in added_metrics(kind)})]


def _settings() -> dict[str, type[Suite]]:
    """Return the settings class of each kind of suite, which is `SETTINGS` in its module `suite_settings`."""
    return {kind: load(kind, "suite_settings").SETTINGS for kind in (*kinds.having("suite_settings"), *SHARED)}


SETTINGS = _settings()
if TYPE_CHECKING:
    AnySuite = Suite
else:
    AnySuite = Annotated[reduce(or_, SETTINGS.values()), Field(discriminator="kind")]
