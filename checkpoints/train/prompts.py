"""The form of a prompt: BOS <kind> evidence finding <A>; services/mapper/prompt.go makes the same."""
import lookup

ANSWER = "<A>"
MOST = 40  # tokens of a finding


def codes(labels):
    return [f"<L{i:02d}>" for i in range(len(labels))]


def grades():
    """The tokens that say how near a lexicon entry is."""
    return [f"<{g}>" for g in lookup.grades()]


def whole(tok):
    """Returns a function that tells whether a word is one piece of the vocabulary."""
    return lambda word: len(tok.encode(word)) == 1


class Prompts:
    """Makes the token ids of prompts, each field apart."""

    def __init__(self, tok):
        self.tok, self.answer = tok, tok.piece_to_id(ANSWER)
        self.codes = [tok.piece_to_id(f"<L{i:02d}>") for i in range(100)]
        self.grades = {g: tok.piece_to_id(f"<{g}>") for g in lookup.grades()}

    def __call__(self, kind, text, dropout=0.0, evidence=()):
        """evidence is [(label number, grade)]; dropout the share of merges left out, in training alone
        (BPE-dropout, Provilkov et al. 2020)."""
        ids = self.tok.encode(text, enable_sampling=True, nbest_size=-1, alpha=dropout) if dropout else self.tok.encode(text)
        out = [self.tok.bos_id(), self.tok.piece_to_id(kind)]
        for label, grade in evidence:
            out += [self.codes[label], self.grades[grade]]
        return out + ids[:MOST] + [self.answer]
