"""Chat templates in the shapes of ten families of models, written here, with small tokenizers that have their special tokens."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from test_prompts import byte_level, metaspace
from tokenizers import AddedToken, processors
from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Family:
    """The shape of a family: its tokenizer, its template, and what that writes around QUESTION and ANSWER."""

    make: Callable[[], PreTrainedTokenizerFast]
    template: str
    prompt: str
    answer: str
    """What stands after the prompt, up to the token that ends the answer."""
    trailing: str = ""
    """What the template writes after that token."""
    system: str | None = None
    """The prompt with the system message SYSTEM; None: the template raises an error."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings that the template needs."""

    def filled(self, text: str, question: str, answer: str = "") -> str:
        return text.replace("QUESTION", question).replace("ANSWER", answer)

    @property
    def end(self) -> str:
        """The token that ends an answer."""
        return self.answer.partition("ANSWER")[2].strip()


CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' ~ message.role ~ '\n' ~ message.content ~ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
FIRST_SYSTEM = "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\nDEFAULT<|im_end|>\n' }}{% endif %}"
# The system message comes off the list of messages.
SPLIT = (
    "{% if messages[0].role == 'system' %}{% set said, turns = messages[0].content, messages[1:] %}"
    "{% else %}{% set said, turns = '', messages %}{% endif %}"
)
LLAMA_3 = (
    "{{ bos_token }}"
    + SPLIT
    + "{% if date_string is not defined %}{% set date_string = DATE %}{% endif %}"
    + "{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' ~ date_string ~ '\n\n' ~ said | trim ~ '<|eot_id|>' }}"
    + "{% for turn in turns %}{{ '<|start_header_id|>' ~ turn.role ~ '<|end_header_id|>\n\n' }}"
    + "{{ turn.content | trim ~ '<|eot_id|>' }}{% endfor %}"
    + "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{% for turn in turns %}{% set role = 'model' if turn.role == 'assistant' else turn.role %}"
    "{{ '<start_of_turn>' ~ role ~ '\n' ~ (said if loop.first else '') ~ turn.content | trim ~ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


def _with(made: PreTrainedTokenizerFast, *special: str | AddedToken) -> PreTrainedTokenizerFast:
    tokens = [AddedToken(each, normalized=False, special=True) if isinstance(each, str) else each for each in special]
    made.add_special_tokens({"additional_special_tokens": tokens})
    return made


def _llama_3() -> PreTrainedTokenizerFast:
    made = byte_level("<|begin_of_text|> $A", bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>")
    return _with(made, "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")


def _chatml() -> PreTrainedTokenizerFast:
    made = byte_level(eos_token="<|im_end|>", pad_token="<|endoftext|>")
    made.add_tokens([AddedToken("</think>", special=False)])
    return made


def _gemma() -> PreTrainedTokenizerFast:
    return _with(metaspace(closes_texts=False), "<start_of_turn>", "<end_of_turn>")


def _phi() -> PreTrainedTokenizerFast:
    """Its special tokens take the blanks after them, and it adds no BOS."""
    names = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>")
    made = _with(metaspace(closes_texts=False), *(AddedToken(name, rstrip=True, special=True) for name in names))
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    made.eos_token = made.pad_token = "<|endoftext|>"
    return made


def _mistral() -> PreTrainedTokenizerFast:
    return _with(metaspace(closes_texts=False), "[INST]", "[/INST]")


def _llama_2() -> PreTrainedTokenizerFast:
    return metaspace(closes_texts=False)


def _header(date: str, system: str = "") -> str:
    system_turn = f"<|start_header_id|>system<|end_header_id|>\n\nToday Date: {date}\n\n{system}<|eot_id|>"
    turns = "<|start_header_id|>user<|end_header_id|>\n\nQUESTION<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    return f"<|begin_of_text|>{system_turn}{turns}"


def _turns(system: str) -> str:
    return f"{system}<|im_start|>user\nQUESTION<|im_end|>\n<|im_start|>assistant\n"


ASSISTANT, DEFAULT = "<|im_start|>system\nSYSTEM<|im_end|>\n", "<|im_start|>system\nDEFAULT<|im_end|>\n"
THINK = "<think>\n\n</think>\n\n"
FAMILIES = {
    "llama-3.1": Family(
        _llama_3,
        LLAMA_3.replace("DATE", "'26 Jul 2024'"),
        _header("26 Jul 2024"),
        "ANSWER<|eot_id|>",
        system=_header("26 Jul 2024", "SYSTEM"),
    ),
    "llama-3.2": Family(
        _llama_3,
        LLAMA_3.replace("DATE", "strftime_now('%d %b %Y')"),
        _header("02 Mar 2024"),
        "ANSWER<|eot_id|>",
        system=_header("02 Mar 2024", "SYSTEM"),
        settings={"date": "2024-03-02"},
    ),
    "qwen-2.5": Family(_chatml, FIRST_SYSTEM + CHATML, _turns(DEFAULT), "ANSWER<|im_end|>", "\n", _turns(ASSISTANT)),
    "qwen-3": Family(
        _chatml,
        "{% for turn in messages %}{{ '<|im_start|>' ~ turn.role ~ '\n' }}"
        f"{{% if loop.last and turn.role == 'assistant' %}}{{{{ '{THINK}' }}}}{{% endif %}}"
        "{{ turn.content ~ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
        f"{{% if enable_thinking is defined and not enable_thinking %}}{{{{ '{THINK}' }}}}{{% endif %}}{{% endif %}}",
        _turns("") + THINK,
        "ANSWER<|im_end|>",
        "\n",
        _turns(ASSISTANT) + THINK,
    ),
    "gemma-2": Family(
        _gemma,
        "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{% set said, turns = '', messages %}" + GEMMA,
        "<s><start_of_turn>user\nQUESTION<end_of_turn>\n<start_of_turn>model\n",
        "ANSWER<end_of_turn>",
        "\n",
    ),
    "gemma-3": Family(
        _gemma,
        "{{ bos_token }}" + SPLIT + "{% if said %}{% set said = said ~ '\n\n' %}{% endif %}" + GEMMA,
        "<s><start_of_turn>user\nQUESTION<end_of_turn>\n<start_of_turn>model\n",
        "ANSWER<end_of_turn>",
        "\n",
        "<s><start_of_turn>user\nSYSTEM\n\nQUESTION<end_of_turn>\n<start_of_turn>model\n",
    ),
    "phi-3.5": Family(
        _phi,
        "{% for turn in messages %}{{ '<|' ~ turn.role ~ '|>\n' ~ turn.content ~ '<|end|>\n' }}{% endfor %}"
        "{{ '<|assistant|>\n' if add_generation_prompt else eos_token }}",
        "<|user|>\nQUESTION<|end|>\n<|assistant|>\n",
        "ANSWER<|end|>",
        "\n<|endoftext|>",
        "<|system|>\nSYSTEM<|end|>\n<|user|>\nQUESTION<|end|>\n<|assistant|>\n",
    ),
    # The system message goes to the last question, if nothing comes after it.
    "mistral": Family(
        _mistral,
        "{{ bos_token }}" + SPLIT + "{% for turn in turns %}{% if turn.role == 'assistant' %}{{ ' ' ~ turn.content ~ eos_token }}"
        "{% elif said and loop.last %}{{ '[INST] ' ~ said ~ '\n\n' ~ turn.content ~ '[/INST]' }}"
        "{% else %}{{ '[INST] ' ~ turn.content ~ '[/INST]' }}{% endif %}{% endfor %}",
        "<s>[INST] QUESTION[/INST]",
        " ANSWER</s>",
        system="<s>[INST] SYSTEM\n\nQUESTION[/INST]",
    ),
    # Its roles are ordinary text.
    "zephyr": Family(
        _llama_2,
        "{% for turn in messages %}{{ '<|' ~ turn.role ~ '|>\n' ~ turn.content ~ eos_token ~ '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
        "<|user|>\nQUESTION</s>\n<|assistant|>\n",
        "ANSWER</s>",
        "\n",
        "<|system|>\nSYSTEM</s>\n<|user|>\nQUESTION</s>\n<|assistant|>\n",
    ),
    "llama-2": Family(
        _llama_2,
        SPLIT + "{% for turn in turns %}{% if turn.role == 'user' %}"
        "{% set text = '<<SYS>>\n' ~ said ~ '\n<</SYS>>\n\n' ~ turn.content if said and loop.first else turn.content %}"
        "{{ bos_token ~ '[INST] ' ~ text | trim ~ ' [/INST]' }}"
        "{% else %}{{ ' ' ~ turn.content | trim ~ ' ' ~ eos_token }}{% endif %}{% endfor %}",
        "<s>[INST] QUESTION [/INST]",
        " ANSWER </s>",
        system="<s>[INST] <<SYS>>\nSYSTEM\n<</SYS>>\n\nQUESTION [/INST]",
    ),
    "smollm2": Family(_chatml, FIRST_SYSTEM + CHATML, _turns(DEFAULT), "ANSWER<|im_end|>", "\n", _turns(ASSISTANT)),
}


@cache
def tokenizer_of(family: str) -> Any:
    """Return the tokenizer of a family with its template."""
    made = FAMILIES[family].make()
    made.chat_template = FAMILIES[family].template
    return made
