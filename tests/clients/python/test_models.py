import pytest
from openai import NotFoundError, OpenAI

from conftest import CHAT_MODEL, SMALL_CONTEXT_MODEL


def test_list_holds_the_shipped_models(client: OpenAI):
    listed = client.models.list().data
    ids = [model.id for model in listed]
    assert CHAT_MODEL in ids
    assert SMALL_CONTEXT_MODEL in ids
    assert len(set(ids)) == len(ids)
    assert all(model.object == "model" and model.owned_by for model in listed)


def test_each_listed_model_can_be_retrieved(client: OpenAI):
    for model in client.models.list():
        assert client.models.retrieve(model.id) == model


def test_unknown_model_is_not_found(client: OpenAI):
    with pytest.raises(NotFoundError) as caught:
        client.models.retrieve("no-such-model")
    assert "no-such-model" in caught.value.message
