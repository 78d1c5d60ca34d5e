"""The Kubernetes profile, as far as a dry run goes."""

from pathlib import Path

import pytest
from checkout import TINY, Checkout


def test_a_dry_run_plans_the_study_on_a_storage(checkout: Checkout, tmp_path: Path) -> None:
    for plugin in ("executor_plugin_kubernetes", "storage_plugin_fs"):
        pytest.importorskip(f"snakemake_{plugin}")
    storage = ("--default-storage-provider", "fs", "--default-storage-prefix", f"{tmp_path}/storage")
    profile = ("--profile", "profiles/kubernetes", *storage, *TINY)
    assert checkout.jobs(*profile, said=f"{tmp_path}/storage/results/tofu/data/manifest.json (in storage)") == checkout.jobs(
        *TINY
    )
