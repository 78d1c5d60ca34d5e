"""Config files outside Snakemake: laid one over the other as it lays them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from palimpsest.errors import UserError


def read_configs(paths: Sequence[Path]) -> dict[str, Any]:
    """Return configs laid one over the other as Snakemake does; raises UserError for a file that is no config."""
    from snakemake.utils import update_config

    config: dict[str, Any] = {}
    for path in paths:
        update_config(config, _read_config(path))
    return config


def _read_config(path: Path) -> Mapping[str, Any]:
    from snakemake.common.configfile import load_configfile
    from snakemake.exceptions import WorkflowError

    if not path.is_file():
        raise UserError(f"{path}: there is no such config")
    try:
        config: Mapping[str, Any] = load_configfile(path)
    except (WorkflowError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: no config: {' '.join(str(error).split())}") from None
    return config
