"""The settings of judges: a model of the config, or a model behind an address."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from palimpsest.evaluation.suite import Tokens
from palimpsest.names import Name, wrong_name
from palimpsest.settings import Settings

ADDRESS = r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"
VARIABLE = r"^[A-Z][A-Z0-9_]{0,63}$"


def _address(value: str) -> str:
    if not re.fullmatch(ADDRESS, value):
        raise wrong_name("not an address: write http:// or https://, a host and a path, without a password, ? and #")
    return value


def _variable(value: str) -> str:
    # The value is not printed: it may be the key itself.
    if not re.fullmatch(VARIABLE, value):
        raise wrong_name("not the name of an environment variable (capitals, digits, _); the key itself belongs in no file")
    return value


class Judge(Settings):
    """What judges of all kinds have."""

    max_new_tokens: Tokens = 16
    """Maximum length of a reply in tokens; one word is asked for."""


class LocalJudge(Judge):
    """A model of the config, which replies greedily."""

    kind: Literal["local"]
    """A model on this machine."""
    model: Name
    """A name under `models`, with its prompt, precision and resources."""


class Api(Settings):
    """A model behind an OpenAI-compatible address."""

    url: Annotated[str, Field(json_schema_extra={"pattern": ADDRESS}), AfterValidator(_address)]
    """The address, to which `/chat/completions` is added, such as the address of your own server."""
    model: Annotated[str, Field(min_length=1, max_length=200)]
    """The name of the model at this address; one that stays the same, not one such as `latest`."""
    key: Annotated[str, Field(json_schema_extra={"pattern": VARIABLE}), AfterValidator(_variable)] | None = None
    """The name of the environment variable that holds the key; null: the server needs none."""
    timeout: Annotated[float, Field(ge=0.1, le=3600)] = 60.0
    """Seconds to wait for a reply."""
    retries: Annotated[int, Field(ge=0, le=20)] = 5
    """How often a request is sent again if the server is busy or silent, after 1, 2, 4 ... seconds or as the server asks."""


class ApiJudge(Judge, Api):
    """A model behind an OpenAI-compatible address, which gets the questions and the answers."""

    kind: Literal["api"]
    """A model behind an address."""


AnyJudge = Annotated[LocalJudge | ApiJudge, Field(discriminator="kind")]
