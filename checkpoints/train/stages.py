"""The stages of training. Each is a function of the settings and of what the stages before it left."""
import hashlib
import json
import math
import os
import random
import time

import numpy as np
import sentencepiece
import torch
import torch.nn.functional as F

import corpus
import embed
import examples
import mapping
from net import Net, pad
from noise import misspell
from normalize import words

ANSWER = "<A>"


def specials(labels):
    kinds = [mapping.DEFAULT] + [kind for kind, _ in mapping.KINDS]
    return kinds + [ANSWER] + codes(labels)


def codes(labels):
    return [f"<L{i:02d}>" for i in range(len(labels))]


class Cache:
    """Keeps what a stage made, under a name that depends on the settings of the stage, and how long it took."""

    def __init__(self, folder):
        self.folder, self.times = folder, os.path.join(folder, "seconds.json")

    def path(self, name, settings):
        stem, suffix = os.path.splitext(name)
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        return os.path.join(self.folder, f"{stem}-{key}{suffix}")

    def make(self, name, settings, stage):
        """Calls stage(path) unless the path exists, and returns the path."""
        path = self.path(name, settings)
        if not os.path.exists(path):
            start = time.time()
            stage(path)
            self.took(os.path.basename(path), time.time() - start)
        return path

    def took(self, name, seconds):
        times = self.seconds()
        times[name] = round(seconds, 1)
        with open(self.times, "w", encoding="utf-8") as f:
            json.dump(times, f, indent=1)

    def early_seconds(self, c):
        """How long the stages before the mapping took, now or when they were made."""
        made = [self.path("tokenizer.model", early(c)), self.path("embeddings.npy", early(c, "net", "window")),
                self.path("pretrain.pt", early(c, "net", "window", "pretrain"))]
        return sum(self.seconds().get(os.path.basename(path), 0) for path in made)

    def seconds(self):
        """Returns {file: seconds}."""
        if not os.path.exists(self.times):
            return {}
        with open(self.times, encoding="utf-8") as f:
            return json.load(f)


def early(c, *more):
    """The settings that the stages before the mapping depend on."""
    return {name: c[name] for name in ("seed", "vocabulary", "texts", "dictionaries") + more}


def tokenizer(c, cache, labels):
    """Trains the vocabulary on the dictionaries; the taxonomy's and the vendors' words weigh fifty times."""
    def stage(path):
        known = [words(text) for text in labels.values()] + [words(label) for label in labels]
        known += [words(native) for _, native, _ in mapping.vendors()]

        def lines():
            yield from corpus.lines(c["texts"], c["dictionaries"])
            for _ in range(50):
                yield from known

        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=lines(), model_prefix=path[: -len(".model")], model_type="bpe", vocab_size=c["vocabulary"],
            normalization_rule_name="identity", split_digits=True, byte_fallback=True, character_coverage=1.0,
            user_defined_symbols=specials(labels), num_threads=1, minloglevel=2, hard_vocab_limit=False)

    return sentencepiece.SentencePieceProcessor(model_file=cache.make("tokenizer.model", early(c), stage))


def embeddings(c, cache, tok):
    """Gives every piece of the vocabulary a vector by the company it keeps in the dictionaries."""
    def stage(path):
        parts = []
        for ids in tok.encode(list(corpus.lines(c["texts"], c["dictionaries"]))):
            parts.append(np.array(ids + [-1], np.int32))
        np.save(path, embed.embeddings(np.concatenate(parts), len(tok), c["net"]["width"], c["window"], c["seed"]))

    return np.load(cache.make("embeddings.npy", early(c, "net", "window"), stage))


class Prompts:
    """Makes the token ids of prompts, each field apart."""

    def __init__(self, tok):
        self.tok, self.answer = tok, tok.piece_to_id(ANSWER)

    def __call__(self, kind, text, dropout=0.0):
        """dropout is the share of merges left out (BPE-dropout, Provilkov et al. 2020), in training alone."""
        ids = self.tok.encode(text, enable_sampling=True, nbest_size=-1, alpha=dropout) if dropout else self.tok.encode(text)
        return [self.tok.bos_id(), self.tok.piece_to_id(kind)] + ids[:40] + [self.answer]


def schedule(optimizer, steps, rates):
    """Warms up over a twentieth of the steps, then falls to a tenth along a cosine."""
    def at(step):
        warm = max(1, steps // 20)
        return step / warm if step < warm else 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))

    def set_rate(step):
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate * at(step + 1)
    return set_rate


def step(optimizer, loss, parameters):
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()


def bucketed(draw, length, batch, rng):
    """Yields batches of drawn items of about one length."""
    while True:
        items = sorted((draw() for _ in range(8 * batch)), key=length)
        batches = [items[i: i + batch] for i in range(0, len(items), batch)]
        rng.shuffle(batches)
        yield from batches


def pretrain(c, cache, tok, vectors, log):
    """A reverse dictionary: from a definition or a synonym to the vector of the word."""
    torch.manual_seed(c["seed"])
    net = Net(c["net"], vectors)
    path = cache.make("pretrain.pt", early(c, "net", "window", "pretrain"), lambda path: reverse_dictionary(c, path, net, tok, log))
    net.load_state_dict(torch.load(path))
    return net


