"""Code without everything that changes no result.

Docstrings, annotations of functions, the order of imports, the texts of errors and logs, declarations of settings that are null
while nobody sets them, and names for annotations that are imported.
"""

import ast
import re
from collections.abc import Collection
from itertools import groupby
from typing import Any

# What these raise is recorded in an artefact.
RECORDED = ("Diverged",)
LOGGED = ("debug", "info", "warning", "error", "exception")
# The type of a setting that is as if it did not exist while it is null, and the modules of names for annotations.
OPTION = "Option"
FOR_ANNOTATIONS = ("typing", "collections.abc", "pydantic", "palimpsest.settings")


def strip(tree: ast.Module) -> ast.Module:
    """Return a module without everything that changes no result; `tree` itself is changed."""
    bare: ast.Module = ast.fix_missing_locations(_Bare().visit(tree))
    used = {name for node in ast.walk(bare) for name in _names(node)}
    bare.body = [each for each in bare.body if not _is_unused(each, used)]
    return bare


def spell(node: Any) -> str:
    """Return a text of a syntax tree that all versions of Python give, unlike `ast.unparse` and `ast.dump`."""
    if isinstance(node, ast.AST):
        fields = [(name, getattr(node, name, None)) for name in sorted(node._fields)]
        # A version may add a field, which is empty unless the code uses it.
        return (
            f"{type(node).__name__}({', '.join(f'{name}={spell(value)}' for name, value in fields if value not in (None, []))})"
        )
    return f"[{', '.join(map(spell, node))}]" if isinstance(node, list) else ascii(node)


def is_for_types(node: ast.AST) -> bool:
    """Return whether a statement is `if TYPE_CHECKING:`, which never runs."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


class _Bare(ast.NodeTransformer):
    """Removes everything that changes no result."""

    # Whether the statements directly below belong to a class.
    _in_class = False

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            if isinstance(statements := getattr(node, field, None), list):
                setattr(node, field, _bare_body(statements, may_be_empty=field != "body" or isinstance(node, ast.Module)))
        return node

    def visit_If(self, node: ast.If) -> Any:
        return None if is_for_types(node) else self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        return self._within(node, in_class=True)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        return self._within(node, in_class=False)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        node.returns = None
        return self._within(node, in_class=False)

    def _within(self, node: ast.AST, *, in_class: bool) -> ast.AST:
        before, self._in_class = self._in_class, in_class
        self.generic_visit(node)
        self._in_class = before
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        """Keep the annotations of a class, of which pydantic and dataclasses make fields."""
        if self._in_class and _is_option(node):
            return None
        self.generic_visit(node)
        if self._in_class:
            return node
        return node.value and ast.Assign(targets=[node.target], value=node.value)

    def visit_Raise(self, node: ast.Raise) -> Any:
        named = node.exc.func if isinstance(node.exc, ast.Call) else None
        name = named.id if isinstance(named, ast.Name) else named.attr if isinstance(named, ast.Attribute) else ""
        return self.generic_visit(node) if name in RECORDED else _Silent().visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        """Remove empty texts, which some versions of Python add to formats."""
        self.generic_visit(node)
        node.values = [each for each in node.values if not (isinstance(each, ast.Constant) and each.value == "")]
        return node

    def visit_Assert(self, node: ast.Assert) -> Any:
        node.msg = None
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> Any:
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in LOGGED:
            return _Silent().visit(node)
        return self.generic_visit(node)


class _Silent(ast.NodeTransformer):
    """Empties every text."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")


def _is_option(node: ast.AnnAssign) -> bool:
    """Return whether a statement declares an option, whose default is null: a spec that does not set it has the same bytes."""
    kind = node.annotation.value if isinstance(node.annotation, ast.Subscript) else None
    name = kind.id if isinstance(kind, ast.Name) else kind.attr if isinstance(kind, ast.Attribute) else ""
    return name == OPTION and isinstance(node.value, ast.Constant) and node.value.value is None


def _names(node: ast.AST) -> list[str]:
    """Return the names that a node uses, also those in an annotation that is a text."""
    if isinstance(node, ast.Name):
        return [node.id]
    return re.findall(r"\w+", node.value) if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _is_unused(node: ast.stmt, used: Collection[str]) -> bool:
    """Return whether a statement imports a name for annotations that no statement uses."""
    if not isinstance(node, ast.ImportFrom) or node.level or node.module not in FOR_ANNOTATIONS:
        return False
    return all((name.asname or name.name) not in {*used, "*"} for name in node.names)


def _bare_body(statements: list[ast.stmt], *, may_be_empty: bool) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    for is_import, run in groupby(statements, lambda each: isinstance(each, ast.Import | ast.ImportFrom)):
        if is_import:
            found += sorted((alone for each in run for alone in _one_each(each)), key=ast.unparse)
        else:
            found += [each for each in run if not _is_text(each)]
    return found or ([] if may_be_empty else [ast.Pass()])


def _one_each(node: Any) -> list[ast.stmt]:
    """Return an import of several names as imports of one."""
    if isinstance(node, ast.Import):
        return [ast.Import([name]) for name in node.names]
    return [ast.ImportFrom(node.module, [name], node.level) for name in node.names]


def _is_text(node: ast.stmt) -> bool:
    """Return whether a statement is a docstring, also the docstring of an attribute."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
