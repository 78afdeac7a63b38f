"""Writes a checkpoint of ours in the layouts of Hugging Face and PEFT: huggingface.py CHECKPOINT TOKENIZER.model TO

So the way from there to here, which convert_test.sh goes with llama.cpp's converters, can be tried without a download. GGUF
keeps the two halves of a rotated pair beside each other, Hugging Face apart: rows of q and k are turned back.
"""
import json
import os
import shutil
import struct
import sys

import numpy as np
import torch

sys.path.insert(0, os.path.join(os.environ["LLAMA_CPP_SRC"], "gguf-py"))
import gguf  # noqa: E402

NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
         "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}


def read(path):
    """Returns the fields and the tensors of a GGUF file."""
    r = gguf.GGUFReader(path)
    return {k: v.contents() for k, v in r.fields.items()}, {t.name: np.array(t.data) for t in r.tensors}


def halves(rows, heads):
    return rows.reshape(heads, -1, 2, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


def layer(name):
    """Turns blk.0.attn_q into model.layers.0.self_attn.q_proj."""
    _, i, part = name.split(".")
    return f"model.layers.{i}.{NAMES[part]}"


def save(path, tensors):
    """Writes the safetensors format: the length of a JSON header, the header, the data."""
    kinds, head, at = {np.dtype("float16"): "F16", np.dtype("float32"): "F32"}, {}, 0
    for name, x in tensors.items():
        head[name] = {"dtype": kinds[x.dtype], "shape": list(x.shape), "data_offsets": [at, at + x.nbytes]}
        at += x.nbytes
    text = json.dumps(head).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.writelines(np.ascontiguousarray(x).tobytes() for x in tensors.values())


def base(path, tokenizer, to):
    fields, tensors = read(path)
    heads = {"attn_q": fields["llama.attention.head_count"], "attn_k": fields["llama.attention.head_count_kv"]}
    out = {"model.embed_tokens.weight": tensors["token_embd.weight"], "model.norm.weight": tensors["output_norm.weight"]}
    for name, x in tensors.items():
        if name.startswith("blk."):
            name = name[: -len(".weight")]
            part = name.split(".")[-1]
            out[layer(name) + ".weight"] = halves(x, heads[part]) if part in heads else x
    os.makedirs(to)
    save(os.path.join(to, "model.safetensors"), out)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float16", "tie_word_embeddings": True,
        "hidden_size": fields["llama.embedding_length"], "num_hidden_layers": fields["llama.block_count"], "hidden_act": "silu",
        "intermediate_size": fields["llama.feed_forward_length"], "num_attention_heads": heads["attn_q"], "num_key_value_heads": heads["attn_k"],
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": fields["llama.context_length"],
        "vocab_size": len(tensors["token_embd.weight"]), "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
    }
    added = {token: i for i, (token, kind) in enumerate(zip(fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]))
             if kind == gguf.TokenType.USER_DEFINED}
    for name, doc in (("config.json", config), ("added_tokens.json", added), ("tokenizer_config.json", {"add_bos_token": True, "add_eos_token": False, "add_prefix_space": True})):
        with open(os.path.join(to, name), "w", encoding="utf-8") as f:
            json.dump(doc, f, indent=1)
    shutil.copy(tokenizer, os.path.join(to, "tokenizer.model"))
    return heads


def adapter(path, heads, to):
    fields, tensors = read(path)
    out, targets, rank = {}, set(), 0
    for name, x in tensors.items():
        name, half = name.replace(".weight.lora_", " ").split()
        part = name.split(".")[-1]
        if half == "b" and part in heads:
            x = halves(x, heads[part])
        targets.add(NAMES[part].split(".")[-1])
        rank = len(x) if half == "a" else rank
        out[f"base_model.model.{layer(name)}.lora_{half.upper()}.weight"] = torch.tensor(x)
    os.makedirs(to)
    torch.save(out, os.path.join(to, "adapter_model.bin"))
    with open(os.path.join(to, "adapter_config.json"), "w", encoding="utf-8") as f:
        json.dump({"peft_type": "LORA", "r": rank, "lora_alpha": fields["adapter.lora.alpha"], "target_modules": sorted(targets),
                   "base_model_name_or_path": "base"}, f)


if __name__ == "__main__":
    checkpoint, tokenizer, to = sys.argv[1:]
    heads = base(os.path.join(checkpoint, "base-f16.gguf"), tokenizer, os.path.join(to, "base"))
    for name in ("mapper", "verdict"):
        adapter(os.path.join(checkpoint, name + "-lora-f16.gguf"), heads, os.path.join(to, name))
