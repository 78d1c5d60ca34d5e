"""Where configs are: the study of a command that names none, the shipped studies, and what is merged under every study."""

from pathlib import Path

BASE = Path("config.yaml")
# A copy of it, from which a deployment starts, and on which the shipped studies build.
DEPLOYED = Path("config", "config.yaml")
STUDIES = Path("config", "studies")
DEFAULTS = Path(__file__).with_name("defaults.yaml")
