"""Finds the lexicon's entries that are nearest to a finding, by shared words and by shared trigrams of letters.

services/mapper/lexicon.go does the same, to the last digit: all scores are whole numbers. Words weigh by their rarity
(1000 ln(entries / entries with the word)); nearness is the weight in common over the weight of both (Jaccard), in
thousandths; so is that of the trigrams, which weigh one each. An entry's score is a third of the words' and two thirds of
the trigrams' nearness. The finding is searched as spelling.py reads it; what was read as another word weighs nine tenths
of it, so that no entry counts as the finding's very words unless it was written like that.
"""
import math

import numpy as np

from spelling import Speller

EVIDENCE = 6   # labels in a prompt
LEAST = 80     # score of what is evidence at all
VOTERS = 12    # of the nearest entries, which vote for their labels
BEST = 200     # of the nearest entries, which are searched for labels

# Where the next digit of a grade begins: of the nearness by words, by trigrams, and of the votes.
WORDS = (1, 250, 500, 1000)
TRIGRAMS = (100, 200, 300, 400, 550, 750)
VOTES = (2, 3)


def trigrams(text):
    padded = f" {text} "
    return {padded[i: i + 3] for i in range(len(padded) - 2)}


def level(value, steps):
    return sum(value >= step for step in steps)


def grades():
    """All grades that evidence can have: a digit each for words, trigrams and votes."""
    return [f"{w}{t}{v}" for w in range(len(WORDS) + 1) for t in range(len(TRIGRAMS) + 1) for v in range(len(VOTES) + 1)]


class Index:
    """The entries of a lexicon, ready to be searched."""

    def __init__(self, entries, known=None):
        """entries is [(words, label number)], each words once; known tells which words are not to be read as others,
        without it none is."""
        self.entries = entries
        self.labels = np.array([label for _, label in entries])
        self.exact = {text: i for i, (text, _) in enumerate(entries)}
        by_word, by_trigram = {}, {}
        for i, (text, _) in enumerate(entries):
            for w in set(text.split()):
                by_word.setdefault(w, []).append(i)
            for t in trigrams(text):
                by_trigram.setdefault(t, []).append(i)
        self.by_word = {w: np.array(v) for w, v in by_word.items()}
        self.by_trigram = {t: np.array(v) for t, v in by_trigram.items()}
        n = len(entries)
        self.weight = {w: 1 + int(1000 * math.log(n / len(v))) for w, v in self.by_word.items()}
        self.most = 1 + int(1000 * math.log(n))  # of a word that no entry has
        self.words_total = np.array([sum(self.weight[w] for w in set(text.split())) for text, _ in entries])
        self.trigrams_total = np.array([len(trigrams(text)) for text, _ in entries])
        self.speller = Speller([text for text, _ in entries], known) if known else None

    def nearness(self, text, read=(), least=0):
        """Returns three arrays: the entries whose score may be least or more, in order, and their thousandths by words and
        by trigrams; read are the words that were written otherwise."""
        by_word = np.zeros(len(self.entries), np.int64)
        total = 0
        for w in set(text.split()):
            weight = self.weight.get(w, self.most)
            total += weight
            if w in self.by_word:
                by_word[self.by_word[w]] += 9 * weight // 10 if w in read else weight
        own = trigrams(text)
        found = [self.by_trigram[t] for t in own if t in self.by_trigram]
        by_trigram = np.bincount(np.concatenate(found), minlength=len(self.entries)) if found else np.zeros(len(self.entries), np.int64)
        some = np.flatnonzero((by_word > 0) | (2000 * by_trigram >= 3 * least * len(own)))
        by_word, by_trigram = by_word[some], by_trigram[some]
        return some, *(1000 * shared // np.maximum(of + whole - shared, 1) for shared, of, whole in (
            (by_word, self.words_total[some], total), (by_trigram, self.trigrams_total[some], len(own))))

    def gone(self, without):
        """Returns the words that no entry has but those to leave out."""
        left = set(map(int, without))
        own = {w for i in left for w in self.entries[i][0].split()}
        return {w for w in own if len(self.by_word[w]) <= len(left) and left.issuperset(self.by_word[w].tolist())}

    def evidence(self, text, without=()):
        """Returns [(label number, grade)] of the nearest labels, nearest first; without is of entries to leave out."""
        read = ()
        if self.speller:
            text, read = self.speller.correct(text, self.gone(without))
        some, by_words, by_trigrams = self.nearness(text, read, LEAST)
        score = (by_words + 2 * by_trigrams) // 3
        if len(without):
            score[np.isin(some, without)] = 0
        near = np.flatnonzero(score >= LEAST)
        if len(near) > BEST:  # all that are as near as the last one that counts
            near = near[score[near] >= np.partition(score[near], -BEST)[-BEST]]
        near = near[np.argsort(-score[near], kind="stable")][:BEST]
        labels = self.labels[some[near]].tolist()
        votes = {}
        for label in labels[:VOTERS]:
            votes[label] = votes.get(label, 0) + 1
        out = {}
        for label, i in zip(labels, near.tolist()):
            if label not in out:
                out[label] = f"{level(by_words[i], WORDS)}{level(by_trigrams[i], TRIGRAMS)}{level(votes.get(label, 0), VOTES)}"
                if len(out) == EVIDENCE:
                    break
        return list(out.items())
