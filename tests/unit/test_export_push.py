"""`palimpsest push`: a model and its card on a local Hub, and refusals in one line without the token."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from export_example import RUN, TEXTS, Study
from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars
from local_hub import NOBODY, Hub, serving

from palimpsest.cli import main

TOKEN = "hf_secretsecretsecretsecretsecretsecret"
MODEL = f"{RUN.of('simnpo', 'default').path}/model"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return Study(tmp_path / "results")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(Hub({})) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        # Uploads in the Hub's other protocol, which is in a library of its own, are not served here.
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        disable_progress_bars()
        yield server
        enable_progress_bars()


def test_a_model_is_pushed_with_its_files_card_and_manifest(study: Study, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    folder = study.root / MODEL
    assert main(["push", str(folder), "org/name", "--license", "mit"]) == 0
    files = hub.pushed["org/name"]
    own = {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in {"environment.json", *TEXTS}}
    assert own.keys() == {"model.safetensors", "config.json", "training_log.jsonl", "manifest.json"}
    assert files == own | {"README.md": files["README.md"]}
    assert all(b"forget question" not in content for content in files.values())
    assert b"license: mit" in files["README.md"] and b"base_model: org/base" in files["README.md"]
    assert hub.created["org/name"]["visibility"] == "private"
    assert hub.tokens == {f"Bearer {TOKEN}"}
    output = capsys.readouterr()
    assert output.out == f"{hub.url}/org/name/commit/{'c' * 40}\n" and TOKEN not in output.err
    assert all(b"secret-host" not in content and TOKEN.encode() not in content for content in files.values())


def test_a_repository_is_public_only_if_that_is_asked_for(study: Study, hub: Hub) -> None:
    assert main(["push", str(study.root / MODEL), "org/open", "--public"]) == 0
    assert hub.created["org/open"]["visibility"] == "public"


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["push", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1 and TOKEN not in output.err
    return output.err


def test_what_is_no_unlearned_model_is_refused_before_anything_is_sent(
    study: Study, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = study.root
    for folder in (f"{RUN.of('original').path}/model", f"{RUN.of('simnpo', 'default').path}/eval", "tofu/tiny/base"):
        assert "not an unlearned model with weights" in refused(capsys, str(root / folder), "org/name")
    assert "not in a folder of results, which has run_config.yaml" in refused(capsys, str(tmp_path), "org/name")
    for name in ("name", "org/na me", "a/b/c", "../up"):
        assert f"{name}: not a name on the Hub, such as org/name" in refused(capsys, str(root / MODEL), name)
    (root / MODEL / "model.safetensors").write_bytes(b"others")
    assert "model.safetensors: sha256 is " in refused(capsys, str(root / MODEL), "org/name")
    assert not hub.created and not hub.pushed and not hub.tokens


def test_a_refusal_of_the_hub_is_one_line(
    study: Study, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.error = (403, "Forbidden")
    assert "org/name: the Hub refused or cannot be reached: " in refused(capsys, str(study.root / MODEL), "org/name")
    monkeypatch.setattr(constants, "ENDPOINT", NOBODY)
    assert "org/name: the Hub refused or cannot be reached: " in refused(capsys, str(study.root / MODEL), "org/name")
