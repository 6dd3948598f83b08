"""Laws of the page: no text gets out of its place, the same bytes for the same run, bounded size."""

import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from example_run import EXAMPLE, HOSTILE, failed, hostile, kept, refined, ungraded, write_run

from rubricate.errors import DataError, RunError
from rubricate.report.page import joined, render_page, shortlist, text_limit, write_report
from rubricate.runs.summary import summarize

GOLDEN = Path(__file__).parent / "golden" / "report.html"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u206f\ufeff]")


class Outline(HTMLParser):
    """What a browser would make of a page: tags with their attributes, ids, links, scripts, and text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in {"meta", "input"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        self.text += data

    def values(self, name: str) -> list[str | None]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def page_of(*made, **options) -> bytes:
    records = [record for _, record in made]
    views = joined(shortlist(records, 200), [pool for pool, _ in made])
    return render_page("a run", summarize(records), views, **options)


@pytest.fixture(scope="module")
def hostile_page() -> Outline:
    return Outline(page_of(*(make() for make in EXAMPLE)))


def test_golden(tmp_path):
    """The page of a small run is the one that was looked at. RUBRICATE_REWRITE_GOLDEN=1 rewrites it."""
    page = write_report(write_run(tmp_path / "golden-run", kept(), failed(), ungraded())).read_bytes()
    if os.environ.get("RUBRICATE_REWRITE_GOLDEN") == "1":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_bytes(page)
    assert page == GOLDEN.read_bytes()


def test_same_folder_same_bytes(tmp_path):
    """No date, no order of arrival, nothing of this machine."""
    made = [make() for make in EXAMPLE]
    first = write_report(write_run(tmp_path / "here" / "run", *made)).read_bytes()
    second = write_report(write_run(tmp_path / "there" / "run", *made)).read_bytes()
    assert first == second
    assert str(tmp_path).encode() not in first


def test_no_text_makes_a_tag(hostile_page):
    """The page holds the tags of our template only, one style, one script, all closed in order."""
    ours = Outline(page_of(refined(), kept(), failed(), ungraded()))
    assert set(hostile_page.tags) == set(ours.tags)
    assert hostile_page.tags.count("script") == hostile_page.tags.count("style") == 1
    assert hostile_page.open == []


def test_no_text_makes_an_attribute(hostile_page):
    """No handler, no style attribute, no address but a place in the page itself."""
    names = {name for _, name, _ in hostile_page.attributes}
    assert not any(name.startswith("on") for name in names)
    assert names.isdisjoint({"style", "src", "srcdoc", "action", "formaction", "xlink:href", "ping"})
    assert all(re.fullmatch(r"#(prompts|p\d+-r\d+)", value) for value in hostile_page.values("href"))
    assert {tag for tag, name, _ in hostile_page.attributes if name == "href"} == {"a"}
    assert len(hostile_page.values("id")) == len(set(hostile_page.values("id")))


def test_text_is_shown_as_it_is(hostile_page):
    """Escaped is not lost: markup, template syntax and an emoji of several parts read as written."""
    for text in (HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[5], HOSTILE[7], HOSTILE[8]):
        assert text in hostile_page.text


def test_nothing_hidden_stays_hidden(hostile_page):
    """Controls, zero-width characters, bidi orders and tags stand as words, in texts and in tooltips."""
    shown = "⟨U+202E⟩gnp.exe⟨U+202C⟩ reversed, zero⟨U+200B⟩width, ⟨U+2066⟩isolated⟨U+2069⟩, tag⟨U+E0041⟩s"
    assert shown in hostile_page.text
    assert not CONTROLS.search(hostile_page.text)
    assert not any(CONTROLS.search(value or "") for _, _, value in hostile_page.attributes)


def test_the_policy_allows_nothing_but_our_style_and_script(hostile_page):
    """And stands before anything that it governs."""
    policies = [value for value in hostile_page.values("content") if value and "default-src" in value]
    assert len(policies) == 1
    allowed = dict(part.split(" ", 1) for part in policies[0].split("; "))
    assert set(allowed) == {"default-src", "base-uri", "form-action", "style-src", "script-src"}
    assert allowed["default-src"] == allowed["base-uri"] == allowed["form-action"] == "'none'"
    assert all(re.fullmatch(r"'sha256-[\w+/]{43}='", allowed[name]) for name in ("style-src", "script-src"))
    assert hostile_page.tags.index("meta") < hostile_page.tags.index("style")


def test_no_address_of_any_machine():
    """A run without addresses in its texts makes a page without any."""
    assert b"://" not in page_of(refined(), kept(), failed(), ungraded())


def test_prompts_stand_failed_first_then_kept_then_refined():
    """Each group in input order; what is in the way of use comes first."""
    records = [record for _, record in (refined(), kept(), ungraded(), failed(), hostile())]
    assert [record.id for record in shortlist(records, 200)][:4] == [
        "contract-3",
        "grid-07",
        "tides-01",
        "bread",
    ]
    assert [record.id for record in shortlist(iter(records), 3)] == ["contract-3", "grid-07", "tides-01"]


def test_left_out_prompts_are_said(tmp_path):
    """Of five prompts two are shown, and the page says where the other three are."""
    folder = write_run(tmp_path / "run", *(make() for make in EXAMPLE))
    text = Outline(write_report(folder, shown_prompts=2).read_bytes()).text
    assert "2 of 5 prompts" in text and "The other 3 are in rubrics.jsonl" in text
    assert "Summarise the attached contract" in text and "Why are there two tides" not in text


def test_only_the_longest_texts_are_cut_and_it_is_said():
    """A text of 10,000 characters gives way, a short one does not."""
    whole = page_of(hostile(), kept())
    page = page_of(hostile(), kept(), largest=len(whole) - 5_000)
    assert "more characters are not shown here; the whole text is in pool.jsonl" in Outline(page).text
    assert b"more characters are not shown here" not in whole
    assert len(page) <= len(whole) - 5_000
    assert b"Three risks come to mind, in order of weight. 3" in page


def test_the_cut_is_the_largest_that_fits():
    """Three texts in 2,500 bytes: the short one whole, the other two share what is left."""
    assert text_limit([(500, 500), (3_000, 3_000), (9_000, 9_000)], 2_500) == 1_000
    assert text_limit([(500, 500), (700, 2_100)], 2_600) == 700
    assert text_limit([(3_000, 3_000)], 0) == 500


def test_a_page_is_never_larger_than_allowed():
    """Where cutting texts is not enough, prompts are left out, and said."""
    made = []
    for number in range(12):
        pool, record = refined()
        id = f"tides-{number}"
        prompt = msgspec.structs.replace(pool.prompt, id=id)
        made.append((msgspec.structs.replace(pool, prompt=prompt), msgspec.structs.replace(record, id=id)))
    page = page_of(*made, largest=250_000)
    assert len(page) <= 250_000
    assert re.search(r"\d of 12 prompts, failed ones first", Outline(page).text)


def test_verdicts_can_be_told_apart_without_colour():
    """Met, unmet and unjudged have signs of their own; a program's verdict and a pitfall are marked."""
    page = page_of(refined()).decode()
    for cell in (
        '<td data-v="y">✓</td>',
        '<td data-v="n">–</td>',
        '<td data-v="q" title="the reply was cut off at 512 tokens">?</td>',
        '<td data-v="y" class="b">✓</td>',
        '<td data-v="y" class="p">✓</td>',
    ):
        assert cell in page


