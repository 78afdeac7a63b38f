"""Pretraining: a small Llama learns what words mean, in seven languages, before it sees a single label.

It reads a word, a definition or a foreign word and puts its hidden state where the teacher puts the English meaning
(knowledge distillation; Reimers and Gurevych 2020 do so across languages).
"""
import hashlib
import json
import random

import numpy as np
import sentencepiece
import torch
import torch.nn.functional as F

import corpus
import kin
from net import Net, pad
from noise import misspell
from optim import bucketed, schedule, step
from prompts import Prompts
from teacher import Letters, Teacher, unit


def share(text):
    """A number from 0 to 1 that depends on the text alone."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2 ** 32


def tokenizer(c, path, known, specials):
    """Trains the vocabulary on the dictionaries; the known words weigh thirty times."""
    def lines():
        yield from corpus.lines(c["texts"], c["dictionaries"])
        for _ in range(30):
            yield from known

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines(), model_prefix=path[: -len(".model")], model_type="bpe", vocab_size=c["vocabulary"],
        normalization_rule_name="identity", split_digits=True, byte_fallback=True, character_coverage=1.0,
        user_defined_symbols=specials, num_threads=1, minloglevel=2, hard_vocab_limit=False)


def short(limit):
    """Yields (lemmas, the beginning of their definition) of WordNet."""
    for lemmas, gloss in corpus.synsets(limit):
        yield lemmas, " ".join(gloss.split()[:10])


def pairs(limit):
    """Yields the short translations."""
    return ((foreign, m) for foreign, m in corpus.translations(limit) if len(foreign.split()) <= 3 and len(m.split()) <= 4)


def texts(c):
    """Returns what the teacher is asked about: WordNet's words and definitions, and a share of the translations."""
    own = {text: None for lemmas, gloss in short(c["texts"]) for text in lemmas + [gloss] if text}
    own.update((m, None) for _, m in pairs(c["texts"]) if share(m) < c["meanings"])
    return list(own)


class Meanings:
    """Texts with the vectors they are to get, in groups that are drawn with fixed shares."""

    def __init__(self, c, teacher, raw, known):
        """raw has the teacher's vectors of texts(c); known are the lexicon's English words."""
        index = {text: i for i, text in enumerate(texts(c))}
        teacher.fit(raw)
        self.vectors = np.concatenate([teacher.project(raw), teacher.project(teacher.raw(known))]).astype(np.float16)
        entries = [(lemmas, gloss) for lemmas, gloss in short(c["texts"]) if lemmas and gloss]
        self.groups = {
            "word": [(lemma, index[lemma]) for lemma in {lemma: None for lemmas, _ in entries for lemma in lemmas}],
            "gloss": [(gloss, index[gloss]) for _, gloss in entries],
            "synonym": [(source, index[target]) for lemmas, gloss in entries for target in lemmas for source in lemmas + [gloss] if source != target],
            "known": [(w, len(index) + i) for i, w in enumerate(known)],
            "foreign": [(foreign, index[m]) for foreign, m in pairs(c["texts"]) if m in index],
        }
        self.thesauri(c["texts"], dict(reversed(self.groups["foreign"])))

    def thesauri(self, limit, known):
        """Adds foreign words that no dictionary translates but a thesaurus puts beside translated ones."""
        own, total, count = {}, [], []
        for same in corpus.thesauri(limit):
            told = [known[w] for w in same if w in known]
            if not told or len(same[0].split()) > 3:
                continue
            mean = self.vectors[told].astype(np.float32).mean(0)
            for w in (same[0],) if len(same) > 12 else same:
                if w not in known and len(w.split()) <= 3:
                    if w not in own:
                        own[w] = len(total)
                        total.append(np.zeros_like(mean))
                        count.append(0)
                    total[own[w]] += mean
                    count[own[w]] += 1
        if total:
            first = len(self.vectors)
            self.vectors = np.concatenate([self.vectors, unit(np.stack(total)).astype(np.float16)])
            self.groups["thesaurus"] = [(w, first + i) for w, i in own.items()]

    def save(self, path):
        words = {name: [text for text, _ in group] for name, group in self.groups.items()}
        rows = {name: [row for _, row in group] for name, group in self.groups.items()}
        np.savez(path, vectors=self.vectors, names=np.array(list(words)), **{"w_" + n: np.array(w) for n, w in words.items()},
                 **{"r_" + n: np.array(r) for n, r in rows.items()})


