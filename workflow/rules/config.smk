# Before Snakemake reads `config.yaml` and merges what was given: of a broken file it would name neither line nor name.
import sys
from pathlib import Path

SOURCE = Path(str(workflow.current_basedir)).parents[1] / "src"
sys.path.insert(0, str(SOURCE))

from palimpsest.study.messages import one_line

# The config is made of classes that installed packages bring too, of which one may be broken.
with one_line():
    from palimpsest.study.files import open_layers

# As a module, the workflow gets its config from another, which has read its own files.
own = [] if workflow.modifier.skip_configfile else ["config.yaml"]
layers = open_layers([*workflow.configfiles, *own], workflow.overwrite_configfiles, workflow.config_settings.config_args)
