"""The unlearning methods: one file each in this folder, and the entry points of other packages.

The name of a method is its file name with `-` for `_`, or its entry point in the group `palimpsest.methods`.
"""

from typing import Any

from pydantic import ValidationError

from palimpsest.errors import UserError
from palimpsest.methods.base import Method
from palimpsest.plugins import Plugins

METHODS = Plugins("method", __name__, Method, shared=("base", "problem"))
list_methods, module_name, load_method = METHODS.list, METHODS.module_name, METHODS.load


def make_method(method: str, settings: dict[str, Any]) -> Method:
    """Return a method with these settings, and its defaults for the others; raises UserError for a setting it does not allow."""
    try:
        return load_method(method).model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{method}: {'.'.join(map(str, first['loc']))}: {first['input']!r}: {first['msg']}") from None
