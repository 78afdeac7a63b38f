"""What there is to learn the mapping from: the taxonomy, the lexicon, sentences, contexts, the vendors' tables."""
import glob
import hashlib
import json
import os
import random
import sys

import yaml

import corpus
import noise
from normalize import words

HERE = os.path.dirname(os.path.abspath(__file__))
TAXONOMY = os.path.join(HERE, "..", "..", "config", "taxonomy.yaml")
UNSEEN = os.path.join(HERE, "unseen-detectors.jsonl")  # labels of detectors that training does not know
NONSENSE = os.path.join(HERE, "nonsense.jsonl")        # inputs without an answer, never trained on
VENDORS = os.path.join(HERE, "..", "mapper-tiny", "vendor-2025.09.jsonl")

# The kinds of detector, and the words in a detector's name that tell them; the first match counts.
KINDS = [
    ("<secret>", ["secret", "gitleaks", "trufflehog", "gitguardian", "credential"]),
    ("<attack>", ["prompt-guard", "prompt_guard", "promptguard", "prompt-shield", "prompt_shield", "jailbreak", "injection", "rebuff", "lakera"]),
    ("<bias>", ["bias", "fairness"]),
    ("<quality>", ["hallucination", "grounded", "factual", "relevance", "faithful", "quality"]),
    ("<pii>", ["pii", "presidio", "gliner", "dlp", "comprehend", "deidentif", "privacy", "redact", "macie"]),
    ("<harm>", ["moderation", "toxic", "detoxify", "perspective", "content-safety", "content_safety", "contentsafety", "llama-guard",
                "llama_guard", "llamaguard", "wildguard", "shieldgemma", "hatebert", "hate-speech", "hate_speech", "hatespeech", "nsfw"]),
]
DEFAULT = "<any>"

# The kind that a label's own detectors are of.
KIND_OF = {
    "PII": "<pii>", "SECURITY.Credential": "<secret>", "SECURITY": "<attack>", "JAILBREAK": "<attack>",
    "PROMPT_INJECTION": "<attack>", "HARM": "<harm>", "BIAS": "<bias>",
    "OTHER.Hallucination": "<quality>", "OTHER.FactualError": "<quality>", "OTHER.LowQuality": "<quality>", "OTHER.OffTopic": "<quality>",
}

def taxonomy():
    """Returns {label: text}, in the order of their codes, and the version."""
    with open(TAXONOMY, encoding="utf-8") as f:
        doc = yaml.safe_load(f)
    return {entry["id"]: entry["text"] for entry in doc["labels"]}, doc["version"]


def lexicon(labels):
    """Returns {words: label} of all lexicon files; a phrase under two labels is an error."""
    out = {}
    for path in lexicon_files():
        with open(path, encoding="utf-8") as f:
            for label, phrases in yaml.safe_load(f).items():
                if label not in labels:
                    raise ValueError(f"{path}: {label} is not in the taxonomy")
                for phrase in phrases:
                    phrase = words(str(phrase))
                    if out.setdefault(phrase, label) != label:
                        raise ValueError(f"{path}: {phrase!r} is under {label} and {out[phrase]}")
    return out


def lexicon_files():
    return sorted(glob.glob(os.path.join(HERE, "lexicon", "*.yaml")))


def foreign(labels):
    """Returns the words of the lexicon files whose name is a language's code."""
    out = set()
    for path in lexicon_files():
        if len(os.path.basename(path)) == len("de.yaml"):
            with open(path, encoding="utf-8") as f:
                out.update(words(str(p)) for phrases in yaml.safe_load(f).values() for p in phrases)
    return out


def wordnet(labels, most=150):
    """Yields (words, label) of the nouns under the synsets of wordnet.yaml, at most so many for each label."""
    with open(os.path.join(HERE, "wordnet.yaml"), encoding="utf-8") as f:
        roots = {root: label for label, own in yaml.safe_load(f).items() for root in own}
    of = {label: [] for label in list(labels) + ["none"]}
    for text, root in corpus.hyponyms(roots).items():
        of[roots[root]].append(text)
    del of["none"]
    for label, own in of.items():
        yield from ((text, label) for text in sorted(own, key=share)[:most])