def test_gold_is_called_a_reference_and_only_shown_where_there_is_any():
    """No reader takes it for something that the run has used."""
    assert "No model of this run has seen it." in page_of(refined()).decode()
    assert "No model of this run has seen it." not in page_of(kept()).decode()


def test_every_prompt_opens_by_keyboard_and_the_first_is_open(hostile_page):
    """Prompts are native details with a summary; tables that may scroll can be focused and have a name."""
    assert hostile_page.tags.count("summary") == hostile_page.tags.count("details")
    assert hostile_page.values("tabindex").count("0") == hostile_page.values("role").count("region") > 0
    page = page_of(refined(), kept()).decode()
    assert re.findall(r'<details class="prompt" id="p(\d)" data-state="\w+"( open)?>', page) == [
        ("1", " open"),
        ("2", ""),
    ]


def test_a_run_of_nothing_has_a_page():
    """Zero prompts are no reason to crash."""
    assert "What became of 0 prompts" in Outline(page_of()).text


def test_a_pool_of_another_run_is_refused():
    """A prompt or a response that the journal speaks of and the pool lacks is a mistake of the folder."""
    pool, record = kept()
    with pytest.raises(DataError, match=r"pool\.jsonl: has no prompt 'grid-07'"):
        joined([record], [])
    short = msgspec.structs.replace(pool, responses=pool.responses[:1])
    with pytest.raises(DataError, match="pool and journal are of different runs"):
        joined([record], [short])


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    """The file that is missing is named; a broken line has its number."""
    with pytest.raises(RunError, match=r"is no run folder: config\.yaml is missing"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())
    folder = write_run(tmp_path / "run", kept())
    with (folder / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"key": 1}\n')
    with pytest.raises(DataError, match=r"journal\.jsonl:2: not a journal line"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_settings_are_shown_and_missing_ones_are_no_crash(tmp_path):
    """The facts at the top come from config.yaml; without the file there are none."""
    folder = write_run(tmp_path / "run", kept())
    text = Outline(write_report(folder).read_bytes()).text
    assert "Proposeropenai/gpt-4.1" in text.replace("\n", "") and "Gateon" in text.replace("\n", "")
    (folder / "config.yaml").write_text("", encoding="utf-8")
    assert "Proposer" not in Outline(write_report(folder).read_bytes()).text
    shutil.rmtree(folder)
