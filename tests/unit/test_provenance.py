"""Canonical JSON, code digests and manifests."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.errors import BrokenArtefact
from palimpsest.provenance.bare_code import spell, strip
from palimpsest.provenance.canonical import canonical_json, sha256_file, sha256_text
from palimpsest.provenance.commit import describe_commit
from palimpsest.provenance.digest import code_digest
from palimpsest.provenance.environment import describe_environment, usage
from palimpsest.provenance.manifest import build_manifest, read_manifest, verify_artefact, write_manifest

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


# Canonical JSON.


@given(values)
def test_canonical_json_keeps_the_value(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), values), st.randoms(use_true_random=False))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, Any], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(value)


@given(values)
def test_canonical_json_is_one_line_of_ascii(value: Any) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert "\n" not in text
    assert canonical_json(json.loads(text)) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_canonical_json_refuses_what_json_cannot_say(value: Any) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(value)


def test_hashes_are_sha256(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(path) == sha256_text("abc") == known


# Code digests.

STAGE = """
    from palimpsest.science import add


    def work(x: int) -> int:
        return add(x, 1)
    """
SCIENCE = """
    import os

    from . import constants


    def add(x: int, y: int) -> int:
        return x + y + constants.ZERO
    """


class Package:
    """A package in a folder of its own, whose modules tests edit."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "palimpsest"
        for name, text in {
            "__init__": "",
            "stages/__init__": "",
            "stages/train": STAGE,
            "science": SCIENCE,
            "constants": "ZERO = 0\n",
            "unrelated": "ONE = 1\n",
        }.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")

    def digest(self, *extra: str) -> str:
        # A module is read once a process, so every reading gets a root of its own.
        self.reads = getattr(self, "reads", 0) + 1
        link = self.root / f"root-{self.reads}"
        link.mkdir()
        (link / "palimpsest").symlink_to(self.folder)
        return code_digest("palimpsest.stages.train", *extra, root=link)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    # Parsed code is kept there.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Package(tmp_path)


def test_comments_docstrings_and_layout_are_no_code(package: Package) -> None:
    before = package.digest()
    package.write(
        "stages/train",
        '''
        """A docstring."""

        # A comment.
        from palimpsest.science import (
            add,
        )


        def work(x: int) -> int:
            """Another one."""
            return (add(x,
                        1))  # the same
        ''',
    )
    assert package.digest() == before


def test_the_text_below_a_field_is_no_code(package: Package) -> None:
    package.write("stages/train", "class Settings:\n    epochs: int = 5\n")
    before = package.digest()
    package.write("stages/train", 'class Settings:\n    epochs: int = 5\n    """Passes over the data."""\n')
    assert package.digest() == before


def test_a_function_that_only_has_a_docstring_is_one_that_only_passes(package: Package) -> None:
    package.write("stages/train", 'def work() -> None:\n    """Do nothing."""\n')
    before = package.digest()
    package.write("stages/train", "def work() -> None:\n    pass\n")
    assert package.digest() == before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [("stages/train", "x, 1", "x, 2"), ("science", "x + y", "y + x"), ("constants", "0", "1")],
)
def test_code_of_a_stage_and_of_all_it_imports_counts(package: Package, module: str, old: str, new: str) -> None:
    before = package.digest()
    path = package.folder / f"{module}.py"
    path.write_text(path.read_text().replace(old, new, 1))
    assert package.digest() != before


LOOP = """
    from __future__ import annotations

    import logging
    from typing import TYPE_CHECKING

    from palimpsest import constants
    from palimpsest.science import add

    if TYPE_CHECKING:
        from palimpsest import unrelated

    log = logging.getLogger("loop")


    class Settings:
        epochs: int = 5


    def work(x: int, settings: Settings) -> int:
        total: int = add(x, constants.ZERO)
        if total < 0:
            raise ValueError(f"{total} is below 0")
        assert x, "x is 0"
        log.info("added up to %d", total)
        return total
    """


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("is below 0", "must be 0 or more"),
        ('f"{total} is below 0"', '"below 0"'),
        ('"x is 0"', '"x must not be 0"'),
        ("added up to %d", "the sum is %d"),
        (
            "from palimpsest import constants\n    from palimpsest.science import add",
            "from palimpsest.science import add\n    from palimpsest import constants",
        ),
        ("x: int, settings: Settings) -> int", 'x: float, settings: "Settings") -> float'),
        ("total: int =", "total ="),
        ("from palimpsest import unrelated", "from palimpsest.unrelated import ONE"),
        ("epochs: int = 5", "epochs: int = 5\n        smoothing: Option[float] = None"),
        ("epochs: int = 5", 'epochs: int = 5\n        smoothing: settings.Option[float] = None\n        """Null: none."""'),
        ("import TYPE_CHECKING", "import Any, TYPE_CHECKING"),
        ('getLogger("loop")', "getLogger('loop')"),
    ],
)
def test_what_changes_no_result_is_no_code(package: Package, old: str, new: str) -> None:
    package.write("stages/train", LOOP)
    before = package.digest()
    assert old in LOOP
    package.write("stages/train", LOOP.replace(old, new))
    assert package.digest() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("epochs: int = 5", "epochs: float = 5"),
        ("epochs: int = 5", "epochs: int = 5\n        smoothing: Option[float] = 0.0"),
        ("epochs: int = 5", "epochs: int = 5\n        smoothing: float | None = None"),
        ("epochs: int = 5", "epochs: Positive = 5"),
        ("import logging", "import logging\n    import numpy"),
        ("total < 0", "total < 1"),
        ("raise ValueError", "raise TypeError"),
        ('getLogger("loop")', 'getLogger("other")'),
        ("return total", "return 'total'"),
    ],
)
def test_what_may_change_a_result_is_code(package: Package, old: str, new: str) -> None:
    package.write("stages/train", LOOP)
    before = package.digest()
    assert old in LOOP
    package.write("stages/train", LOOP.replace(old, new))
    assert package.digest() != before


