"""Misspellings, so that the model also knows words by their parts."""

KEYS = {
    "q": "wa", "w": "qes", "e": "wrd", "r": "etf", "t": "ryg", "y": "tuh", "u": "yij", "i": "uok", "o": "ipl", "p": "ol",
    "a": "qsz", "s": "adw", "d": "sfe", "f": "dgr", "g": "fht", "h": "gjy", "j": "hku", "k": "jli", "l": "kop",
    "z": "xas", "x": "zcd", "c": "xvf", "v": "cbg", "b": "vnh", "n": "bmj", "m": "nk",
}


def misspell_word(r, word):
    """Changes one word of at least four letters."""
    k = r.randrange(1, len(word) - 1)
    way = r.random()
    if way < 0.22:  # a letter missing
        return word[:k] + word[k + 1:]
    if way < 0.44:  # two letters swapped
        return word[:k] + word[k + 1] + word[k] + word[k + 2:]
    if way < 0.58:  # a letter doubled
        return word[:k] + word[k] + word[k:]
    if way < 0.74:  # a neighbouring key
        return word[:k] + r.choice(KEYS.get(word[k], word[k])) + word[k + 1:]
    if way < 0.90:  # clipped
        return word[: max(3, min(k + 2, len(word) - 1))]
    short = word[0] + "".join(c for c in word[1:] if c not in "aeiou")  # without its vowels
    return short if len(short) > 2 else word


def misspell(r, text):
    """Changes one word of a normalised text, joins two, or shortens all."""
    parts = text.split()
    if len(parts) > 1 and r.random() < 0.15:  # all words clipped, or all without vowels
        clip = r.random() < 0.5
        return " ".join((w[:r.choice((3, 4))] if clip else w[0] + "".join(c for c in w[1:] if c not in "aeiou")) if len(w) > 4 else w for w in parts)
    long = [i for i, w in enumerate(parts) if len(w) > 3 and w.isalpha()]
    if len(parts) > 1 and (not long or r.random() < 0.25):
        i = r.randrange(len(parts) - 1)
        if (parts[i] + parts[i + 1]).isalpha():  # a number always stands alone
            parts[i: i + 2] = [parts[i] + parts[i + 1]]
    elif long:
        i = r.choice(long)
        parts[i] = misspell_word(r, parts[i])
    return " ".join(parts)