def files():
    """Everything that the mapping is learnt from, apart from the dictionaries."""
    own = ("contexts.yaml", "sentences.yaml", "sentences.xx.yaml", "wordnet.yaml", "words.txt", "unrelated.txt")
    return lexicon_files() + [os.path.join(HERE, name) for name in own] + [os.path.normpath(VENDORS)]


def rows(path):
    """Returns [(detector, native label, accepted labels)] of a file of such rows."""
    with open(path, encoding="utf-8") as f:
        return [(r["detector"], r["label"], r["accept"]) for r in map(json.loads, f)]


def vendors():
    return rows(VENDORS)


def kind_of_detector(name):
    name = name.lower()
    return next((kind for kind, match in KINDS if any(word in name for word in match)), DEFAULT)


def kind_of_label(label):
    return next((kind for prefix, kind in KIND_OF.items() if label.startswith(prefix)), DEFAULT)


def sentences(name="sentences.yaml"):
    """Returns [(words, label)] of a file of sentences."""
    with open(os.path.join(HERE, name), encoding="utf-8") as f:
        return [(words(s), label) for label, own in yaml.safe_load(f).items() for s in own]


def contexts():
    """Returns {words: {kind: label}} of contexts.yaml."""
    with open(os.path.join(HERE, "contexts.yaml"), encoding="utf-8") as f:
        return yaml.safe_load(f)


def familiar():
    """Returns the words that the vocabulary and pretraining are to know well: words.txt, which does not change with
    every phrase that is added to the lexicon, because both take long."""
    with open(os.path.join(HERE, "words.txt"), encoding="utf-8") as f:
        return f.read().split()


def unrelated():
    """Returns words and terms that say nothing to the taxonomy."""
    with open(os.path.join(HERE, "unrelated.txt"), encoding="utf-8") as f:
        return f.read().splitlines()


def also():
    """Returns {words: labels} that a development row's own label is no better than."""
    with open(os.path.join(HERE, "also.yaml"), encoding="utf-8") as f:
        return yaml.safe_load(f)


