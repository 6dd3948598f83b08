"""What a reward model reads: cut, never dropped; the same in training and in scoring."""

from __future__ import annotations

import pytest

from rubricate.domain.conversation import Message, Prompt
from rubricate.reward_model.texts import TextForm, encoded, kind_for, room_of
from tests.reward_model.models import TEMPLATE, a_decoder, an_encoder


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models")
    made = {
        "pair": an_encoder(folder / "encoder"),
        "plain": a_decoder(folder / "decoder"),
        "chat": a_decoder(folder / "chat", template=TEMPLATE),
    }
    return {kind: transformers.AutoTokenizer.from_pretrained(path) for kind, path in made.items()}


PROMPT = Prompt.of_text("a b c d e f g h")


def words(tokenizer, form, response, prompt=PROMPT):
    found = encoded(tokenizer, form, prompt, response)
    return tokenizer.convert_ids_to_tokens(found.ids), found.is_cut


class TestForms:
    def test_the_form_follows_from_the_tokenizer(self, tokenizers):
        assert {kind: kind_for(tokenizer) for kind, tokenizer in tokenizers.items()} == {
            kind: kind for kind in tokenizers
        }

    def test_whole_texts(self, tokenizers):
        """An encoder gets two segments; a decoder a text that ends; a chat its turns."""
        prompt = Prompt.of_text("a b")
        told = {
            kind: words(tokenizers[kind], TextForm(kind, 64), "sun", prompt)
            for kind in ("pair", "plain", "chat")
        }
        assert told["pair"] == (["[CLS]", "a", "b", "[SEP]", "sun", "[SEP]"], False)
        assert told["plain"] == (["a", "b", "sun", "</s>"], False)
        assert told["chat"] == (["<user>", "a", "b", "</s>", "<assistant>", "sun", "</s>"], False)


class TestCutting:
    @pytest.mark.parametrize("kind", ["pair", "plain", "chat"])
    @pytest.mark.parametrize("room", [8, 9, 12, 16])
    def test_it_fits_and_keeps_what_frames_it(self, tokenizers, kind, room):
        """Whatever is cut, the special tokens and the turns stay."""
        told, is_cut = words(tokenizers[kind], TextForm(kind, room), "i j k l m n o p")
        assert is_cut and len(told) <= room
        whole, _ = words(tokenizers[kind], TextForm(kind, 64), "i j k l m n o p")
        frame = {"[CLS]", "[SEP]", "</s>", "<user>", "<assistant>"}
        assert [word for word in told if word in frame] == [word for word in whole if word in frame]

    def test_the_prompt_loses_its_beginning_first(self, tokenizers):
        """19 tokens into 14: five of the prompt go, none of the response."""
        told, is_cut = words(tokenizers["pair"], TextForm("pair", 14, prompt_share=0.0), "i j k l m n o p")
        assert (told, is_cut) == (["[CLS]", *"fgh", "[SEP]", *"ijklmnop", "[SEP]"], True)

    def test_then_the_response_loses_its_end(self, tokenizers):
        """The prompt keeps a quarter of 12, that is 3; special tokens take 3, so the response has 6."""
        told, _ = words(tokenizers["pair"], TextForm("pair", 12), "i j k l m n o p")
        assert told == ["[CLS]", *"fgh", "[SEP]", *"ijklmn", "[SEP]"]

    def test_or_its_beginning(self, tokenizers):
        form = TextForm("pair", 12, response_cut="start")
        assert words(tokenizers["pair"], form, "i j k l m n o p")[0] == [
            "[CLS]",
            *"fgh",
            "[SEP]",
            *"klmnop",
            "[SEP]",
        ]

    def test_early_turns_go_before_late_ones(self, tokenizers):
        turns = (Message("user", "a b c"), Message("assistant", "d e"), Message("user", "f g"))
        told, _ = words(tokenizers["chat"], TextForm("chat", 13), "sun", Prompt("", turns))
        assert len(told) == 13
        assert told[:6] == ["<user>", "</s>", "<assistant>", "d", "e", "</s>"]
        assert told[-7:] == ["<user>", "f", "g", "</s>", "<assistant>", "sun", "</s>"]

    def test_a_room_smaller_than_the_frame(self, tokenizers):
        """There is nothing left to cut but the frame; still a text of that length."""
        told, is_cut = words(tokenizers["chat"], TextForm("chat", 3), "sun")
        assert len(told) <= 3 and is_cut

    def test_a_template_that_refuses_is_told(self, tokenizers):
        prompt = Prompt("", (Message("system", "a"), Message("user", "b")))
        with pytest.raises(ValueError, match="does not take these messages: no system turn"):
            encoded(tokenizers["chat"], TextForm("chat", 64), prompt, "sun")


def test_room(tokenizers):
    """What is asked for, and no more than the positions of the model."""

    class Config:
        max_position_embeddings = 64

    assert room_of(Config(), tokenizers["pair"], 32) == 32
    assert room_of(Config(), tokenizers["pair"], 8192) == 64
    assert room_of(object(), tokenizers["pair"]) == 8192
