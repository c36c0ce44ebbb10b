"""The owner's declarations in a spec: the card, and that outcomes are simulated."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import manifest, page, spec, train
from models.errors import SpecError
from models.scorer import ModelScorer
from service.cli.serve import require_real
from service.storage.models import ModelSimulated
from tests.models.small_tables import A, B, Trained, spec_of, table, toml, tree
from tests.models.test_cases import file_of, lines
from tests.shell import forked_workers

CARD = """
[card]
owner = "credit risk <Ada>"
tier = "high"
intended_uses = ["the deposit of a rental"]
forbidden_uses = ["employment"]
review_triggers = ["a new product"]
"""


def trained(folder: Path, *, simulated: bool, more: str) -> Trained:
    document = tree([A, B])
    text = toml(document) + more
    if simulated:
        text = text.replace("[label]\n", "[label]\nsimulated = true\n")
    (folder / "table.csv").write_text(file_of(lines(table())), encoding="utf-8")
    (folder / "spec.toml").write_text(text, encoding="utf-8")
    with forked_workers():
        metrics = train.train(folder / "spec.toml", folder / "model", progress=False, jobs=1)
    return Trained(metrics, ModelScorer.load(folder / "model"))


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of simulated outcomes with a card."""
    return trained(tmp_path_factory.mktemp("card"), simulated=True, more=CARD)


def test_a_card_is_in_the_manifest_and_in_the_report(declared: Trained) -> None:
    """The manifest has the card that the spec declares, and the report shows it."""
    assert declared.scorer.manifest.document["card"] == {
        "owner": "credit risk <Ada>", "tier": "high",
        "intended_uses": ["the deposit of a rental"], "forbidden_uses": ["employment"],
        "limitations": [], "review_triggers": ["a new product"],
    }  # fmt: skip
    shown = page.of(declared.metrics, "0" * 64)
    section = shown[shown.index('<section id="card">') :]
    assert "Owner: credit risk &lt;Ada&gt;. Tier: high." in section
    for text in ("the deposit of a rental", "employment", "a new product"):
        assert f"<li>{text}</li>" in section
    assert "Limitations" not in section


def test_simulated_outcomes_are_the_first_warning(declared: Trained) -> None:
    """The warnings, and so the report, begin with the simulated outcomes."""
    assert declared.metrics["warnings"][0].startswith("the outcomes are simulated")


def test_a_model_of_simulated_outcomes_is_served_in_a_sandbox_only(declared: Trained) -> None:
    """A server refuses a model of simulated outcomes outside a sandbox, and so does an earlier
    build, which does not know its schema."""
    assert declared.scorer.manifest.document["schema"] == manifest.LATER_SCHEMA
    require_real(declared.scorer, sandbox=True)
    with pytest.raises(ModelSimulated, match="serve it in a sandbox"):
        require_real(declared.scorer, sandbox=False)


def test_a_spec_without_declarations_makes_the_model_of_earlier_builds(scorer: ModelScorer) -> None:
    """Without a card and with real outcomes, manifest and server are as before."""
    document = scorer.manifest.document
    assert document["schema"] == manifest.SCHEMA
    assert "card" not in document
    assert "simulated" not in document["label"]
    require_real(scorer, sandbox=False)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"owner": ""}, "card.owner"),
        ({"tier": "huge"}, "card.tier"),
        ({"intended_uses": []}, "card.intended_uses"),
        ({"limitations": [" "]}, "card.limitations"),
        ({"used_by": "us"}, "card.used_by"),
    ],
)
def test_a_wrong_card_is_refused_by_its_key(changed: dict[str, object], key: str) -> None:
    """A card without an owner, a tier or a use, or with an unknown key, is an error of the spec."""
    card = {"owner": "us", "tier": "low", "intended_uses": ["deposits"], **changed}
    with pytest.raises(SpecError) as raised:
        spec.parse({**tree([A, B]), "card": card}, path=Path("spec.toml"), sha256="")
    assert raised.value.key == key
    assert spec_of([A, B]).card is None
