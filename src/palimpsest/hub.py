"""Repositories of the Hugging Face Hub at pinned revisions; cached ones need no network."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
    """Return the address of a repository's page, where users request access."""
    return f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{repo}"


def is_offline() -> bool:
    """Return whether HF_HUB_OFFLINE forbids downloads."""
    return constants.HF_HUB_OFFLINE


def fetch_snapshot(repo: str, revision: str, kind: Kind, patterns: Sequence[str], *, whole: Callable[[Path], bool]) -> Path:
    """Return the folder with a repository's files at a revision; `whole` decides whether a cached folder is complete.

    Raises UserError if the Hub is unreachable or denies access.
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
    with _explained(repo, revision, kind, cached=True):
        # This request fails at once, while a download retries for half a minute.
        HfApi().repo_info(repo, repo_type=kind, revision=revision, timeout=TIMEOUT)
        return snapshot(local_files_only=False)


def commit_of(repo: str, revision: str | None, kind: Kind) -> str:
    """Return the commit of a branch or tag, without one of the main branch; raises UserError if the Hub does not say."""
    with _explained(repo, revision, kind, cached=False):
        return str(HfApi().repo_info(repo, repo_type=kind, revision=revision, timeout=TIMEOUT).sha)


@contextmanager
def _explained(repo: str, revision: str | None, kind: Kind, *, cached: bool) -> Iterator[None]:
    """Convert errors of the Hub within this block to UserError; `cached` says whether the cache or a folder would do instead."""
    place = f"{repo} at {revision}" if revision else repo
    missing, folder = ("not in the cache, and ", "or name a folder") if cached else ("", "")
    try:
        yield
    except GatedRepoError:
        raise UserError(f"{place}: gated; request access at {page(repo, kind)} and log in with `hf auth login`") from None
    except RevisionNotFoundError:
        wanted = "a commit" if cached else "a branch, tag or commit"
        raise UserError(f"{place}: the Hub has no such revision; it must be {wanted} of this {NAMES[kind]}") from None
    except RepositoryNotFoundError:
        raise UserError(
            f"{place}: the Hub has no such {NAMES[kind]}, or it is private; check the name, or log in with `hf auth login`"
        ) from None
    except OfflineModeIsEnabled:
        raise UserError(f"{place}: {missing}HF_HUB_OFFLINE forbids downloads; unset it once{folder and f', {folder}'}") from None
    except Exception as error:  # which errors the network raises depends on the HTTP library of the hub's version
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{place}: {missing}the Hub cannot be reached ({reason}){folder and f'; {folder}'}") from None
