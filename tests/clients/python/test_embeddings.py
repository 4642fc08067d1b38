import math

import pytest
from openai import BadRequestError, OpenAI

from conftest import CHAT_MODEL, EMBEDDING_MODEL

TEXTS = [
    "The lighthouse on the cape is lit every night.",
    "Is the lighthouse lit at night?",
    "Sourdough bread needs a starter.",
]


def embed(client: OpenAI, texts: str | list, **options) -> list[list[float]]:
    return [entry.embedding for entry in client.embeddings.create(model=EMBEDDING_MODEL, input=texts, **options).data]


def cosine(a: list[float], b: list[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def test_answer_is_complete(client: OpenAI):
    answer = client.embeddings.create(model=EMBEDDING_MODEL, input=TEXTS)
    assert answer.object == "list"
    assert answer.model == EMBEDDING_MODEL
    assert [entry.index for entry in answer.data] == [0, 1, 2]
    assert {entry.object for entry in answer.data} == {"embedding"}
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > len(TEXTS)


def test_like_texts_are_near(client: OpenAI):
    lit, question, bread = embed(client, TEXTS)
    assert cosine(lit, question) > cosine(lit, bread)
    assert cosine(lit, lit) == pytest.approx(1, abs=1e-5)


def test_both_encodings_say_the_same(client: OpenAI):
    # The client asks for base64 and decodes it, unless it is told otherwise.
    assert embed(client, TEXTS[0]) == [pytest.approx(vector) for vector in embed(client, TEXTS[0], encoding_format="float")]


def test_token_ids_are_taken(client: OpenAI):
    (one,) = embed(client, [300, 301, 302])
    (same, other) = embed(client, [[300, 301, 302], [400]])
    assert one == same != other


def test_shorter_vectors(client: OpenAI):
    (short,) = embed(client, TEXTS[0], dimensions=64)
    assert len(short) == 64
    assert cosine(short, short) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": CHAT_MODEL, "input": "hello"}, "gives no embeddings"),
        ({"model": EMBEDDING_MODEL, "input": ["fine", "one two three four " * 2000]}, r"input\[1\]"),
        ({"model": EMBEDDING_MODEL, "input": []}, "input"),
        ({"model": EMBEDDING_MODEL, "input": "hello", "dimensions": 100_000}, "dimensions"),
    ],
)
def test_what_cannot_be_embedded_is_refused(client: OpenAI, options: dict, words: str):
    with pytest.raises(BadRequestError, match=words):
        client.embeddings.create(**options)


def test_an_embedding_model_does_not_chat(ask):
    with pytest.raises(BadRequestError, match="writes no text"):
        ask(model=EMBEDDING_MODEL)
