"""The JSON schema of the config and `config/README.md`, both generated from the config's models."""

from __future__ import annotations

import json
from typing import Any

import yaml

from palimpsest.methods import list_methods, load_method
from palimpsest.study.files import EXTENDS
from palimpsest.study.models import Config
from palimpsest.study.places import BASE, DEFAULTS

SCHEMA = "workflow/schemas/config.schema.yaml"
REFERENCE = "config/README.md"
COMMAND = "python -m palimpsest.study write"
EXTENDED = "The file that this one builds on, relative to this one; its `study`, `description` and `results` do not apply."

INTRODUCTION = f"""\
# Configuration

<!-- Made by `{COMMAND}`; do not edit. -->

A config is one file: `snakemake --configfile config/studies/X.yaml` runs the study in it, and without `--configfile` the study is
`{BASE}`, the demo. Three things are merged key by key, while lists and numbers are replaced: the defaults of every study, the
file that the config names under `extends`, if any, and the config itself. The defaults are in
[{DEFAULTS.name}](../src/palimpsest/study/{DEFAULTS.name}): the data of TOFU, suites, attacks, presets by source, published
numbers. `study`, `description` and `results` are always a file's own. Further files of `--configfile` and entries of `--config`
are merged last. The fully resolved config is written to `results/run_config.yaml`, which is itself a valid config. Config errors
are reported in one line before any job starts, and Snakemake exits with code 2.

- **Nothing is ignored silently.** A duplicate key, a key without a value, and a value that YAML misreads (`1e-5` as text: write
  `1.0e-5`; `010` as 8, `1:30` as 90, `no` as false) are rejected with file and line. A duplicate list element, a number out of
  bounds and a setting that has no effect are rejected too. Definitions (sources, benchmarks, models, suites, attacks,
  references) that no block uses are allowed. Snakemake reads the files of `--configfile` first; if a file is not valid YAML,
  `python -m palimpsest.study check FILE` prints the line. Snakemake reads numbers inside a value of `--config` as text: put
  them in a file.
- **Names** (of a study, benchmark, model, variant, suite, attack) become folder names: letters, digits, `.`, `_`, `+` and `-`,
  starting with a letter or digit.
- **Blocks** define what to run. Each block is the product of its lists, and the study is the union of its blocks. A model that
  two blocks share is trained once and evaluated by the suites of both.
- **Patterns** select the models that settings apply to: `benchmark/split/model` under `finetuning`,
  `benchmark/split/model/method` under `methods`, `variants`, `grids` and `selections`; `*` matches any name. All matching
  patterns are merged key by key, the most specific last. A pattern with more names is more specific; of two patterns with
  equally many names, the one whose names are further right. So `tofu/forget10/*/simnpo` overrides `tofu/*/*/simnpo`, which
  overrides `tofu/*/tiny/*`. The split in a pattern must be a split that the benchmark can have. A pattern that matches nothing
  is an error, except in files that are merged before the one with the study's `blocks`: the defaults and extended files serve
  other studies too.
- **Variants** are named changes to a method's settings. `default`, the unchanged method, always exists. A block lists variants by
  name: `{{simnpo: [default, beta-4.5]}}`.
- **Grids and selections.** `grids` lists values of settings; every combination is a variant, called a trial, and `{{simnpo:
  [grid]}}` runs all of them. `{{simnpo: [selected]}}` runs the best trial: `selections` defines the rule, the seeds and the data,
  and whether each epoch of a trial is a candidate. Without a grid the candidates are the epochs of the default variant.
- **Trajectories.** A block with `trajectories` measures its methods while they unlearn: a suite after each epoch, the divergence
  from the start model, and the gradient weights. Without suites and attacks the block keeps no model; trials are made this way.
- **Repositories of the Hub** have a commit, so that a study stays the same. `palimpsest pin FILE` looks up the commit of each
  model, tokenizer and data set of a config whose revision is a branch, a tag, null or missing, and writes it into the file.
- **Commands.** `palimpsest validate --configfile FILE` checks a config and names file and line of an error; `palimpsest show
  tofu/forget10/tiny/simnpo` prints the resolved settings of a variant and the line that each comes from; `palimpsest list` names
  methods, metrics, attacks, benchmarks and shipped studies; `palimpsest init` writes a commented config to start from.
- **Reruns.** A changed setting reruns exactly the steps that depend on it; `resources`, names and descriptions change no model.
"""

METHODS = """\
## Methods

For each method: the allowed retain losses, with the default in bold, and the settings that only this method has.
"""


