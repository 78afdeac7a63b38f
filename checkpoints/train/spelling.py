"""Reads words that nobody knows as the lexicon's word that was probably meant; services/mapper/spelling.go does the same.

A word is known if the lexicon has it or the vocabulary has it as one piece: such a word is never read as another. An
unknown one of letters alone is read as, in this order: a word of which it has the consonants; one that begins with the
same letter and is one missing, superfluous, wrong or swapped letter away; two words that stand beside each other in an
entry; a word of which it is the beginning. Among several the one counts that stands beside the finding's neighbouring
words in an entry, then the one in most entries, then the first by the alphabet.
"""
import bisect

SHORTEST = 4   # letters of a word that is read as another
LONGEST = 32
NEAR = 5       # letters from which one wrong letter is looked for: short words have too many neighbours
MOST = 12      # words of a finding
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def skeleton(w):
    """The word without its vowels, but for the first letter."""
    return w[0] + "".join(c for c in w[1:] if c not in "aeiou")


def edits(w):
    """All that is one missing, superfluous, wrong or swapped letter away; the first letter stays."""
    out = set()
    for i in range(1, len(w) + 1):
        out.update(w[:i] + c + w[i:] for c in LETTERS)
        if i < len(w):
            out.add(w[:i] + w[i + 1:])
            out.update(w[:i] + c + w[i + 1:] for c in LETTERS)
        if i + 1 < len(w):
            out.add(w[:i] + w[i + 1] + w[i] + w[i + 2:])
    return out


class Speller:
    """Corrects texts by the words of a lexicon."""

    def __init__(self, texts, known):
        """texts are the entries; known tells of a word whether it is one for itself."""
        self.known, self.count, self.pairs, self.cache = known, {}, set(), {}
        for text in texts:
            parts = text.split()
            self.pairs.update(zip(parts, parts[1:]))
            for w in set(parts):
                self.count[w] = self.count.get(w, 0) + 1
        self.words = sorted(w for w in self.count if w.isalpha())
        self.skeletons = {}
        for w in self.words:
            self.skeletons.setdefault(skeleton(w), []).append(w)

    def unknown(self, w, gone):
        return w.isalpha() and SHORTEST <= len(w) <= LONGEST and (w not in self.count or w in gone) and not self.known(w)

    def candidates(self, w):
        """Returns lists of what may have been meant, the better ways first."""
        if w not in self.cache:
            bare = [e for e in self.skeletons.get(w, ()) if e != w]
            near = sorted(e for e in edits(w) if e in self.count and e != w) if len(w) >= NEAR else []
            joined = [w[:k] + " " + w[k:] for k in range(2, len(w) - 1) if (w[:k], w[k:]) in self.pairs]
            first, last = bisect.bisect_left(self.words, w), bisect.bisect_left(self.words, w + "{")  # { comes after z
            longer = [e for e in self.words[first:last] if e != w]
            self.cache[w] = bare, near, joined, longer
        return self.cache[w]

    def correct(self, text, gone=()):
        """Returns the words as they are read, and the set of those that were read as others; gone are words of the lexicon
        to do without."""
        out, read, tried = text.split(), set(), 0
        for i, w in enumerate(out):
            if not self.unknown(w, gone):
                continue
            tried += 1
            if tried > MOST:
                break
            for own in self.candidates(w):
                own = [e for e in own if not gone or gone.isdisjoint(e.split())]
                if own:
                    out[i] = min(own, key=lambda e: self.rank(e, out, i))
                    read.update(out[i].split())
                    break
        words = " ".join(out)
        return words, read - set(text.split())

    def rank(self, e, out, i):
        """Sorts the better candidates first."""
        parts = e.split()
        beside = i > 0 and (out[i - 1].split()[-1], parts[0]) in self.pairs
        beside += i + 1 < len(out) and (parts[-1], out[i + 1]) in self.pairs
        return -beside, -min(self.count[p] for p in parts), e
