"""Repositories of the Hugging Face hub at pinned revisions; from its cache, without a network, once they are there."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from palimpsest.errors import UserError

Kind = Literal["dataset", "model"]
NAMES = {"dataset": "data set", "model": "model"}
TIMEOUT = 10.0


def page(repo: str, kind: Kind) -> str:
    """Return the address of a repository's page, where access is granted."""
    return f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{repo}"


def fetch_snapshot(repo: str, revision: str, kind: Kind, patterns: Sequence[str], *, whole: Callable[[Path], bool]) -> Path:
    """Return the folder of a repository's files at a revision; `whole` says whether a cached folder has all that is needed.

    Raises UserError, one line, for a hub that cannot be reached or may not give it.
    """

    def snapshot(*, local_files_only: bool) -> Path:
        return Path(
            snapshot_download(
                repo, repo_type=kind, revision=revision, allow_patterns=list(patterns), local_files_only=local_files_only
            )
        )

    try:
        folder = snapshot(local_files_only=True)
        if whole(folder):
            return folder
    except LocalEntryNotFoundError:
        pass
    place = f"{repo} at {revision}"
    try:
        # Asked first, because it fails at once, where a download tries again for half a minute.
        HfApi().repo_info(repo, repo_type=kind, revision=revision, timeout=TIMEOUT)
        return snapshot(local_files_only=False)
    except GatedRepoError:
        raise UserError(f"{place}: gated; request access at {page(repo, kind)} and log in with `hf auth login`") from None
    except RevisionNotFoundError:
        raise UserError(f"{place}: the hub has no such revision; it must be a commit of this {NAMES[kind]}") from None
    except RepositoryNotFoundError:
        raise UserError(
            f"{place}: the hub has no such {NAMES[kind]}, or it is private; check the name, or log in with `hf auth login`"
        ) from None
    except OfflineModeIsEnabled:
        raise UserError(
            f"{place}: not in the cache, and HF_HUB_OFFLINE forbids to fetch it; unset it once, or name a folder"
        ) from None
    except Exception as error:  # which errors the network raises depends on the HTTP library of the hub's version
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{place}: not in the cache, and the hub cannot be reached ({reason}); or name a folder") from None
