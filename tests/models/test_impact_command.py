"""`freehold model impact` by dates, texts and numbers on record."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from models.scorer import ModelScorer
from service.cli.impact_segments import MOST_GROUPS
from service.domain.access import PLATFORM
from service.engine.feature_values import pack
from service.engine.operations import PutUser
from service.engine.segments import MISSING
from service.storage.database import open_database
from service.storage.store import SqlStore
from tests.cli.test_impact import impact_of, stricter
from tests.fakes import START_US, Desk
from tests.models.watched_table import LEVELS


def test_a_date_and_a_missing_text_on_record(url: str, watched: Path, tmp_path: Path) -> None:
    """`--by` a date shows its years, and by a text the missing token of the spec as missing; a
    number that neither model knows falls into groups of equal size."""
    store, scorer = SqlStore(open_database(url)), ModelScorer.load(watched)
    desk = Desk(store, scorer=scorer)
    rows = np.load(watched / "rows.npy")[:60]
    names = (*scorer.raw_names[1:], "shoe size")
    for first in range(0, 60, 30):
        works = []
        for n in range(first, first + 30):
            job = "NA" if n % 3 == 0 else LEVELS[int(rows[n, 0])]
            texts = json.dumps({"job": job}, separators=(",", ":"))
            raw = pack([*rows[n, 1:].tolist(), math.nan if n == 7 else 30.0 + n])
            put = PutUser(f"u{n:02}", raw, START_US, True, names=names, texts=texts)
            works.append(desk.work(put, caller=PLATFORM))
        for it in desk.apply(*works):
            assert not isinstance(it, Exception), it
    store.close()
    by = [word for name in ("asked", "born", "job", "shoe size") for word in ("--by", name)]
    file = tmp_path / "impact.json"
    done = impact_of(url, watched, stricter(watched, tmp_path / "new"), *by, "--json", str(file))
    assert done.exit_code == 0, done.output
    segments = {
        it["name"]: it["groups"] for it in json.loads(file.read_text())["impact"]["segments"]
    }
    asked = [it["group"] for it in segments["asked"]]
    years = (1970 + rows[:, 4] / 365.25).astype(int)
    assert asked[0].startswith(str(years.min()))
    assert 1 < len(asked) <= MOST_GROUPS
    assert sum(it["people"] for it in segments["born"]) == 60
    assert len(segments["born"]) <= MOST_GROUPS
    jobs = {it["group"]: it["people"] for it in segments["job"]}
    assert jobs[MISSING] == 20
    assert "NA" not in jobs
    sizes = [it["group"] for it in segments["shoe size"]]
    assert sizes[0] == "up to 35"
    assert sizes[-1] == MISSING
    assert len(sizes) == 11
