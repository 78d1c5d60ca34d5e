"""The attacks: one file each in this folder, and the entry points of other packages.

The name of an attack is its file name with `-` for `_`, or its entry point in the group `palimpsest.attacks`.
"""

from palimpsest.attacks.base import Attack
from palimpsest.plugins import Plugins

ATTACKS: Plugins[Attack] = Plugins("attack", __name__, Attack)  # type: ignore[type-abstract]
list_attacks, module_name, load_attack = ATTACKS.list, ATTACKS.module_name, ATTACKS.load
