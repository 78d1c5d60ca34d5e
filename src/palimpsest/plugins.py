"""What lies in a folder one file each, and what other packages bring of the same kind by entry points: methods and attacks."""

import importlib
import pkgutil
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract
from typing import Generic, TypeVar

from palimpsest.errors import UserError

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Plugins(Generic[Kind]):
    """The classes of one kind: each is named by its file, with `-` for `_`, or by its entry point in the group of the package."""

    what: str
    """What one is called in an error."""
    package: str
    """The package of the files, and the group of the entry points."""
    base: type[Kind]
    shared: Collection[str] = ("base",)
    """Modules of the package that hold none."""

    @cache  # noqa: B019 - there is one a kind, which lives as long as the process
    def list(self) -> dict[str, EntryPoint]:
        """Return where each is, by its name in alphabetical order; imports none of them."""
        files = (module.name for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__))
        found = {
            name.replace("_", "-"): EntryPoint(name, f"{self.package}.{name}", self.package)
            for name in files
            if name not in self.shared
        }
        for point in entry_points(group=self.package):
            if found.setdefault(point.name, point) != point:
                raise UserError(f"{self.what} {point.name}: {found[point.name].value} and {point.value} both have this name")
        return dict(sorted(found.items()))

    def module_name(self, name: str) -> str:
        """Return the module of one."""
        return self.list()[name].module

    @cache  # noqa: B019 - as above
    def load(self, name: str) -> type[Kind]:
        """Import the module of one, that one alone, and return its class; raises UserError where there is none."""
        if name not in self.list():
            raise UserError(f"unknown {self.what} {name!r}; allowed: {', '.join(self.list())}")
        point = self.list()[name]
        try:
            module = importlib.import_module(point.module)
        except ImportError as error:
            raise UserError(f"{self.what} {name}: {point.module} cannot be imported: {error}") from None
        own = [each for each in vars(module).values() if getattr(each, "__module__", None) == module.__name__]
        named = [getattr(module, point.attr, None)] if point.attr else own
        found = [each for each in named if isinstance(each, type) and issubclass(each, self.base) and not isabstract(each)]
        if len(found) != 1:
            raise UserError(f"{self.what} {name}: {point.value} is no {self.base.__name__} of {self.base.__module__}")
        return found[0]
