"""The files of a pretrained model: what is taken of a folder, and a tokenizer from elsewhere."""

from pathlib import Path

import pytest

from palimpsest.errors import UserError
from palimpsest.models.pretrained import fetch_model
from palimpsest.models.settings import Pretrained, Repository

WEIGHTS = ("config.json", "model.safetensors")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def folder(path: Path, names: tuple[str, ...]) -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_text(f"{path.name}: {name}")
    return path


def fetched(tmp_path: Path, settings: Pretrained) -> dict[str, str]:
    out = tmp_path / "out"
    out.mkdir()
    fetch_model(settings, out)
    return {path.name: path.read_text().partition(":")[0] for path in out.iterdir()}


def test_a_folder_gives_its_weights_and_its_tokenizer_and_nothing_pickled(tmp_path: Path) -> None:
    model = folder(tmp_path / "model", (*WEIGHTS, *TOKENIZER, "pytorch_model.bin", "training_args.bin"))
    assert fetched(tmp_path, Pretrained(kind="pretrained", name=str(model))) == dict.fromkeys((*WEIGHTS, *TOKENIZER), "model")


def test_a_tokenizer_from_elsewhere_replaces_the_models_own(tmp_path: Path) -> None:
    model = folder(tmp_path / "model", (*WEIGHTS, "tokenizer.json", "added_tokens.json"))
    other = folder(tmp_path / "other", (*WEIGHTS, *TOKENIZER))
    settings = Pretrained(kind="pretrained", name=str(model), tokenizer=Repository(name=str(other)))
    assert fetched(tmp_path, settings) == dict.fromkeys(WEIGHTS, "model") | dict.fromkeys(TOKENIZER, "other")


@pytest.mark.parametrize(
    ("name", "tokenizer", "line"),
    [
        ("empty", None, "has no config.json and *.safetensors; convert it with save_pretrained"),
        ("absent", None, "is no folder; a model of the hub needs `revision`, the 40 hex digits of its commit"),
        ("model", "empty", "has no tokenizer_config.json; name a repository with a tokenizer"),
        ("model", "absent", "is no folder; a model of the hub needs `revision`, the 40 hex digits of its commit"),
    ],
)
def test_one_line(tmp_path: Path, name: str, tokenizer: str | None, line: str) -> None:
    folder(tmp_path / "model", WEIGHTS)
    folder(tmp_path / "empty", ())
    other = None if tokenizer is None else Repository(name=str(tmp_path / tokenizer))
    with pytest.raises(UserError) as caught:
        fetched(tmp_path, Pretrained(kind="pretrained", name=str(tmp_path / name), tokenizer=other))
    assert str(caught.value) == f"models: {str(tmp_path / (tokenizer or name))!r} {line}"
