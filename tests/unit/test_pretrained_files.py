"""The files of a pretrained model: what is taken of a folder, and a tokenizer from elsewhere."""

import json
import tempfile
from pathlib import Path

import pytest
from test_adapter_files import LORA, adapted, small
from test_adapter_files import TOKENIZER as TOKENS

from palimpsest import hub
from palimpsest.errors import UserError
from palimpsest.models.loading import save_model
from palimpsest.models.merging import save_adapters
from palimpsest.models.pretrained import _has_all, fetch_model
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


@pytest.mark.parametrize("cached", [(), ("model",), ("tokens",), ("model", "tokens")])
def test_only_files_of_the_hubs_cache_are_shared(
    cached: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever overwrites a file of a folder in place does not change the results."""
    folders = {"model": folder(tmp_path / "model", (*WEIGHTS, *TOKENIZER)), "tokens": folder(tmp_path / "tokens", TOKENIZER)}
    monkeypatch.setattr(hub, "fetch_snapshot", lambda name, *rest, **more: folders[Path(name).name])
    names = {name: {"name": str(tmp_path / name), "revision": "0" * 40 if name in cached else None} for name in folders}
    fetched(tmp_path, Pretrained(kind="pretrained", **names["model"], tokenizer=Repository(**names["tokens"])))
    for name, files in (("model", WEIGHTS), ("tokens", TOKENIZER)):
        for file in files:
            assert (tmp_path / "out" / file).samefile(folders[name] / file) == (name in cached)


def test_adapters_are_merged_beside_the_result_and_leave_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base may be larger than the machine's folder for temporary files."""
    base, adapter, out = (tmp_path / name for name in ("base", "adapter", "out"))
    save_model(small("llama"), TOKENS, base)
    adapter.mkdir()
    out.mkdir()
    save_adapters(adapted(small("llama"), LORA, 1), TOKENS, adapter)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    fetch_model(Pretrained(kind="pretrained", name=str(adapter), over=Repository(name=str(base))), out)
    assert {path.name for path in out.iterdir()} == {path.name for path in base.iterdir()}


@pytest.mark.parametrize(
    ("name", "tokenizer", "line"),
    [
        ("empty", None, "has no config.json and *.safetensors; convert it with save_pretrained"),
        ("absent", None, "is not a folder; for the Hub run `palimpsest pin FILE` once"),
        ("model", "empty", "has no tokenizer_config.json; name a repository with a tokenizer"),
        ("model", "absent", "is not a folder; for the Hub run `palimpsest pin FILE` once"),
    ],
)
def test_one_line(tmp_path: Path, name: str, tokenizer: str | None, line: str) -> None:
    folder(tmp_path / "model", WEIGHTS)
    folder(tmp_path / "empty", ())
    other = None if tokenizer is None else Repository(name=str(tmp_path / tokenizer))
    with pytest.raises(UserError) as caught:
        fetched(tmp_path, Pretrained(kind="pretrained", name=str(tmp_path / name), tokenizer=other))
    assert str(caught.value) == f"models: {str(tmp_path / (tokenizer or name))!r} {line}"


SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def test_a_model_that_lacks_a_part_of_its_weights_is_not_taken(tmp_path: Path) -> None:
    """As a download leaves it that was cut off: with or without the index of its parts."""
    model = folder(tmp_path / "model", ("config.json", SHARDS[0], *TOKENIZER))
    settings = Pretrained(kind="pretrained", name=str(model))
    for index in (None, {"weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}):
        if index:
            (model / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(UserError, match=rf"lacks {SHARDS[1]}, a part of its weights"):
            fetched(tmp_path, settings)
        (tmp_path / "out").rmdir()
    (model / SHARDS[1]).write_text("model: ")
    assert set(SHARDS) <= fetched(tmp_path, settings).keys()


def test_a_cached_model_is_whole_with_its_tokenizer_only(tmp_path: Path) -> None:
    model = folder(tmp_path / "model", (*WEIGHTS, "tokenizer_config.json"))
    assert not _has_all(model)
    (model / "tokenizer.json").write_text("{}")
    assert _has_all(model)
