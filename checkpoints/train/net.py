"""The model: a small Llama, with RoPE in GGUF's own layout (neighbouring pairs), and LoRA."""
import math

import torch
import torch.nn.functional as F
from torch import nn


class Linear(nn.Module):
    """A matrix with an optional low-rank adapter."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / math.sqrt(inputs))
        self.a = self.b = None

    def adapt(self, rank, alpha):
        self.a = nn.Parameter(torch.randn(rank, self.weight.shape[1]) / math.sqrt(self.weight.shape[1]))
        self.b = nn.Parameter(torch.zeros(self.weight.shape[0], rank))
        self.scale = alpha / rank

    def forward(self, x):
        y = F.linear(x, self.weight)
        if self.a is not None:
            y = y + F.linear(F.linear(x, self.a), self.b) * self.scale
        return y


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


def rope(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv, self.size = c["heads"], c["kv_heads"], c["width"] // c["heads"]
        self.attn_norm, self.ffn_norm = Norm(c["width"]), Norm(c["width"])
        self.attn_q, self.attn_output = Linear(c["width"], c["width"]), Linear(c["width"], c["width"])
        self.attn_k, self.attn_v = Linear(c["width"], self.kv * self.size), Linear(c["width"], self.kv * self.size)
        self.ffn_gate, self.ffn_up = Linear(c["width"], c["ffn"]), Linear(c["width"], c["ffn"])
        self.ffn_down = Linear(c["ffn"], c["width"])

    def forward(self, x, cos, sin, mask):
        n, t, _ = x.shape
        h = self.attn_norm(x)
        q = rope(self.attn_q(h).view(n, t, self.heads, self.size).transpose(1, 2), cos, sin)
        k = rope(self.attn_k(h).view(n, t, self.kv, self.size).transpose(1, 2), cos, sin)
        v = self.attn_v(h).view(n, t, self.kv, self.size).transpose(1, 2)
        groups = self.heads // self.kv
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        w = (q @ k.transpose(-1, -2) / math.sqrt(self.size) + mask).softmax(-1)
        x = x + self.attn_output((w @ v).transpose(1, 2).reshape(n, t, -1))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Net(nn.Module):
    def __init__(self, c, embeddings):
        super().__init__()
        self.c, self.sparse = c, False  # sparse: gradients of the embeddings, for SparseAdam
        self.token_embd = nn.Parameter(torch.tensor(embeddings))
        self.blk = nn.ModuleList(Block(c) for _ in range(c["layers"]))
        self.output_norm = Norm(c["width"])

    def forward(self, ids, lengths):
        """Returns the final hidden state of each sequence's last token; ids are padded on the right."""
        t, size = ids.shape[1], self.c["width"] // self.c["heads"]
        angle = torch.arange(t)[:, None] * 10000.0 ** (-torch.arange(0, size, 2) / size)
        mask = torch.full((t, t), float("-inf")).triu(1)
        x = F.embedding(ids, self.token_embd, sparse=self.sparse)
        for block in self.blk:
            x = block(x, angle.cos(), angle.sin(), mask)
        return self.output_norm(x[torch.arange(len(ids)), lengths - 1])

    def linears(self):
        """Yields (GGUF name, matrix) of everything an adapter can change."""
        for i, block in enumerate(self.blk):
            for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
                yield f"blk.{i}.{name}", getattr(block, name)


def pad(batch):
    """Makes (ids, lengths) of a list of token lists."""
    lengths = torch.tensor([len(b) for b in batch])
    ids = torch.zeros(len(batch), int(lengths.max()), dtype=torch.long)
    for i, b in enumerate(batch):
        ids[i, : len(b)] = torch.tensor(b)
    return ids, lengths