def load(path):
    """Returns ({group: [(text, row)]}, vectors) of a saved Meanings."""
    z = np.load(path)
    return {n: list(zip(z["w_" + n].tolist(), z["r_" + n].tolist())) for n in z["names"].tolist()}, z["vectors"].astype(np.float32)


def embeddings(c, tok, groups, vectors):
    """Gives every piece the mean vector of the words it is part of; a piece that is a word, the word's own."""
    rng = np.random.default_rng(c["seed"])
    total = np.zeros((len(tok), vectors.shape[1]), np.float32)
    own = {}
    for name in ("foreign", "thesaurus", "known", "word"):  # the last one's own count
        for text, row in groups.get(name, ()):
            if " " in text:
                continue
            ids = tok.encode(text)
            for i in ids:
                total[i] += vectors[row] / len(ids) ** 2
            if len(ids) == 1:
                own[ids[0]] = vectors[row]
    seen = np.linalg.norm(total, axis=1) > 1e-6
    out = np.where(seen[:, None], unit(total), unit(rng.standard_normal(total.shape)) * 0.3)
    for i, vector in own.items():
        out[i] = vector
    return out.astype(np.float32)


def own_rows(net, tok, group, vectors, taught):
    """Starts the pieces that are a word of the group at the word's own place, but for the words that were taught before:
    until now the piece of an inflected form had the mean of the words it is part of."""
    with torch.no_grad():
        for text, row in group:
            ids = tok.encode(text)
            if len(ids) == 1 and text not in taught:
                net.token_embd[ids[0]] = torch.tensor(vectors[row])


def distil(c, p, net, tok, groups, vectors, kind, log, name="pretrain"):
    """Trains net to put texts where the teacher puts their meaning, and nearer to it than to the rest of the batch."""
    rng, prompts = random.Random(c["seed"]), Prompts(tok)
    vectors = torch.tensor(vectors)
    names = [name for name in p["mix"] if groups.get(name)]
    weights = [p["mix"][name] for name in names]

    def draw():
        text, row = rng.choice(groups[rng.choices(names, weights)[0]])
        if rng.random() < p["noise"]:
            text = misspell(rng, text)
        return prompts(kind, text, p["merges"] if rng.random() < p["dropout"] else 0.0), row

    sentencepiece.set_random_generator_seed(c["seed"])
    body = [q for name, q in net.named_parameters() if name != "token_embd"]
    net.sparse = True  # a batch touches few of the words
    optimizer = torch.optim.AdamW(body, betas=(0.9, 0.98), weight_decay=0.01)
    lookup = torch.optim.SparseAdam([net.token_embd], betas=(0.9, 0.98))
    rates = schedule(optimizer, p["steps"], [p["rate"]]), schedule(lookup, p["steps"], [p["embedding_rate"]])
    batches = bucketed(draw, lambda item: len(item[0]), p["batch"], rng)
    for i in range(p["steps"]):
        for rate in rates:
            rate(i)
        batch = next(batches)
        rows = torch.tensor([row for _, row in batch])
        h, t = net(*pad([ids for ids, _ in batch])), vectors[rows]
        same = (rows[None] == rows[:, None]).fill_diagonal_(False)
        near = F.cross_entropy((h @ t.T).masked_fill(same, float("-inf")), torch.arange(len(batch)))
        loss = near + p["cosine"] * (1 - F.cosine_similarity(h, t)).mean()
        net.token_embd.grad = None
        step(optimizer, loss, body)
        lookup.step()
        log(name, i, p["steps"], loss)
    net.sparse = False
    return net