def make_schema() -> dict[str, Any]:
    """Return the JSON schema of a config, closed at every level."""
    schema = _tidy(Config.model_json_schema())
    schema["properties"] = {EXTENDS: {"type": "string", "default": "", "description": EXTENDED}, **schema["properties"]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """Return the schema as YAML."""
    text = yaml.safe_dump(make_schema(), sort_keys=False, width=130, allow_unicode=True)
    return f"# Made by `{COMMAND}`; do not edit.\n{text}"


def reference_text() -> str:
    """Return the reference: a table of keys for each kind of settings, in the order in which the config refers to them."""
    schema = make_schema()
    sections = [INTRODUCTION, "## Keys of a config\n", table_of_keys(schema, schema)]
    seen: set[str] = set()
    queue = _references("", schema)
    while queue:
        path, name = queue.pop(0)
        if name not in seen:
            seen.add(name)
            node = schema["$defs"][name]
            sections += [f"## {_title(name)}\n", f"At `{path}`. {node['description']}\n", table_of_keys(node, schema)]
            queue = _references(path + ".", node) + queue
    return "\n".join([*sections, METHODS, _methods()])


def _methods() -> str:
    rows = ["| method | description | retain loss | own settings |", "|---|---|---|---|"]
    for name in list_methods():
        method = load_method(name)
        own = [
            f"`{key}` ({_type(node)}, default {_literal(node['default'])}): {' '.join(node['description'].split())}"
            for key, node in method.model_json_schema()["properties"].items()
        ]
        retain = " or ".join(f"**{kind}**" if kind == method.retain_loss else kind for kind in method.retain_losses)
        rows.append(f"| `{name}` | {method.label}: {method.__doc__} | {retain} | {'<br>'.join(own)} |")
    return "\n".join(rows) + "\n"


def _tidy(node: Any) -> Any:
    """Drop titles, which repeat the names, and close mappings whose keys must be names."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidy(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    return {**tidy, "additionalProperties": False} if "patternProperties" in tidy else tidy


def _title(name: str) -> str:
    """Return a class's name as words: TinyEntry -> Tiny."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name.removesuffix("Entry")).strip()
    return words[0].upper() + words[1:]


def _references(prefix: str, node: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (path, definition) for every definition that the keys of a node refer to."""
    return [(prefix + path, name) for key, value in node["properties"].items() for path, name in _inside(key, value)]


def _inside(path: str, node: Any) -> list[tuple[str, str]]:
    if "$ref" in node:
        return [(path, node["$ref"].rpartition("/")[2])]
    found = []
    for choice in node.get("oneOf", []) + node.get("anyOf", []):
        found += _inside(path, choice)
    if "items" in node:
        found += _inside(f"{path}[]", node["items"])
    for value in _values(node):
        found += _inside(f"{path}.<{'name' if 'patternProperties' in node else 'pattern'}>", value)
    return found


def _values(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the schemas of a mapping's values, if it has any."""
    choices = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
    return [value for value in choices if isinstance(value, dict)]


def table_of_keys(node: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return the keys of a JSON schema with their types, defaults and descriptions."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, value in node["properties"].items():
        default = _default(value, schema) if key not in node.get("required", []) else "required"
        rows.append(f"| `{key}` | {_type(value)} | {default} | {' '.join(value.get('description', '').split())} |")
    return "\n".join(rows) + "\n"


def _type(node: dict[str, Any]) -> str:
    if "$ref" in node:
        title = _title(node["$ref"].rpartition("/")[2])
        return f"[{title}](#{title.lower().replace(' ', '-')})"
    for word in ("oneOf", "anyOf"):
        if word in node:
            return " or ".join(_type(choice) for choice in node[word])
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "items" in node:
        return f"list of {_type(node['items'])}"
    if node.get("type") == "object":
        values = _values(node)
        return f"mapping of {_type(values[0])}" if values else "mapping"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = ", ".join(f"{sign} {node[word]:g}" for word, sign in bounds.items() if word in node)
    return f"{node.get('type', 'anything')} {limits}".strip()


def _default(node: dict[str, Any], schema: dict[str, Any]) -> str:
    default = node.get("default")
    if isinstance(default, dict) and "$ref" in node:
        usual = schema["$defs"][node["$ref"].rpartition("/")[2]]["properties"]
        changed = {key: value for key, value in default.items() if value != usual[key].get("default", value)}
        return _literal(changed) if changed else "its own defaults"
    if default is None and not any(choice.get("type") == "null" for choice in node.get("anyOf", [])):
        return "the method's"
    return _literal(default)


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return f"`{json.dumps(value)}`"
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return f"`{text.removesuffix(chr(10)).removesuffix('...').strip()}`"
