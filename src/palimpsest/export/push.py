"""Push an unlearned model with its card to the Hub. The token comes from the environment or from `hf auth login`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import CommitOperationAdd, HfApi

from palimpsest.audit.artefacts import CONFIG
from palimpsest.errors import UserError, first_line
from palimpsest.export.card import CARD, card_text, unlearned
from palimpsest.export.models import open_results
from palimpsest.export.weights import base_of, files_of, is_adapter, layers
from palimpsest.provenance.manifest import MANIFEST, verify_artefact
from palimpsest.study.pinning import HUB_NAME


def push(folder: Path, repo: str, *, public: bool = False, merged: bool = False, license: str | None = None) -> str:
    """Verify a model's files, upload them with manifest and card, and return the address of the commit.

    A model that is kept as adapters is uploaded as one adapter over its base on the Hub, or `merged`. A new repository is private
    unless `public`. Raises UserError for a folder that is no unlearned model, for an adapter whose base is not on the Hub, and
    for a refusal of the Hub.
    """
    if "/" not in repo or not HUB_NAME.fullmatch(repo):
        raise UserError(f"{repo}: not a name on the Hub, such as org/name")
    root = next((parent for parent in folder.resolve().parents if (parent / CONFIG).is_file()), None)
    if root is None:
        raise UserError(f"{folder}: not in a folder of results, which has {CONFIG}")
    results = open_results(root)
    model = next((each for each in unlearned(results) if each.made.folder == folder.resolve()), None)
    if model is None:
        raise UserError(f"{folder}: not an unlearned model with weights; it is the folder `model` of a variant")
    below = layers(results, model.made)
    for each in below:
        verify_artefact(each.folder / MANIFEST)
    if is_adapter(model.made) and not merged and base_of(below[-1])[1] is None:
        raise UserError(f"{folder}: an adapter, whose base is not on the Hub; use --merged")
    card = card_text(results, model, license, merged=merged).encode()
    # A merged model may be larger than the machine's folder for temporary files.
    with TemporaryDirectory(dir=root.parent if merged else None, prefix=".push-") as place:
        paths = [*files_of(results, model.made, Path(place), merged=merged), folder / MANIFEST]
        files = [CommitOperationAdd(path.name, str(path)) for path in paths]
        api = HfApi()
        try:
            api.create_repo(repo, private=not public, exist_ok=True)
            message = f"{model.name} of the study {results.study}"
            commit = api.create_commit(repo, [CommitOperationAdd(CARD, card), *files], commit_message=message)
        except Exception as error:  # which errors the network raises depends on the HTTP library of the hub's version
            raise UserError(f"{repo}: the Hub refused or cannot be reached: {first_line(error)}") from None
    return str(commit.commit_url)
