"""Draws varied training examples: (kind of detector, normalised words, label)."""
import random

import numpy as np

import lookup
import mapping
from noise import misspell

BEFORE = [
    "contains", "category", "detected", "potential", "possible", "found", "type", "class", "risk", "label", "is", "high", "low", "medium",
    "severe", "some", "any", "suspected", "likely", "explicit", "probable", "confirmed", "flagged", "output", "input", "request", "text",
]
AFTER = [
    "detected", "found", "content", "category", "risk", "score", "high", "low", "medium", "violation", "present", "in text", "2", "4", "6",
    "v 2", "flag", "in prompt", "in response", "in output", "true", "yes", "check", "policy", "match", "severity high", "1", "issue", "type",
]
FRAMES = [
    "the user asks for {}", "text contains {}", "message is about {}", "response includes {}", "content with {}", "request about {}",
    "the text shows {}", "{} was found in the text", "there is {} in the message", "the reply has {}", "this looks like {}", "flagged for {}",
    "blocked because of {}", "the user mentions {}", "user wants {}", "the prompt is about {}", "it is {}", "this is {}", "promotes {}",
    "unsafe because of {}", "the answer contains {}", "found {} and removed it", "violates the policy on {}", "conversation about {}",
]
NONE = [
    "no {}", "no {} detected", "no {} found", "not {}", "{} not detected", "{} false", "{} none", "free of {}", "without {}", "non {}",
    "no evidence of {}", "the text has no {}", "does not contain {}", "is not {}", "no sign of {}", "{} 0", "{} severity 0", "{} safe", "{} passed",
]
COUNTRIES = [
    "us", "uk", "usa", "german", "germany", "french", "france", "spain", "spanish", "italy", "italian", "india", "indian", "canada", "canadian",
    "australia", "brazil", "mexico", "japan", "korea", "china", "poland", "sweden", "netherlands", "singapore", "ireland", "eu", "generic",
]
PARENTS = {
    "PII": ["pii", "personal data", "personal", "sensitive", "privacy"], "SECURITY.Credential": ["secret", "credential", "leaked", "hardcoded"],
    "SECURITY": ["security", "cyber"], "PROMPT_INJECTION": ["prompt", "attack", "security"], "JAILBREAK": ["prompt", "attack"],
    "HARM.SPEECH.Hate": ["hate", "hate speech"], "HARM": ["harm", "harmful", "unsafe", "content", "moderation"], "BIAS": ["bias", "fairness"],
    "OTHER": ["quality", "output", "response"],
}
# What stays wrong without its "no": a negation of these says that nothing was found.
NEGATABLE = ("PII", "HARM", "BIAS", "JAILBREAK", "PROMPT", "SECURITY", "OTHER.Hallucination", "OTHER.PolicyViolation", "OTHER.Spam")


