# Reads the config without Snakemake, which knows no defaults and no `extends`.
import sys
from pathlib import Path

SOURCE = Path(str(workflow.current_basedir)).parents[1] / "src"
sys.path.insert(0, str(SOURCE))

from palimpsest.study.messages import one_line

# Installed packages may add classes to the config, and importing such a package may fail.
with one_line():
    from palimpsest.study import files
    from palimpsest.study.places import BASE

    # As a module, the workflow gets its config from another workflow, which has read its own files.
    if workflow.modifier.skip_configfile:
        layers = files.module_layers(config, workflow.configfiles)
    else:
        named = workflow.overwrite_configfiles or [BASE]
        layers = files.read_layers(named, workflow.config_settings.config_args or ())
        workflow.configfiles = files.list_files(named)
    config = files.merge_layers(layers)
