"""Released migrations never change, because databases were made with them."""

from __future__ import annotations

import hashlib

import pytest

from service.storage.migrate import MIGRATIONS

VERSIONS = MIGRATIONS / "versions"
RELEASED = {
    "0001_first_schema.py": "e1a4ad50ef81b4388823750932a3bc43",
    "0002_append_only.py": "b56cff2fbb97d03f3a8c635a7743e12d",
    "0003_terms_refer.py": "3977f8db3555397f524f7a4fb30506f6",
    "0004_earlier_word_of_a_transfer.py": "db0bb02fdaf4fc297c1c0cafa283173c",
    "0005_features_at_fault.py": "f69143c20d943516a037666dc5de102f",
    "0006_formats.py": "9c84c8e816303b819c5af3fa56c7b176",
    "0007_arrivals_and_changes.py": "6b1125cf98986968e674f71282fcda56",
    "0008_kept_score.py": "7d67bdcca2ef182bb5f7da6db2d35bcf",
    "0009_events_tell_all.py": "06d76ff2872b279af23682a224bd49c3",
    "0010_money_that_went_twice.py": "5f9f446a3c879445f5d8519cb01daf5c",
    "0011_late_reports.py": "27bff983727b687f66be74b8715d9729",
    "0012_captures.py": "f6baac7b5e4abd9386d0109b9a587dde",
    "0013_refunds_and_debts.py": "4f530dcbbe24ea85e1d2d6bc5d0e7833",
    "0014_debts_without_a_hold.py": "48574f9b23d2225e8b6d40a560e3dd01",
    "0015_cases.py": "79d913b2b636d81cc76e5747e2ccbdf1",
    "0016_attestations.py": "1f467cb2cad442dfd0de5f0a38f0af20",
    "0017_rail_accounts.py": "5e13642f2f3976bfb609e89d4ce32e9a",
    "0018_late_pickups.py": "c759c065f8e51e7fcd708d62b1ed6516",
    "0019_charge_backs.py": "707ff7def6ac569f4c08ad41ba6935ba",
    "0020_details_of_orders.py": "2a966a9e2843f4c8bb4a536a01f689fd",
    "0021_consent_and_bounds.py": "cfc43ce682cd414a323b410e49f04104",
    "0022_told_beside.py": "d48ea40413e60f4f75d7d7a71d142dab",
    "0023_keys_bound_to_certificates.py": "47de41e3cb82ff07424a29ab98a24c77",
    "0024_administration.py": "d2264618bd58f5d110d815bd42851472",
    "0025_lists_by_state.py": "583601e73d7e001f62f6a7716ad35430",
    "0026_bounds_of_increments.py": "53a9454deb519a2af3e01dee3ae801f0",
    "0027_rules_of_admission.py": "12e6ea15dec274269b35beab5325abee",
    "0028_names_of_line_items.py": "6e2ac039df33b79b01b38d387f86518c",
    "0029_identities.py": "d3699a979dfa1cf586d46dc1663b3611",
    "0030_listings.py": "92e39efadc7e6a5d698b953f8f967c50",
    "0031_counts_of_rentals.py": "0742c55ff3486d7a257e6f2288b32856",
    "0032_segment_tariffs.py": "38a995b0cd7468e6c233aa7f11cbfc9a",
    "0033_total_exposure.py": "1622131123db2ee8c2f86cf804ba7db3",
    "0034_quotas_of_free_minutes.py": "bc76e5b683f58f350f6fef410938ce95",
    "0035_documents_of_terms.py": "cc93b245955e8ba2ff1a9e6c27cad5ec",
    "0036_rates_of_keys.py": "b48ffc6ddb8894f3ff0c87bb3ee3198f",
    "0037_budgets.py": "9b927ac23021e3c5dde650f90afd8610",
    "0038_models_and_texts.py": "14a750815804a7886b40e6bf56f3afcf",
    "0039_reservations.py": "40f1c4e0d2ce3b9f0bbe645bde3a2e8c",
    "0040_breakers.py": "59c037faeb2c725c28f0f121bde8e717",
    "0041_prices_of_places.py": "5e7091ed554d50a684b0d257fd7bbef3",
    "0042_fees_of_orders.py": "2fa67b63c7d253370a812841e4d8842b",
    "0043_scores_of_features.py": "78244bf324278d79b1185e3d0ca4d3c5",
    "0044_passes.py": "ae0d51bf62149b68a1f463b4222c23a0",
    "0045_places_stay.py": "dc0f2318b57b27483fe08314106b7f4c",
    "0046_findings.py": "8eb8c8a5aa4d8cbefbbb682f84ca712d",
    "0047_verdicts.py": "b54bf24b2274fcc1fe9459b26422c6fd",
}
"""Half of the SHA-256 of each migration's file: a new migration adds a line, and no line ever
changes."""


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_a_released_migration_is_unchanged(name: str) -> None:
    """The file of a released migration exists and has not changed by a byte: a change of the schema
    is a new revision."""
    found = hashlib.sha256((VERSIONS / name).read_bytes()).hexdigest()[:32]
    assert found == RELEASED[name], f"{name} was released and is frozen: add a new revision"


def test_every_migration_is_listed() -> None:
    """A new migration is added to the list above, so it is frozen from its first commit on."""
    assert {path.name for path in VERSIONS.glob("*.py")} == set(RELEASED)