class Examples:
    """Draws (kind, words, label, evidence), from plain phrases, sentences and the vendors' tables.

    The evidence is what the lexicon says when it lacks the phrase that the example was made from, or all phrases with
    one of its words: so it is as weak and as misleading as it will be for words that nobody has written down. For
    what was misspelt it is more often whole, because it is mostly known words that are misspelt.
    """

    def __init__(self, data, labels, seed, c, sentences, glossary, kin, known):
        """data is a mapping.Data; sentences their share; glossary {language: {English: foreign words}}; kin is as
        kin.find has it; known tells of a word whether it is not to be read as another."""
        self.random, self.c, self.mix, self.data = random.Random(seed), c, c["mix"], data
        self.share, self.glossary = sentences, glossary
        self.number = {label: i for i, label in enumerate(labels)}
        self.index = lookup.Index(data.entries(self.number), known)
        self.by_label = {label: [] for label in labels}
        for phrase, label in data.phrases:
            self.by_label[label].append(phrase)
        self.labels = [label for label in labels if self.by_label[label]]
        self.kinds = [kind for kind, _ in mapping.KINDS]
        self.kin = {}
        for w, label, other in kin:
            self.kin.setdefault((w, label), []).append(other)
        self.contexts = [(kind, phrase, label) for phrase, of in data.contexts.items() for kind, label in of.items()]

    def draw(self):
        while True:
            kind, text, label, origin = self.example()
            if text not in self.data.told:
                return kind, text, label, self.evidence(text, origin)

    def evidence(self, text, origin):
        """Searches the lexicon; origin is the phrase to do it without."""
        r, share = self.random, self.c["evidence"]
        x = r.random()
        if x < share["none"]:
            return []
        if x < share["none"] + share["whole"] or not origin or origin not in text and r.random() < share["spoilt"]:
            return self.index.evidence(text)
        without = [self.index.exact[origin]] if origin in self.index.exact else []
        if x >= share["none"] + share["whole"] + share["entry"]:
            rare = [w for w in origin.split() if w in self.index.by_word and len(self.index.by_word[w]) <= 60]
            if rare:
                without = np.concatenate([without, self.index.by_word[r.choice(rare)]]).astype(int)
        return self.index.evidence(text, without)

    def example(self):
        """Returns (kind, words, label, the entry that it was made from, or None to keep all)."""
        x = self.random.random()
        if x < self.share:
            return self.sentence()
        x = (x - self.share) / (1 - self.share)
        for name, of in (("vendor", self.vendor), ("context", self.context), ("negation", self.negation),
                         ("nonsense", self.nonsense), ("translate", self.translated), ("wide", self.dictionary), ("kin", self.relative)):
            share = self.mix.get(name, 0)
            if x < share:
                return of()
            x -= share
        phrase, label = self.phrase()
        text = self.dress(phrase, label)
        return self.kind(text, label), self.noise(text), label, phrase

    def phrase(self):
        """Every label comes half by its share of phrases, half equally often."""
        r = self.random
        if r.random() < 0.5:
            label = r.choice(self.labels)
            return r.choice(self.by_label[label]), label
        return r.choice(self.data.phrases)

    def dictionary(self):
        """A word of WordNet that stands under a label."""
        text, label = self.random.choice(self.data.wide)
        return self.kind(text, label), self.noise(text), label, text

    def relative(self):
        """A phrase with a word in place of one that means about the same."""
        for _ in range(20):
            phrase, label = self.phrase()
            parts = phrase.split()
            own = [i for i, w in enumerate(parts) if (w, label) in self.kin]
            if own:
                i = self.random.choice(own)
                parts[i] = self.random.choice(self.kin[parts[i], label])
                text = self.dress(" ".join(parts), label)
                return self.kind(text, label), self.noise(text), label, phrase
        return self.vendor()

    def kind(self, phrase, label):
        """Mostly <any>; else the kind that finds such things, now and then another, which must not matter."""
        r, x = self.random, self.random.random()
        if phrase in self.data.contexts or x < 0.60:
            return mapping.DEFAULT
        return mapping.kind_of_label(label) if x < 0.90 else r.choice(self.kinds)

    def dress(self, phrase, label):
        r, x = self.random, self.random.random()
        if x < 0.09:
            return r.choice(BEFORE) + " " + phrase
        if x < 0.20:
            return phrase + " " + r.choice(AFTER)
        if x < 0.30:
            return r.choice(FRAMES).format(phrase)
        if x < 0.36:
            return phrase + " " + r.choice(self.by_label[label])
        if x < 0.42:
            return r.choice(next(of for prefix, of in PARENTS.items() if label.startswith(prefix))) + " " + phrase
        if x < 0.48 and label.startswith("PII"):
            return r.choice(COUNTRIES) + " " + phrase
        if x < 0.52:
            return r.choice("abcdefghlmnoprst") + " " + str(r.randrange(1, 30)) + " " + phrase  # S10-style codes
        parts = phrase.split()
        if x < 0.56 and len(parts) > 3:
            del parts[r.randrange(len(parts))]
        return " ".join(parts)

    def noise(self, text):
        r = self.random
        if r.random() < self.mix["noise"]:
            text = misspell(r, text)
            if r.random() < 0.25:
                text = misspell(r, text)
        return text

    def vendor(self):
        return *self.random.choice(self.data.vendors), None

    def context(self):
        return *self.random.choice(self.contexts), None

    def sentence(self):
        text, label = self.random.choice(self.data.sentences)
        if text and self.random.random() < 0.3:  # in the words of another one
            phrase = self.random.choice(self.by_label[label])
            return mapping.DEFAULT, self.noise(self.random.choice(FRAMES).format(phrase)), label, phrase
        parts = text.split()
        if len(parts) > 5 and self.random.random() < 0.3:
            del parts[self.random.randrange(len(parts))]
        return self.kind(text, label), self.noise(" ".join(parts)), label, text

    def negation(self):
        r = self.random
        while True:
            phrase, label = self.phrase()
            if label.startswith(NEGATABLE) and phrase.split()[0] not in ("no", "not", "non", "without", "ignore"):
                text = r.choice(NONE).format(phrase)
                if text not in self.index.exact:
                    return (mapping.DEFAULT if r.random() < 0.6 else mapping.kind_of_label(label)), text, "OTHER.Safe", phrase

    def nonsense(self):
        """Says nothing, but from a secret scanner: it calls a finding by the service whose key it is."""
        r = self.random
        kind = mapping.DEFAULT if r.random() < 0.6 else r.choice(self.kinds)
        if kind == "<secret>":
            return kind, r.choice(self.data.unrelated), "SECURITY.Credential.APIKey", None
        return kind, nonsense(r, self.data.unrelated), "OTHER.Unknown", None

    def translated(self):
        """A phrase word by word in another language, where the dictionaries have them all."""
        r = self.random
        for _ in range(20):
            phrase, label = self.phrase()
            own = self.glossary[r.choice(sorted(self.glossary))]
            parts = [r.choice(own[w]) for w in phrase.split() if w in own]
            if parts and len(parts) == len(phrase.split()):
                if len(parts) == 2 and r.random() < 0.5:
                    parts.reverse()
                return mapping.DEFAULT, " ".join(parts), label, phrase
        return self.vendor()


def nonsense(r, unrelated):
    """Text that says nothing: made-up words, letters, numbers, or words of quite other things."""
    x = r.random()
    if x < 0.6:
        return " ".join(r.choice(unrelated) for _ in range(r.randrange(1, 3)))
    if x < 0.8:
        return " ".join("".join(r.choice("bcdfglmnprstvwz") + r.choice(["a", "e", "i", "o", "u", "oo", "ar", "im"])
                                for _ in range(r.randrange(1, 4))) + r.choice(["", "", "x", "k", "b", "nt"]) for _ in range(r.randrange(1, 4)))
    if x < 0.9:
        return "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(r.randrange(3, 12)))
    return r.choice(["label", "class", "type", "code", "item", "result", "value", "x", "id", "cat", "l", "c"]) + " " + str(r.randrange(1000))