def test_the_reason_of_a_divergence_is_code(package: Package) -> None:
    """The artefact records it."""
    package.write("stages/train", "def work():\n    raise Diverged('a loss of nan')\n")
    before = package.digest()
    package.write("stages/train", "def work():\n    raise Diverged('the loss is nan')\n")
    assert package.digest() != before


@pytest.mark.parametrize("name", ["hub", "contract/job", "provenance/environment"])
def test_plumbing_does_not_count(package: Package, name: str) -> None:
    """Nor does what only plumbing imports."""
    package.write(f"{name.partition('/')[0]}/__init__" if "/" in name else name, "")
    package.write(name, "from palimpsest import unrelated\nTIMEOUT = 10\n")
    package.write("stages/train", f"import palimpsest.{name.replace('/', '.')}\n")
    before = package.digest()
    package.write(name, "from palimpsest import unrelated\nTIMEOUT = 20\n")
    package.write("unrelated", "ONE = 2\n")
    assert package.digest() == before


def test_code_that_is_not_imported_does_not_count(package: Package) -> None:
    before = package.digest()
    package.write("unrelated", "ONE = 2\n")
    assert package.digest() == before
    assert package.digest("palimpsest.unrelated") != before


@pytest.mark.parametrize(
    "statement",
    [
        "import palimpsest.unrelated",
        "from palimpsest import unrelated",
        "from palimpsest.unrelated import ONE",
        "from .. import unrelated",
        "from ..unrelated import ONE",
        "def late() -> None:\n    import palimpsest.unrelated",
    ],
)
def test_every_way_to_import_is_followed(package: Package, statement: str) -> None:
    package.write("stages/train", f"{statement}\n")
    before = package.digest()
    package.write("unrelated", "ONE = 2\n")
    assert package.digest() != before


def test_modules_that_import_each_other_are_read_once(package: Package) -> None:
    package.write("unrelated", "from palimpsest import science\n")
    package.write("science", "from palimpsest import unrelated\n")
    assert package.digest() == package.digest()


def test_the_package_of_an_imported_module_counts(package: Package) -> None:
    package.write("stages/train", "from palimpsest.words.world import NAMES\n")
    package.write("words/world", "NAMES = 1\n")
    package.write("words/__init__", "")
    before = package.digest()
    package.write("words/__init__", "LANGUAGE = 'en'\n")
    assert package.digest() != before


def test_a_package_s_templates_count(package: Package) -> None:
    package.write("stages/train", "from palimpsest import pages\n")
    package.write("pages/__init__", "")
    (package.folder / "pages/page.html").write_text("<p>one</p>")
    before = package.digest()
    (package.folder / "pages/page.html").write_text("<p>two</p>")
    assert package.digest() != before


def test_a_data_file_belongs_to_the_module_of_its_name_alone(package: Package) -> None:
    package.write("stages/train", "from palimpsest.words import world\n")
    for module in ("__init__", "world", "other"):
        package.write(f"words/{module}", "")
    digests = []
    for name in ("world.yaml", "other.yaml"):
        before = package.digest()
        (package.folder / "words" / name).write_text("names: [Mira]")
        digests.append(package.digest() != before)
    assert digests == [True, False]


def test_a_module_without_a_file_is_an_error(package: Package) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"palimpsest\.nothing"):
        package.digest("palimpsest.nothing")


