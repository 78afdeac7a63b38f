"""Draws varied training examples: (kind of detector, normalised words, label)."""
import random

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
    """Draws from plain phrases, from sentences that stay as they are, and from the vendors' tables."""

    def __init__(self, data, labels, seed, mix):
        """data is a mapping.Data; mix the shares of draws, by name."""
        self.random, self.mix, self.data = random.Random(seed), mix, data
        self.by_label = {label: [] for label in labels}
        for phrase, label in data.phrases:
            self.by_label[label].append(phrase)
        self.labels = [label for label in labels if self.by_label[label]]
        self.kinds = [kind for kind, _ in mapping.KINDS]
        self.contexts = [(kind, phrase, label) for phrase, of in data.contexts.items() for kind, label in of.items()]

    def draw(self):
        x = self.random.random()
        for name, of in (("vendor", self.vendor), ("context", self.context), ("sentence", self.sentence), ("negation", self.negation)):
            if x < self.mix[name]:
                return of()
            x -= self.mix[name]
        phrase, label = self.phrase()
        phrase = self.dress(phrase, label)
        return self.kind(phrase, label), self.noise(phrase), label

    def phrase(self):
        """Every label comes half by its share of phrases, half equally often."""
        r = self.random
        if r.random() < 0.5:
            label = r.choice(self.labels)
            return r.choice(self.by_label[label]), label
        return r.choice(self.data.phrases)

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
        parts = phrase.split()
        if x < 0.52 and len(parts) > 3:
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
        return self.random.choice(self.data.vendors)

    def context(self):
        return self.random.choice(self.contexts)

    def sentence(self):
        text, label = self.random.choice(self.data.sentences)
        return self.kind(text, label), self.noise(text), label

    def negation(self):
        r = self.random
        while True:
            phrase, label = self.phrase()
            if label.startswith(NEGATABLE) and phrase.split()[0] not in ("no", "not", "non", "without", "ignore"):
                text = r.choice(NONE).format(phrase)
                if text not in self.data.known:
                    return (mapping.DEFAULT if r.random() < 0.6 else mapping.kind_of_label(label)), text, "OTHER.Safe"
