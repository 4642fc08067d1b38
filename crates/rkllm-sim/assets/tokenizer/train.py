#!/usr/bin/env python3
"""Trains the byte-level BPE vocabulary that every simulated model shares and writes its merges to base.merges.

    python3 -m venv venv && venv/bin/pip install tokenizers jieba ipadic wordninja
    apt-get download sword-text-web sword-text-sparv wngerman wfrench wspanish hunspell-ru
    for deb in *.deb; do dpkg-deb -x "$deb" root; done
    venv/bin/python train.py root ~/.cargo/registry/src > base.merges

What it reads: two public-domain Bibles (World English Bible, Reina-Valera 1909), Debian's word lists, the dictionaries of
jieba (MIT), wordninja (MIT) and ipadic, documentation and source of the Rust crates in the registry's cache (MIT or Apache-2.0), and
JSON in the shape of tool definitions that is made up here. One merge per line, in order; id = 256 + line, from 0.
"""
import glob, gzip, json, os, random, re, struct, sys, zlib

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

ROOT, CRATES = sys.argv[1], sys.argv[2]
VOCABULARY = 20_000
PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
rng = random.Random(3588)


def bible(module):
    """The plain text of a SWORD zText module."""
    for part in ("ot", "nt"):
        base = f"{ROOT}/usr/share/sword/modules/texts/ztext/{module}/{part}"
        index, data = open(base + ".bzs", "rb").read(), open(base + ".bzz", "rb").read()
        for at in range(0, len(index), 12):
            start, size, _ = struct.unpack_from("<III", index, at)
            text = zlib.decompress(data[start : start + size]).decode("utf-8", "ignore")
            yield re.sub(r"\s+", " ", re.sub(r"<note.*?</note>|<[^>]*>", "", text, flags=re.S)).strip()


def words(path, count):
    """A fixed sample of a word list, as running text."""
    listed = [line.split("/")[0].strip() for line in open(path, encoding="utf-8", errors="ignore")]
    listed = [word for word in listed if word.isalpha()]
    return " " + " ".join(rng.sample(listed, min(count, len(listed))))


def listed_english():
    """The 12,000 most frequent words of wordninja's list."""
    import wordninja

    path = os.path.dirname(wordninja.__file__) + "/wordninja/wordninja_words.txt.gz"
    return [word for word in gzip.open(path, "rt").read().split() if len(word) > 2][:12_000]


def common_english():
    """Those words by Zipf's law: in running text, as a key, opening a sentence."""
    for rank, word in enumerate(listed_english()):
        count = min(3_000, 800_000 // (rank + 40))
        yield f" {word}" * count + f"\n{word}" * (count // 4) + f"_{word}" * (count // 10)
        yield f"\n{word.capitalize()}" * (count // 10) + f" {word.capitalize()}" * (count // 10)


def chinese():
    """Words of jieba's dictionary, the frequent ones more often."""
    import jieba

    for line in jieba.get_dict_file():
        word, count, *_ = line.decode("utf-8").split()
        if int(count) > 200:
            yield (word + "\n") * min(int(count) // 200 + 1, 600)


def japanese():
    """Base forms and readings of ipadic."""
    import ipadic

    data = open(ipadic.DICDIR + "/sys.dic", "rb").read()
    rows = {row for row in data.split(b"\0") if row.count(b",") >= 6}
    forms = sorted({row.decode("utf-8", "ignore").split(",")[6] for row in rows})
    # A dictionary holds no inflections: the commonest endings and particles stand in for running text.
    endings = "です ます でした ました ません ください して いる ある した する には では から まで ので こと もの ように どの"
    return "\n".join(rng.sample(forms, min(40_000, len(forms))) + endings.split() * 500)


def crates():
    """Prose and code of crates: README files, a third of the documentation comments, a twentieth of the source."""
    for path in sorted(glob.glob(CRATES + "/*/*/README.md") + glob.glob(CRATES + "/*/*/CHANGELOG.md")):
        yield open(path, encoding="utf-8", errors="ignore").read()[:20_000]
    sources = sorted(glob.glob(CRATES + "/*/*/src/**/*.rs", recursive=True))
    for number, path in enumerate(sources):
        text = open(path, encoding="utf-8", errors="ignore").read()[:60_000]
        if number % 3 == 0:
            yield "\n".join(re.findall(r"^\s*//[/!]? (.*)$", text, flags=re.M))
        if number % 20 == 0:
            yield text


def tool_definitions():
    """Tool definitions as chat clients send them, with made-up words in a real shape."""
    listed = listed_english()[200:6_000]
    for _ in range(12_000):
        name, *rest = rng.sample(listed, 14)
        types = rng.choices(["string", "integer", "boolean", "number", "array", "object"], k=4)
        shapes = [
            "The {} of the {} (default: {})",
            "{} {}: \"{}\", or null.",
            "{} {}\nUse \"{}\" here, e.g. {{\"id\": \"...\"}}, or [\"a\", \"b\"].\nOptional.",
        ]
        fields = {
            f"{word}_{rest[9]}" if kind == "string" else word: {
                "description": rng.choice(shapes).format(word.capitalize(), name, rest[4]),
                "default": rng.choice([None, "", 10, True, {}, []]),
                "type": kind,
            }
            for word, kind in zip(rest, types)
        }
        function = {
            "name": f"{rest[5]}_{name}",
            "description": f"{rest[6].capitalize()} {rest[7]}; {rest[8]}.\nDo it for \"{rest[9]}\" (key={rest[10]}).",
            "parameters": {"type": "object", "properties": fields, "required": rest[:2]},
        }
        separators = rng.choice([(",", ":"), (", ", ": ")])
        yield json.dumps({"type": "function", "function": function}, separators=separators)
        yield json.dumps({"role": "user", "content": " ".join(rest[9:])}, indent=2)


def corpus():
    yield from list(bible("engWEB2015eb"))[::3]
    yield from list(bible("spaRV1909eb"))[::3]
    yield from tool_definitions()
    # Today's technical English weighs more here than the Bible's.
    yield from list(crates()) * 2
    lists = f"{ROOT}/usr/share/dict"
    yield from common_english()
    yield words(f"{lists}/ngerman", 30_000)
    yield words(f"{lists}/french", 30_000)
    yield words(f"{lists}/spanish", 10_000)
    yield words(f"{ROOT}/usr/share/hunspell/ru_RU.dic", 40_000)
    yield from chinese()
    yield japanese()


def main():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        limit_alphabet=256,
        max_token_length=24,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    for left, right in json.loads(tokenizer.to_str())["model"]["merges"]:
        print(left, right)


main()