def test_a_plug_in_s_module_and_what_it_imports_of_its_own_package_count(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is installed; of what it imports from elsewhere, this package alone."""
    # A package is looked for once a process, so this one has a name of its own.
    plug_in = tmp_path / "site/digested_plug_in"
    plug_in.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(plug_in.parent))
    texts = {
        "__init__": "",
        "method": "import json\nfrom palimpsest import unrelated\nfrom . import helper\n",
        "helper": "X = 1\n",
        "other": "Y = 1\n",
    }
    for name, text in texts.items():
        (plug_in / f"{name}.py").write_text(text)
    before = package.digest("digested_plug_in.method")
    (plug_in / "other.py").write_text("Y = 2\n")
    assert package.digest("digested_plug_in.method") == before != package.digest()
    for path in (plug_in / "helper.py", plug_in / "method.py", package.folder / "unrelated.py"):
        path.write_text(path.read_text() + "Z = 3\n")
        after = package.digest("digested_plug_in.method")
        assert after != before
        before = after
    assert "digested_plug_in" not in sys.modules


def test_parsed_code_is_read_from_the_cache_until_the_module_changes(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    before = package.digest()
    with monkeypatch.context() as broken:
        broken.setattr("palimpsest.provenance.digest.strip", None)
        assert package.digest() == before
    package.write("constants", "ZERO = 1\n")
    assert package.digest() != before
    package.write("constants", "ZERO = 0\n")
    assert package.digest() == before


@pytest.mark.parametrize("edit", [lambda text: text[:-9], lambda text: text.replace("return", "yield"), lambda _: ""])
def test_a_damaged_cache_is_not_believed(package: Package, edit: Callable[[str], str]) -> None:
    before = package.digest()
    kept = [path for path in (package.root / "cache").rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert package.digest() == before


def test_a_user_without_a_cache_gets_the_same_digest(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    before = package.digest()
    (package.root / "no-folder").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(package.root / "no-folder"))
    assert package.digest() == before


def test_every_python_spells_code_alike() -> None:
    """Python 3.12 parses f-strings differently from Python 3.11 and 3.13; all three must give the hash below."""
    code = "@wraps(f)\ndef told(x: int, *more, width=3) -> str:\n    return f'{x!r:>{width}} {more} {{}} \\xe9' 'and' rf'\\d'\n"
    spelled = spell(strip(ast.parse(code)))
    assert sha256_text(spelled) == "f92ff1b097c7a1a6ee15d49b9e285f9ea14dc2265d17053e801ca9470dedd1eb"


def test_where_the_code_lies_does_not_matter(package: Package, tmp_path: Path) -> None:
    assert package.digest() == Package(tmp_path / "elsewhere").digest() == Package(tmp_path / "there").digest()


# Manifests.


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    """An artefact of two files; the path of its manifest."""
    folder = tmp_path / "artefact"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep/b.txt").write_text("b")
    (folder / "environment.json").write_text("{}")
    write_manifest(folder, build_manifest(folder, stage="test", spec={"x": 1}, code="c0de", inputs={"data": "abc"}))
    return folder / "manifest.json"


def test_a_manifest_names_all_files_but_itself_and_the_environment(artefact: Path) -> None:
    manifest = verify_artefact(artefact)
    assert manifest["files"] == {
        "a.txt": {"sha256": sha256_text("a"), "size": 1},
        "deep/b.txt": {"sha256": sha256_text("b"), "size": 1},
    }
    assert manifest["spec_sha256"] == sha256_text('{"x":1}')


def test_a_manifest_s_bytes_repeat(artefact: Path) -> None:
    before = artefact.read_bytes()
    (artefact.parent / "environment.json").write_text('{"host": "another"}')
    folder = artefact.parent
    write_manifest(folder, build_manifest(folder, stage="test", spec={"x": 1}, code="c0de", inputs={"data": "abc"}))
    assert artefact.read_bytes() == before


def test_a_missing_file_is_named(artefact: Path) -> None:
    (artefact.parent / "a.txt").unlink()
    with pytest.raises(BrokenArtefact, match=r"a\.txt: missing, but .*manifest\.json names it"):
        verify_artefact(artefact)


def test_a_corrupted_file_is_named_with_both_hashes(artefact: Path) -> None:
    (artefact.parent / "deep/b.txt").write_text("B")
    with pytest.raises(BrokenArtefact) as caught:
        verify_artefact(artefact)
    line = str(caught.value)
    assert f"{artefact.parent / 'deep/b.txt'}: sha256 is {sha256_text('B')}" in line
    assert f"says {sha256_text('b')}" in line
    assert "\n" not in line


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null"])
def test_what_is_no_manifest_is_an_error(artefact: Path, text: str) -> None:
    artefact.write_text(text)
    with pytest.raises(BrokenArtefact, match="not a manifest"):
        read_manifest(artefact)


def test_no_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BrokenArtefact, match="there is no manifest"):
        read_manifest(tmp_path / "manifest.json")


def test_the_commit_is_named_and_edits_of_code_make_it_dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PALIMPSEST_COMMIT", raising=False)

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        return subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    assert describe_commit(tmp_path) == ""
    git("init", "--quiet")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("x = 1\n")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    commit = git("rev-parse", "HEAD").strip()
    assert describe_commit(tmp_path) == commit
    (tmp_path / "notes.txt").write_text("no code\n")
    assert describe_commit(tmp_path) == commit
    (tmp_path / "src" / "b.py").write_text("new = 1\n")
    assert describe_commit(tmp_path) == f"{commit}-dirty"
    # Of a folder within another repository nothing is known.
    assert describe_commit(tmp_path / "src") == ""


def test_the_packages_that_write_files_of_a_report_are_recorded() -> None:
    packages = describe_environment(0.0, {}, [usage()])["packages"]
    assert {"jinja2", "numpy", "pandas", "pyarrow", "pydantic", "vl-convert-python"} <= packages.keys()
