"""The stages of learning the mapping: base and adapters. Each is a function of the settings and of what came before."""
import hashlib
import json
import os
import time

import sentencepiece
import torch
import torch.nn.functional as F

from net import pad
from optim import ahead, bucketed, schedule, step
from prompts import Prompts, codes


class Cache:
    """Keeps what a stage made, under a name that depends on the settings of the stage, how long it took, and its losses."""

    def __init__(self, folder, log):
        self.folder, self.log, self.used = folder, log, []

    def path(self, name, settings):
        stem, suffix = os.path.splitext(name)
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        return os.path.join(self.folder, f"{stem}-{key}{suffix}")

    def make(self, name, settings, stage):
        """Has stage write a file, unless it is there, and returns its path. It gets its name when it is whole."""
        path = self.path(name, settings)
        if not os.path.exists(path):
            start, part = time.time(), ".part".join(os.path.splitext(path))
            stage(part)
            with open(path + ".json", "w", encoding="utf-8") as f:
                json.dump({"seconds": round(time.time() - start, 1), "losses": self.log.take()}, f)
            os.replace(part, path)
        self.used.append(path + ".json")
        return path

    def notes(self):
        """Returns what is noted of the stages that were used: [{seconds, losses}]."""
        out = []
        for path in self.used:
            with open(path, encoding="utf-8") as f:
                out.append(json.load(f))
        return out


def fit(c, p, net, tok, labels, source, trainable, rates, log, name):
    """Trains the given groups of parameters to answer with the label's code."""
    order, prompts = {label: i for i, label in enumerate(labels)}, Prompts(tok)
    rows = torch.tensor([tok.piece_to_id(code) for code in codes(labels)])
    sentencepiece.set_random_generator_seed(c["seed"])
    optimizer = torch.optim.AdamW([{"params": group} for group in trainable], betas=(0.9, 0.98), weight_decay=0.01)
    rate = schedule(optimizer, p["steps"], rates)

    def draw():
        kind, text, label, evidence = source.draw()
        dropped = c["dropout"]["merges"] if source.random.random() < c["dropout"]["share"] else 0.0
        return prompts(kind, text, dropped, evidence), order[label]

    batches = ahead(bucketed(draw, lambda item: len(item[0]), p["batch"], source.random))
    for i in range(p["steps"]):
        rate(i)
        batch = next(batches)
        logits = net(*pad([ids for ids, _ in batch])) @ net.token_embd[rows].T
        loss = F.cross_entropy(logits, torch.tensor([label for _, label in batch]), label_smoothing=c["smoothing"])
        step(optimizer, loss, [q for group in trainable for q in group])
        log(name, i, p["steps"], loss)
    batches.close()


@torch.no_grad()
def begin(net, tok, labels, data):
    """Starts the codes at the mean place of their phrases, and the grades at random."""
    prompts = Prompts(tok)
    for code, label in zip(codes(labels), labels):
        own = [phrase for phrase, of in data.phrases if of == label]
        h = F.normalize(net(*pad([prompts("<any>", phrase) for phrase in own])), dim=1)
        net.token_embd[tok.piece_to_id(code)] = F.normalize(h.mean(0), dim=0)
    parts = F.normalize(torch.randn(3, 10, h.shape[1], generator=torch.Generator().manual_seed(0)), dim=2)
    for grade, row in prompts.grades.items():  # what grades have in common is in their digits
        net.token_embd[row] = sum(parts[i, int(digit)] for i, digit in enumerate(grade)) / 3


def base(c, p, net, tok, labels, source, log, name):
    """Trains the blocks and the codes' rows; the words' rows stay as the dictionaries made them."""
    net.requires_grad_(True)  # an adapter's training has switched it off
    first, last = (tok.piece_to_id(codes(labels)[i]) for i in (0, -1))
    grades = list(Prompts(tok).grades.values())
    keep = net.token_embd.detach().clone()
    mine = torch.zeros(len(keep), 1)
    mine[first: last + 1] = 1
    mine[grades] = 1
    hook = net.token_embd.register_hook(lambda gradient: gradient * mine)
    body = [q for n, q in net.named_parameters() if n != "token_embd" and not n.endswith((".a", ".b"))]
    fit(c, p, net, tok, labels, source, [body, [net.token_embd]], [p["rate"], p["code_rate"]], log, name)
    hook.remove()
    with torch.no_grad():  # weight decay has touched the other rows
        net.token_embd.copy_(torch.where(mine > 0, net.token_embd, keep))
    round_to_half(net)


def adapter(c, name, net, tok, labels, source, log, stage):
    """Trains low-rank matrices alone, on the layers that the settings name."""
    p = c["adapters"][name]
    torch.manual_seed(c["seed"])
    net.requires_grad_(False)
    matrices = []
    for tensor, linear in net.linears():
        linear.a = linear.b = None
        if tensor.split(".")[-1] in p["targets"]:
            linear.adapt(p["rank"], p["alpha"])
            matrices += [linear.a, linear.b]
    fit(c, p, net, tok, labels, source, [matrices], [p["rate"]], log, stage)
    round_to_half(net)
    return {tensor: (linear.a.detach(), linear.b.detach()) for tensor, linear in net.linears() if linear.a is not None}


def attach(net, matrices, p):
    """Puts an adapter's matrices, or none, into the net."""
    for tensor, linear in net.linears():
        linear.a = linear.b = None
        if tensor in matrices:
            linear.adapt(p["rank"], p["alpha"])
            linear.a.data, linear.b.data = matrices[tensor]


def mean(adapters, rank, own):
    """Returns the mean of adapters of own rank as one of the given rank and the same alpha: what the largest singular values
    of their mean product give."""
    out = {}
    for tensor in adapters[0]:
        product = sum(matrices[tensor][1] @ matrices[tensor][0] for matrices in adapters) * rank / own / len(adapters)
        u, s, vt = torch.linalg.svd(product, full_matrices=False)
        root = s[:rank].sqrt()
        out[tensor] = (root[:, None] * vt[:rank]).half().float(), (u[:, :rank] * root).half().float()
    return out


def stack(rows):
    return torch.stack(rows)


@torch.no_grad()
def round_to_half(net):
    """Rounds what the files hold in 16 bits, so that figures are of what is shipped."""
    net.token_embd.copy_(net.token_embd.half().float())
    for _, linear in net.linears():
        for q in (linear.weight, linear.a, linear.b):
            if q is not None:
                q.copy_(q.half().float())


@torch.no_grad()
def answer(net, tok, labels, items):
    """Returns the codes' logits for [(kind, words, evidence)]."""
    prompts = Prompts(tok)
    rows = torch.tensor([tok.piece_to_id(code) for code in codes(labels)])
    out = []
    for i in range(0, len(items), 256):
        out.append(net(*pad([prompts(kind, text, evidence=evidence) for kind, text, evidence in items[i: i + 256]])) @ net.token_embd[rows].T)
    return torch.cat(out)