def reverse_dictionary(c, path, net, tok, log):
    """Trains net to tell the word that a text means from the other words of the batch and some drawn ones."""
    p, rng, prompts = c["pretrain"], random.Random(c["seed"]), Prompts(tok)
    entries = [(lemmas, gloss) for lemmas, gloss in corpus.synsets(c["texts"]) if lemmas and gloss]
    everything = [lemma for lemmas, _ in entries for lemma in lemmas]

    def draw():
        lemmas, gloss = rng.choice(entries)
        target = rng.choice(lemmas)
        source = gloss
        if rng.random() < 0.4:
            source = rng.choice(lemmas)
        elif rng.random() < 0.5:  # a short definition is nearer to a label
            source = " ".join(gloss.split()[: rng.randrange(2, 9)])
        if rng.random() < p["noise"]:
            source = misspell(rng, source)
        return prompts(mapping.DEFAULT, source), tok.encode(target)

    body = [q for name, q in net.named_parameters() if name != "token_embd"]
    optimizer = torch.optim.AdamW([{"params": body}, {"params": [net.token_embd], "weight_decay": 0.0}], betas=(0.9, 0.98), weight_decay=0.01)
    rate = schedule(optimizer, p["steps"], [p["rate"], p["embedding_rate"]])
    batches = bucketed(draw, lambda item: len(item[0]), p["batch"], rng)
    for i in range(p["steps"]):
        rate(i)
        batch = next(batches)
        negatives = [tok.encode(rng.choice(everything)) for _ in range(p["negatives"])]
        h = net(*pad([source for source, _ in batch]))
        ids, lengths = pad([target for _, target in batch] + negatives)
        seen = (torch.arange(ids.shape[1])[None] < lengths[:, None]).float()[..., None]
        targets = F.normalize((net.token_embd[ids] * seen).sum(1) / lengths[:, None], dim=1)
        loss = F.cross_entropy(h @ targets.T, torch.arange(len(batch)))
        step(optimizer, loss, list(net.parameters()))
        log("pretrain", i, p["steps"], loss)
    torch.save(net.state_dict(), path)


def fit(c, p, net, tok, labels, source, trainable, rates, log, name):
    """Trains the given groups of parameters to answer with the label's code."""
    order, prompts = {label: i for i, label in enumerate(labels)}, Prompts(tok)
    rows = torch.tensor([tok.piece_to_id(code) for code in codes(labels)])
    sentencepiece.set_random_generator_seed(c["seed"])
    optimizer = torch.optim.AdamW([{"params": group} for group in trainable], betas=(0.9, 0.98), weight_decay=0.01)
    rate = schedule(optimizer, p["steps"], rates)

    def draw():
        kind, text, label = source.draw()
        dropped = c["dropout"]["merges"] if source.random.random() < c["dropout"]["share"] else 0.0
        return prompts(kind, text, dropped), order[label]

    batches = bucketed(draw, lambda item: len(item[0]), p["batch"], source.random)
    for i in range(p["steps"]):
        rate(i)
        batch = next(batches)
        logits = net(*pad([ids for ids, _ in batch])) @ net.token_embd[rows].T
        loss = F.cross_entropy(logits, torch.tensor([label for _, label in batch]), label_smoothing=c["smoothing"])
        step(optimizer, loss, [q for group in trainable for q in group])
        log(name, i, p["steps"], loss)


def base(c, net, tok, labels, data, log):
    """Gives the codes their rows, the mean of their phrases' vectors, and trains rows and blocks a little."""
    with torch.no_grad():
        for code, label in zip(codes(labels), labels):
            vectors = [net.token_embd[tok.encode(phrase)].mean(0) for phrase, own in data.phrases if own == label]
            net.token_embd[tok.piece_to_id(code)] = F.normalize(torch.stack(vectors).mean(0), dim=0)
    first, last = (tok.piece_to_id(codes(labels)[i]) for i in (0, -1))
    keep = net.token_embd.detach().clone()

    def only_codes(gradient):  # the words' vectors stay as the dictionaries made them
        out = torch.zeros_like(gradient)
        out[first: last + 1] = gradient[first: last + 1]
        return out

    hook = net.token_embd.register_hook(only_codes)
    body = [q for name, q in net.named_parameters() if name != "token_embd"]
    fit(c, c["base"], net, tok, labels, examples.Examples(data, labels, c["seed"] + 1, c["mix"]), [body, [net.token_embd]],
        [c["base"]["rate"], c["base"]["code_rate"]], log, "base")
    hook.remove()
    with torch.no_grad():  # weight decay has touched the other rows
        keep[first: last + 1] = net.token_embd[first: last + 1]
        net.token_embd.copy_(keep)
    round_to_half(net)


def adapter(c, net, tok, labels, data, log):
    """Trains the low-rank matrices alone."""
    p = c["adapter"]
    torch.manual_seed(c["seed"] + 2)
    net.requires_grad_(False)
    matrices = []
    for _, linear in net.linears():
        linear.adapt(p["rank"], p["alpha"])
        matrices += [linear.a, linear.b]
    fit(c, p, net, tok, labels, examples.Examples(data, labels, c["seed"] + 3, c["mix"]), [matrices], [p["rate"]], log, "adapter")
    round_to_half(net)


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
    """Returns the codes' logits for [(kind, words)]."""
    prompts = Prompts(tok)
    rows = torch.tensor([tok.piece_to_id(code) for code in codes(labels)])
    out = [net(*pad([prompts(*item) for item in items[i: i + 256]])) @ net.token_embd[rows].T for i in range(0, len(items), 256)]
    return torch.cat(out)
