"""The code digest: a hash of the code that decides the bytes of an artefact, here and in plug-ins."""

import ast
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from palimpsest.environment import cache_folder
from palimpsest.provenance import bare_code
from palimpsest.provenance.bare_code import is_for_types, spell, strip
from palimpsest.provenance.canonical import sha256_file, sha256_text

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "palimpsest"
# Modules and packages that decide whether, when and where a stage runs and what it says, but no byte of its result.
PLUMBING = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        "arguments",
        "contract",
        "environment",
        "errors",
        "faults",
        "hub",
        "interruption",
        "mistakes",
        "progress",
        "provenance.bare_code",
        "provenance.commit",
        "provenance.digest",
        "provenance.environment",
        "provenance.manifest",
    )
)


def stage_module(stage: str) -> str:
    """Return the module of a stage by its name in manifests; a stage that a benchmark brings is named by its module."""
    return stage if "." in stage else f"{PACKAGE}.stages.{stage}"


def stage_name(module: str) -> str:
    """Return the name of a stage in manifests, by its module."""
    return module.removeprefix(f"{PACKAGE}.stages.")


def stage_code(stage: str, *modules: str) -> str:
    """Return the code of a stage as its manifests record it: a digest, and the modules besides the stage's own."""
    return "+".join([_stage_digest(stage, *modules), *modules])


def code_today(stage: str, recorded: str) -> str:
    """Return today's `stage_code` of the modules in a recorded one; raises ModuleNotFoundError if one no longer exists."""
    return stage_code(stage, *recorded.split("+")[1:])


@cache
def _stage_digest(stage: str, *modules: str) -> str:
    return code_digest(stage_module(stage), *modules)


def code_digest(*modules: str, root: Path = ROOT) -> str:
    """Return a hash of the code of modules and of all they import, at any depth, from this package and from their own.

    Comments, formatting, annotations of functions, the order of imports and the texts of errors do not count, nor does PLUMBING.
    The code of a module includes the data file with its name (`world.py`: `world.yaml`), and the code of a package all other
    files of its folder (templates). Modules are parsed, never imported. Raises ModuleNotFoundError for a name without
    a file.
    """
    digest = hashlib.sha256()
    for name, text in sorted(code_closure(*modules, root=root).items()):
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()


def code_closure(*modules: str, root: Path = ROOT) -> dict[str, str]:
    """Return the normalised code of modules and of all they import from this package and from their own, by name."""
    seen: dict[str, str] = {}
    queue = list(modules)
    while queue:
        name = queue.pop()
        if name not in seen and not is_plumbing(name):
            seen[name], imports = _read(root, name)
            queue += imports
    return seen


def module_hashes(stage: str, *modules: str) -> dict[str, str]:
    """Return a hash of the code of each module that counts for a stage, by name."""
    closure = code_closure(stage_module(stage), *modules)
    return {name: sha256_text(text) for name, text in sorted(closure.items())}


def is_plumbing(name: str) -> bool:
    """Return whether a module decides no byte of an artefact: it is in PLUMBING, or its package is."""
    return name == PACKAGE or bool(PLUMBING & {name, *_parents(name)})


@cache
def _read(root: Path, name: str) -> tuple[str, list[str]]:
    path = _file(root, name)
    if path is None:
        raise ModuleNotFoundError(f"no module {name} under {root}")
    bare, imported = _parsed(name, path)
    imports = {module for module in (*imported, *_parents(name)) if _file(root, module)}
    return "\0".join([bare, *_data_files(path)]), sorted(imports)


def _parsed(name: str, path: Path) -> tuple[str, list[str]]:
    """Return the normalised code of a module, and the modules of its own package and of ours that it may import."""
    text = path.read_text(encoding="utf-8")

    def parse() -> str:
        tree = ast.parse(text, filename=str(path))
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        imported = {module for statement in _statements(tree) for module in _imported(name, package, statement)}
        return json.dumps([spell(strip(tree)), sorted(imported)])

    # A plan takes half of its time to parse all modules.
    bare, imported = json.loads(_cached(name, "\0".join([_parser(), path.name, text]), parse))
    return bare, imported


def _cached(name: str, key: str, make: Callable[[], str]) -> str:
    """Return the text that is made for a key, from a file of the user's cache if that begins with the hash of key and text.

    A file that is damaged, or half written, is thus made again. Without a cache, the text is made each time.
    """
    place = None
    with suppress(OSError, RuntimeError, UnicodeError):
        place = cache_folder() / PACKAGE / "code" / name
        head, _, text = place.read_text(encoding="utf-8").partition("\n")
        if head == sha256_text(f"{key}\0{text}"):
            return text
    text = make()
    if place:
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            head = sha256_text(f"{key}\0{text}")
            place.write_text(f"{head}\n{text}", encoding="utf-8")
    return text


@cache
def _parser() -> str:
    """Return a hash of the code that parses, and of the Python that runs it."""
    code = [Path(file).read_text(encoding="utf-8") for file in (__file__, bare_code.__file__)]
    return sha256_text("\0".join([sys.version, *code]))


def _data_files(path: Path) -> list[str]:
    files = sorted(file for file in path.parent.iterdir() if file.is_file() and not file.name.startswith("."))
    owner = {file.stem: file for file in files if file.suffix == ".py"}
    belonging = [file for file in files if file.suffix != ".py" and owner.get(file.stem, path.parent / "__init__.py") == path]
    return [f"{file.name} {sha256_file(file)}" for file in belonging]


def _file(root: Path, name: str) -> Path | None:
    base = _home(root, name.partition(".")[0]).joinpath(*name.split("."))
    candidates = (base / "__init__.py", base.with_suffix(".py"))
    return next((path for path in candidates if path.is_file()), None)


@cache
def _home(root: Path, package: str) -> Path:
    """Return the folder that contains a package, without importing a plug-in."""
    spec = None if package == PACKAGE else find_spec(package)
    if spec is None or spec.origin is None:
        return root
    origin = Path(spec.origin)
    return origin.parents[1] if origin.name == "__init__.py" else origin.parent


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements below a node, at any depth, but those that run for a type checker alone."""
    for child in ast.iter_child_nodes(node):
        if is_for_types(child):
            continue
        if isinstance(child, ast.stmt):
            yield child
        if not isinstance(child, ast.expr):
            yield from _statements(child)


def _imported(module: str, package: str, node: ast.AST) -> list[str]:
    """Return the names in an import that may be modules of this package or of the module's own."""
    own = module.partition(".")[0]
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1] + ([node.module] if node.module else []))
        names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] in (PACKAGE, own)]