def widen(c, cache, tok, teacher, raw, groups, vectors, start, settings, kind, log):
    """Goes on with the words that people use, in all their forms, most of them; dictionaries have a word's base form
    alone, and as many names of plants as words of everyday. Returns the path of the net."""
    p = c["widen"]

    def ask(path):
        words = teacher.common(p["words"])
        teacher.fit(np.load(raw))
        np.savez(path, words=np.array(words), vectors=teacher.project(teacher.raw(words).astype(np.float16)).astype(np.float16))

    z = np.load(cache.make("common.npz", [settings[k] for k in ("seed", "texts", "meanings", "net")] + [p["words"]], ask))
    group = [(w, len(vectors) + i) for i, w in enumerate(z["words"].tolist())]
    every = np.concatenate([vectors, z["vectors"].astype(np.float32)])

    def train(path):
        net = Net(c["net"], np.zeros((len(tok), c["net"]["width"]), np.float32))
        net.load_state_dict(torch.load(start))
        taught = {text for name in ("word", "known", "foreign", "thesaurus") for text, _ in groups.get(name, ())}
        own_rows(net, tok, group, every, taught)
        torch.save(distil(c, p, net, tok, {**groups, "common": group}, every, kind, log, "widen").state_dict(), path)

    return cache.make("widen.pt", {**settings, "widen": p}, train)


def teacher_of(c, cache):
    return (Letters if c.get("teacher") == "letters" else Teacher)(cache.folder, c["net"]["width"], c["seed"])


def relatives(c, cache, phrases, held):
    """Returns what kin.find finds among the most frequent words, but for those that are held out."""
    teacher = teacher_of(c, cache)

    def search(path):
        with open(path, "w", encoding="utf-8") as f:
            json.dump(kin.find(phrases, [w for w in teacher.common(c["kin"]) if w not in held], teacher.raw), f)

    content = hashlib.sha256(json.dumps([phrases, sorted(held)]).encode()).hexdigest()
    with open(cache.make("kin.json", [c["kin"], content], search), encoding="utf-8") as f:
        return json.load(f)


def vocabulary(c, cache, known, specials):
    """Returns (the settings that it depends on, tokenizer)."""
    settings = {name: c[name] for name in ("seed", "vocabulary", "texts", "dictionaries", "meanings", "net")}
    settings["known"] = hashlib.sha256("\n".join(known + specials).encode()).hexdigest()
    path = cache.make("tokenizer.model", settings, lambda path: tokenizer(c, path, known, specials))
    return settings, sentencepiece.SentencePieceProcessor(model_file=path)


def run(c, cache, known, specials, kind, log):
    """Returns (tokenizer, net) after pretraining; what the stages make is kept in cache."""
    settings, tok = vocabulary(c, cache, known, specials)
    teacher = teacher_of(c, cache)
    raw = cache.make("teacher.npy", {name: c[name] for name in ("texts", "meanings")}, lambda path: np.save(path, teacher.raw(texts(c)).astype(np.float16)))
    groups, vectors = load(cache.make("meanings.npz", settings, lambda path: Meanings(c, teacher, np.load(raw), known).save(path)))
    settings["pretrain"] = c["pretrain"]

    def train(path):
        torch.manual_seed(c["seed"])
        net = Net(c["net"], embeddings(c, tok, groups, vectors))
        torch.save(distil(c, c["pretrain"], net, tok, groups, vectors, kind, log).state_dict(), path)

    path = cache.make("pretrain.pt", settings, train)
    if c.get("widen"):
        path = widen(c, cache, tok, teacher, raw, groups, vectors, path, settings, kind, log)
    net = Net(c["net"], np.zeros((len(tok), c["net"]["width"]), np.float32))
    net.load_state_dict(torch.load(path))
    return tok, net
