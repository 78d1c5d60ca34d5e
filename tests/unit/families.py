"""A small random model of every family of causal language models that transformers has; `python families.py` reports on them."""

from typing import Any

import torch
from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

VOCABULARY = 60
FAMILIES = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)

# Where a config has a setting of such a name, it gets this value.
NAMES = {
    VOCABULARY: "vocab_size vocab_size_per_layer_input",
    32: "hidden_size d_model n_embd embedding_dim emb_dim dim word_embed_proj_dim embedding_size input_embedding_size"
    " output_embedding_size lru_width attention_hidden_size output_channels",
    48: "intermediate_size ffn_dim decoder_ffn_dim encoder_ffn_dim n_inner ffn_hidden_size d_inner dim_ff dff feed_forward_size"
    " mlp_dim",
    4: "num_hidden_layers n_layer n_layers num_layers decoder_layers num_decoder_layers encoder_layers num_encoder_layers"
    " num_attention_heads n_head n_heads num_heads attention_heads decoder_attention_heads encoder_attention_heads"
    " num_decoder_attention_heads num_encoder_attention_heads linear_num_heads num_experts n_routed_experts num_local_experts"
    " moe_num_experts laurel_rank rotary_dim time_step_rank mm_tokens_per_image",
    2: "num_key_value_heads num_kv_heads linear_num_key_heads linear_num_value_heads index_n_heads n_mamba_heads eos_token_id"
    " num_experts_per_tok moe_topk num_experts_per_token moe_k",
    8: "head_dim dim_head d_head attention_head_size kv_channels attention_head_dim linear_key_head_dim linear_value_head_dim"
    " linear_head_dim index_head_dim kv_lora_rank q_lora_rank o_lora_rank qk_nope_head_dim qk_rope_head_dim v_head_dim"
    " rope_head_dim mamba_d_state mamba_n_heads mamba_d_head mamba_dt_rank mamba_chunk_size ssm_state_size mamba_num_heads"
    " mamba_head_dim chunk_size state_size mamba_headdim query_pre_attn_scalar hidden_size_per_layer_input",
    64: "max_position_embeddings n_positions n_ctx max_seq_len mamba_d_ssm",
    16: "moe_intermediate_size expert_ffn_hidden_size shared_expert_intermediate_size shared_intermediate_size"
    " shared_experts_intermediate_size qk_head_dim router_hidden_size",
    1: "n_group topk_group num_expert_group n_shared_experts n_groups mamba_ngroups bos_token_id decoder_start_token_id",
    0: "pad_token_id",
    28: "image_size",
    14: "patch_size",
    58: "image_token_index",
    57: "boi_token_index",
    56: "eoi_token_index",
}
SIZES = {name: value for value, names in NAMES.items() for name in names.split()}