def share(text):
    """A number from 0 to 1 that depends on the text alone, so that a split stays as it is when the lexicon grows."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2 ** 32


def head_words(phrases, elsewhere, held):
    """Chooses a share of the words that stand for one label, in two to twelve phrases and nowhere else, as unseen ones."""
    of = {}
    for phrase, label in phrases:
        for w in set(phrase.split()):
            of.setdefault(w, []).append(label)
    return {w for w, labels in of.items() if telling(w) and w not in elsewhere and 2 <= len(labels) <= 12
            and max(labels.count(l) for l in labels) >= 0.8 * len(labels) and share("head " + w) < held}


def head_words_of(data):
    """Returns the English words that stand mostly for one label, in what is trained on: the content of words.txt."""
    of = {}
    for phrase, label in data.phrases:
        if phrase not in data.abroad:
            for w in set(phrase.split()):
                of.setdefault(w, []).append(label)
    return sorted(w for w, labels in of.items() if len(w) > 2 and w.isalpha() and max(labels.count(l) for l in labels) >= 0.6 * len(labels))


def telling(w):
    """Whether a word is long enough to say something by itself."""
    return len(w) > 3 and w.isalpha()


def vocabulary(texts):
    return {w for text in texts for w in text.split()}


class Data:
    """All of it, with the development sets apart: held is {name: [(kind, words, accepted labels)]}.

    Held out are some head words with all their phrases, and a share of the other phrases, sentences and foreign
    phrases. A phrase with a telling word that nothing in training has counts among the unseen head words.
    """

    def __init__(self, labels, c):
        table = vendors()
        self.known = {words(native): accept[0] for _, native, accept in table}
        self.vendors = [(kind, words(native), accept[0]) for d, native, accept in table for kind in (kind_of_detector(d), DEFAULT)]
        self.contexts, abroad = contexts(), foreign(labels)
        own = sorted(set(self.known.items()) | {(words(x), label) for label, text in labels.items() for x in (label, text)})
        split = {"unseen head words": [], "unseen phrases": [], "other languages": [], "verdict sentences": []}
        self.sentences = []
        for s, l in sentences() + sentences("sentences.xx.yaml"):
            (split["verdict sentences"] if share(s) < 2 * c["holdout"] else self.sentences).append((s, l))
        every = sorted((p, l) for p, l in lexicon(labels).items() if p not in self.known)
        fixed = vocabulary([t for t, _ in own + self.sentences] + list(self.contexts) + list(abroad))
        heads = head_words([(p, l) for p, l in every if p not in abroad], fixed, c["heads"])
        self.phrases, apart = [], []
        for p, l in every:
            if p in self.contexts or p not in abroad and not heads.isdisjoint(p.split()):
                (self.phrases if p in self.contexts else apart).append((p, l))
            elif share(p) < c["holdout"]:
                (split["other languages"] if p in abroad else apart).append((p, l))
            else:
                self.phrases.append((p, l))
        self.abroad = abroad
        self.phrases = sorted(set(self.phrases + own))
        told = {text for rows in split.values() for text, _ in rows} | {p for p, _ in apart}
        self.wide = sorted((p, l) for p, l in wordnet(labels) if p not in told and heads.isdisjoint(p.split()))
        taken = {p for p, _ in self.phrases} | set(self.contexts)
        self.wide = [(p, l) for p, l in self.wide if p not in taken]
        seen = vocabulary(p for p, _ in self.phrases + self.sentences + self.wide) | fixed
        for p, l in apart:
            new = any(telling(w) and w not in seen for w in p.split())
            split["unseen head words" if new else "unseen phrases"].append((p, l))
        other = also()
        self.held = {name: [(DEFAULT, text, [label] + other.get(text, [])) for text, label in rows] for name, rows in split.items()}
        self.held["misspelt and abbreviated"] = self.misspelt(apart + self.phrases, c["holdout"])
        self.nonsense = rows(NONSENSE)
        self.told = {text for own in self.held.values() for _, text, _ in own} | {words(text) for _, text, _ in self.nonsense}
        named = vocabulary(p for p, l in self.phrases + self.wide if l != "OTHER.Unknown") | self.told
        self.unrelated = [text for text in unrelated() if text not in named and named.isdisjoint(text.split())]
        self.sentences.append(("", "OTHER.Unknown"))  # a finding without a letter of a-z

    def fingerprint(self):
        return hashlib.sha256(json.dumps([self.phrases, self.wide, self.sentences, self.vendors, self.contexts, self.unrelated], sort_keys=True).encode()).hexdigest()

    def entries(self, number):
        """Returns the lexicon that ships: [(words, label number)], in a fixed order."""
        own = {text: number[label] for text, label in reversed(self.phrases + self.sentences + self.wide) if text}
        return sorted(own.items())

    def misspelt(self, phrases, held):
        """Spoils a share of the phrases; none of the results is in the lexicon."""
        r, known, out = random.Random(7), {p for p, _ in phrases + self.wide}, []
        for p, l in phrases:
            if share("spelling " + p) < held / 2 and len(p) > 4 and p not in self.known:
                text = words(noise.misspell(r, p))
                if text not in known:
                    out.append((DEFAULT, text, [l]))
        return out


if __name__ == "__main__":  # python3 mapping.py mapper-tiny.yaml >words.txt
    with open(sys.argv[1], encoding="utf-8") as f:
        print("\n".join(head_words_of(Data(taxonomy()[0], yaml.safe_load(f)))))
