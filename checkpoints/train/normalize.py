"""The normaliser "words": every spelling of a label becomes the same lower-case words.

services/mapper/normalize.go does the same; services/mapper/testdata/normalize.jsonl holds both to it.
"""
import unicodedata

PROTECTED = [form for word in (
    "IPv4", "IPv6", "OAuth", "OpenAI", "GitHub", "GitLab", "LinkedIn", "YouTube", "WhatsApp", "TikTok",
    "WeChat", "PayPal", "iCloud", "iPhone", "iPad", "DDoS", "NoSQL", "MySQL", "WiFi", "JavaScript",
) for form in (word, word.lower(), word.upper())]


def pieces(run):
    """Splits a run of ASCII letters and digits at the borders of words and numbers."""
    i = 0
    while i < len(run):
        word = next((p for p in PROTECTED if run.startswith(p, i)), None)
        if word:
            end = i + len(word)
        elif run[i].isdigit():
            end = span(run, i, str.isdigit)
        elif run[i].islower():
            end = span(run, i, str.islower)
        else:
            end = span(run, i, str.isupper)
            lower = span(run, end, str.islower)
            if end - i == 1:
                end = lower  # a capitalised word
            elif lower - end == 1 and run[end] == "s":
                end = lower  # a plural acronym: IDs
            elif lower > end:
                end -= 1  # HTTPServer: the last capital begins the next word
        yield run[i:end].lower()
        i = end


def span(run, i, kind):
    while i < len(run) and kind(run[i]):
        i += 1
    return i


# Latin letters that have no decomposition.
LETTERS = str.maketrans({"\u00df": "ss", "\u1e9e": "SS", "\u00e6": "ae", "\u00c6": "AE", "\u0153": "oe", "\u0152": "OE", "\u00f8": "o", "\u00d8": "O",
                         "\u0142": "l", "\u0141": "L", "\u0111": "d", "\u0110": "D", "\u00f0": "d", "\u00d0": "D", "\u00fe": "th", "\u00de": "Th",
                         "\u0131": "i"})


def words(text):
    """Returns text as words of a-z and numbers, with one space between."""
    text = unicodedata.normalize("NFKD", text).translate(LETTERS)
    text = "".join(c for c in text if unicodedata.category(c) != "Mn")
    runs = "".join(c if c.isascii() and c.isalnum() else " " for c in text).split()
    return " ".join(p for run in runs for p in pieces(run))