DECODER = (
    "bert bert-generation big_bird camembert data2vec-text electra ernie megatron-bert rembert roberta roberta-prelayernorm"
    " roc_bert roformer xlm-roberta xlm-roberta-xl xmod reformer"
)
# Attention over latent heads, which has as many keys as queries.
LATENT = (
    "axk1 axk2 deepseek_v2 deepseek_v3 deepseek_v32 glm4_moe_lite glm_moe_dsa longcat_flash minicpm3 youtu kimi_linear"
    " bailing_hybrid dots3_note_text"
)
MIXED = ["linear_attention", "full_attention"] * 2
CONVOLVED = ["conv", "full_attention"] * 2
# What some families need besides; layers of each kind that a family has are there.
OWN: dict[str, dict[str, Any]] = {
    "bailing_hybrid": {"layer_group_size": 2},
    "bamba": {"attn_layer_indices": [1, 3]},
    "cohere_compass_text": {
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}}
    },
    "dbrx": {
        "attn_config": {"rope_theta": 1e4, "kv_n_heads": 2, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 48, "hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "dots3_note_text": {
        "swa_q_lora_rank": 8, "swa_kv_lora_rank": 8, "swa_head_dim": 16, "swa_qk_nope_head_dim": 8, "swa_v_head_dim": 8,
        "swa_num_attention_heads": 4, "swa_num_key_value_heads": 4,
    },
    "gemma3n_text": {
        "num_kv_shared_layers": 2, "layer_types": ["sliding_attention", "full_attention"] * 2, "intermediate_size": 48,
        "activation_sparsity_pattern": None,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "granitemoehybrid": {"layer_types": MIXED},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "kimi_linear": {"layer_types": MIXED},
    "lfm2": {"layer_types": CONVOLVED},
    "lfm2_moe": {"layer_types": CONVOLVED},
    "lfm3": {"layer_types": CONVOLVED},
    "mamba2": {"num_heads": 8},
    "qwen4_exp_text": {
        "layer_types": ["linear_attention", "indexed_attention"] * 2, "indexer_n_heads": 2, "indexer_kv_heads": 1,
        "indexer_head_dim": 8, "indexer_budget": 512, "indexer_compress_ratio": 2, "ngram_vocab_size_base": 100,
        "ple_embed_dim": 8, "hc_lowrank": 4, "split_ngram_parts": 1, "make_ngram_vocab_size_divisible_by": 4,
    },
    "reformer": {
        "axial_pos_shape": [8, 8], "axial_pos_embds_dim": [16, 16], "attn_layers": ["local", "lsh"], "num_hidden_layers": 2,
        "local_attn_chunk_length": 8, "lsh_attn_chunk_length": 8, "num_buckets": 4,
    },
    "roc_bert": {
        "pronunciation_vocab_size": 50, "shape_vocab_size": 50, "pronunciation_embed_dim": 16, "shape_embed_dim": 16,
    },
    "xmod": {"default_language": "en_XX"},
    "zamba": {"layers_block_type": ["linear_attention", "hybrid"] * 2, "num_key_value_heads": 4},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"] * 2, "num_key_value_heads": 4, "n_mamba_heads": 8},
    "zaya": {"num_experts_per_tok": 1},
}  # fmt: skip
for _kind in DECODER.split():
    OWN.setdefault(_kind, {})["is_decoder"] = True
for _kind in LATENT.split():
    OWN.setdefault(_kind, {})["num_key_value_heads"] = 4
for _kind in ("zamba", "zamba2"):
    OWN[_kind] |= {"attention_hidden_size": 64, "attention_head_dim": 16}
NOT_BUILT = {
    "blt": "it reads patches of bytes, by five configs whose sizes depend on each other",
    "dots3_note": "images and sounds in a config of its own, whose text is dots3_note_text",
    "gemma3n": "images by the timm package, which is not installed; its text is gemma3n_text",
    "gemma4_assistant": "it drafts for another model, whose states it reads",
    "gemma4_unified_assistant": "it drafts for another model, whose states it reads",
    "musicgen": "it reads codes of sounds",
    "musicgen_melody": "it reads codes of sounds",
    "phi4_multimodal": "its encoder of sounds has layers of a fixed width",
    "qwen4_exp": "images in a config of its own, whose text is qwen4_exp_text",
}
LARGEST = 5_000_000


def small_config(kind: str, **changes: Any) -> Any:
    """Return a small config of a family; changes are those of its text."""
    given = CONFIG_MAPPING[kind]().to_dict()
    settings = _small(given) | OWN.get(kind, {})
    if "text_config" in settings:
        settings["text_config"] |= changes
    else:
        settings |= changes
    return CONFIG_MAPPING[kind](**settings)


def build_family(kind: str, *, std: float = 0.3, **changes: Any) -> Any:
    """Return always the same small model of a family, without dropout, as `load_model` would load it."""
    config = small_config(kind, **changes)
    attention = "sdpa" if MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]._supports_sdpa else "eager"
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    # Small random weights give nearly uniform predictions; larger ones make a wrong mask visible.
    for parameter in model.parameters():
        if parameter.ndim >= 2 and parameter.is_floating_point():
            torch.nn.init.normal_(parameter, std=std)
    return model.eval()


def count_parameters(kind: str) -> int:
    """Return how many parameters the small model of a family has, without making it."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in AutoModelForCausalLM.from_config(small_config(kind)).parameters())


def _small(settings: dict[str, Any]) -> dict[str, Any]:
    small: dict[str, Any] = {
        name: SIZES[name] for name, value in settings.items() if name in SIZES and not isinstance(value, list)
    }
    for name, value in settings.items():
        if isinstance(value, dict) and value.get("model_type"):
            small[name] = _small(value) | {"model_type": value["model_type"]}
    return small


if __name__ == "__main__":
    from palimpsest.errors import UserError
    from palimpsest.models.batches import exact_batches
    from palimpsest.models.layouts import exact_layouts

    for _kind in FAMILIES:
        try:
            _found = NOT_BUILT.get(_kind) or (exact_layouts(_model := build_family(_kind)), exact_batches(_model))
        except UserError as error:
            _found = error
        print(f"{_kind}: {_found}")
