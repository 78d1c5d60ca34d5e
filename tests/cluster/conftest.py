"""The cluster that tests share."""

import os
import shutil
from collections.abc import Iterator

import pytest
from slurm_cluster import Cluster, cluster


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """A cluster of this machine; without Slurm, or not as root, the test is skipped."""
    if os.geteuid() != 0 or not shutil.which("slurmctld", path=f"/usr/sbin:{os.environ['PATH']}"):
        pytest.skip("needs root and Slurm: scripts/slurm_local.sh install")
    pytest.importorskip("snakemake_executor_plugin_slurm")
    with cluster() as running:
        yield running
