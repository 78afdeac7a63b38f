"""Writes the base and the adapter as GGUF files; LLAMA_CPP_SRC says where gguf-py is."""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.environ["LLAMA_CPP_SRC"], "gguf-py"))
import gguf  # noqa: E402
import torch  # noqa: E402

from net import Net  # noqa: E402


def half(parameter):
    return parameter.detach().numpy().astype(np.float16)


def base(path, net, tokenizer, special, name):
    """Writes the weights and the vocabulary; special is the set of tokens that are one piece wherever they stand."""
    c, kinds = net.c, gguf.TokenType
    w = gguf.GGUFWriter(path, "llama")
    w.add_name(name)
    w.add_context_length(512)
    w.add_embedding_length(c["width"])
    w.add_block_count(c["layers"])
    w.add_feed_forward_length(c["ffn"])
    w.add_head_count(c["heads"])
    w.add_head_count_kv(c["kv_heads"])
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_dimension_count(c["width"] // c["heads"])
    w.add_vocab_size(len(tokenizer))
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    pieces, scores, types = [], [], []
    for i in range(len(tokenizer)):
        piece = tokenizer.id_to_piece(i)
        kind = kinds.NORMAL
        if tokenizer.is_unknown(i):
            kind = kinds.UNKNOWN
        elif tokenizer.is_control(i):
            kind = kinds.CONTROL
        elif tokenizer.is_byte(i):
            kind = kinds.BYTE
        elif piece in special:
            kind = kinds.USER_DEFINED
        pieces.append(piece.encode())
        scores.append(float(tokenizer.get_score(i)))
        types.append(int(kind))
    w.add_token_list(pieces)
    w.add_token_scores(scores)
    w.add_token_types(types)
    w.add_bos_token_id(tokenizer.bos_id())
    w.add_eos_token_id(tokenizer.eos_id())
    w.add_unk_token_id(tokenizer.unk_id())
    w.add_add_bos_token(True)
    w.add_add_eos_token(False)
    w.add_add_space_prefix(True)
    w.add_tensor("token_embd.weight", half(net.token_embd))
    w.add_tensor("output_norm.weight", net.output_norm.weight.detach().numpy())
    for i, block in enumerate(net.blk):
        w.add_tensor(f"blk.{i}.attn_norm.weight", block.attn_norm.weight.detach().numpy())
        w.add_tensor(f"blk.{i}.ffn_norm.weight", block.ffn_norm.weight.detach().numpy())
    for tensor, linear in net.linears():
        w.add_tensor(tensor + ".weight", half(linear.weight))
    finish(w)


def load(path, c, tokenizer):
    """Returns the net of a base that was written so; its vocabulary has to be the tokenizer's."""
    r = gguf.GGUFReader(path)
    if r.fields["tokenizer.ggml.tokens"].contents() != [tokenizer.id_to_piece(i) for i in range(len(tokenizer))]:
        raise ValueError(f"{path}: its vocabulary is not that of these settings; train from nothing")
    tensors = {t.name: torch.tensor(np.array(t.data, np.float32)) for t in r.tensors}
    net = Net(c, tensors["token_embd.weight"].numpy())
    net.load_state_dict({name: tensors[name if name.endswith(".weight") else name + ".weight"] for name in net.state_dict()})
    return net


def adapter(path, net, alpha, name):
    """Writes the low-rank matrices."""
    w = gguf.GGUFWriter(path, "llama")
    w.add_name(name)
    w.add_type("adapter")
    w.add_string("adapter.type", "lora")
    w.add_float32("adapter.lora.alpha", float(alpha))
    for tensor, linear in net.linears():
        if linear.a is not None:
            w.add_tensor(tensor + ".weight.lora_a", half(linear.a))
            w.add_tensor(tensor + ".weight.lora_b", half(linear.b))
    finish(w)


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
