"""Every snakemake line of the pages on running plans; one that cannot is marked above its block: `<!-- not run: why -->`."""

import re
import shlex
from dataclasses import dataclass

import pytest
from checkout import ROOT, Checkout, clone

from palimpsest.cli import main

PAGES = sorted((ROOT / "docs" / "running").glob("*.md"))
BLOCK = re.compile(r"^(<!-- not run: .+ -->\n\n?)?```console\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")


@dataclass(frozen=True)
class Line:
    """A command of a page."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """Its words, without the variables that are set before it."""
        words = shlex.split(self.text.removeprefix("$ "), comments=True)
        while words and ASSIGNMENT.fullmatch(words[0]):
            words = words[1:]
        return words


def lines(program: str) -> list[Line]:
    found = []
    for page in PAGES:
        blocks = [block for mark, block in BLOCK.findall(page.read_text(encoding="utf-8")) if not mark]
        commands = [Line(page.name, text) for block in blocks for text in block.replace("\\\n", " ").splitlines()]
        found += [line for line in commands if line.words[:1] == [program]]
    return found


def name(line: Line) -> str:
    return f"{line.page}: {line.text}"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    fresh = clone(tmp_path_factory.mktemp("running") / "clone")
    text = (ROOT / "docs/running/slurm.md").read_text(encoding="utf-8")
    (partitions,) = re.findall(r"```yaml\n(partitions:.*?)```", text, re.DOTALL)
    (fresh.path / "partitions.yaml").write_text(partitions, encoding="utf-8")
    return fresh


@pytest.mark.parametrize("line", lines("snakemake"), ids=name)
def test_snakemake_plans_it(line: Line, fresh: Checkout) -> None:
    ran = fresh.snakemake(*line.words[1:], "--dry-run", "--quiet", "rules")
    assert ran.returncode == 0, ran.stdout
    assert "Job stats:" in ran.stdout or "Nothing to be done" in ran.stdout


@pytest.mark.parametrize("line", lines("palimpsest"), ids=name)
def test_palimpsest_does_it(line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    assert main(line.words[1:]) == 0
    assert "GPU-hours" in capsys.readouterr().out


def test_every_page_shows_its_commands_alike() -> None:
    """A block in another format would be left out of these tests."""
    for page in PAGES:
        assert not re.search(r"^```(bash|sh|shell)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE), page


def test_every_page_is_listed_and_every_listed_one_is_there() -> None:
    listed = (ROOT / "docs" / "running" / "README.md").read_text(encoding="utf-8")
    for page in PAGES:
        assert page.name == "README.md" or f"]({page.name})" in listed
    for page in PAGES:
        for link in re.findall(r"\]\(([^):#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
