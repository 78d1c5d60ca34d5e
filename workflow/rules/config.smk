# Runs before Snakemake reads and merges the config files: for a broken file, Snakemake names neither the file nor the line.
import sys
from pathlib import Path

SOURCE = Path(str(workflow.current_basedir)).parents[1] / "src"
sys.path.insert(0, str(SOURCE))

from palimpsest.study.messages import one_line

# Installed packages may add classes to the config, and importing such a package may fail.
with one_line():
    from palimpsest.study.files import open_layers

# As a module, the workflow gets its config from another workflow, which has read its own files.
own = [] if workflow.modifier.skip_configfile else ["config.yaml"]
layers = open_layers([*workflow.configfiles, *own], workflow.overwrite_configfiles, workflow.config_settings.config_args)
