"""Plug-ins (methods and attacks): one file each in a folder of this package, or an entry point of another package."""

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
    """The plug-ins of one kind. The name of each is its file name with `-` for `_`, or its entry point in the package's group."""

    what: str
    """The word for a plug-in in error messages."""
    package: str
    """The package with the files; also the group of the entry points."""
    base: type[Kind]
    shared: Collection[str] = ("base",)
    """Modules of the package that contain no plug-in."""

    @cache  # noqa: B019 - there is one instance per kind, which lives as long as the process
    def list(self) -> dict[str, EntryPoint]:
        """Return the entry point of each plug-in, sorted by name; imports none of them."""
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
        """Return the module of a plug-in."""
        return self.list()[name].module

    @cache  # noqa: B019 - as above
    def load(self, name: str) -> type[Kind]:
        """Import only the module of one plug-in and return its class; raises UserError if there is none."""
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
            article = "an" if self.base.__name__[0] in "AEIOU" else "a"
            raise UserError(f"{self.what} {name}: {point.value} is not {article} {self.base.__name__} of {self.base.__module__}")
        return found[0]
