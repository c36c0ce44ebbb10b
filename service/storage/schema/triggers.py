"""The triggers of the schema. Migrations make them; here each has a digest of its text.

A digest shows that a trigger in a database is the one that the migrations made. If a migration adds
or changes a trigger, `tests/storage/test_integrity.py` names the lines that belong here.
"""

from __future__ import annotations

import hashlib


def digest_of(text: str) -> str:
    """A short hash of a trigger's text, whatever its white space."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:16]


TRIGGERS: dict[str, dict[str, str]] = {
    "sqlite": {
        "aliases_one_step_insert": "a6c726b8f65b3034",
        "aliases_one_step_update": "e43192860fb1109d",
        "attestations_no_delete": "4b48960d37879d75",
        "attestations_no_update": "54b87bb6128b04c0",
        "audit_no_delete": "daa451369aa5e345",
        "audit_no_update": "e79b971912ce7f62",
        "captures_no_delete": "dde39671d4e7a107",
        "captures_no_update": "be48548501a2c202",
        "case_evidence_no_delete": "d62a280199f946ae",
        "case_evidence_no_update": "582e347a5d302fea",
        "cases_no_delete": "0ebc9162e2725e2c",
        "cases_no_update": "adc3f1992bc4bfca",
        "corrections_no_delete": "50c14d4edb9c16a6",
        "corrections_no_update": "3e5ea9d7bb9c76f2",
        "entries_no_delete": "458a73a74b23e59a",
        "entries_no_update": "90bc57fb3e32a7fd",
        "exposure_rates_note_delete": "967c4d306c51b141",
        "exposure_rates_note_insert": "8a8f6ddefb476e7c",
        "exposure_rates_note_update": "abd786617bdc3ea0",
        "limit_steps_note_delete": "7d334b781275758e",
        "limit_steps_note_insert": "6e67457fa95b67a2",
        "limit_steps_note_update": "1989ecae656a4e99",
        "listing_kinds_note_delete": "332dabcfa26f0e78",
        "listing_kinds_note_insert": "c286892b6cefbd19",
        "listing_kinds_note_update": "404e7a1527f0705f",
        "listings_end_once": "d5ef852c885fd2b9",
        "listings_no_delete": "8c75337cef3f8cef",
        "listings_no_update": "b24459bde78d1ee6",
        "operators_note_delete": "d853cf82d3ed710a",
        "operators_note_insert": "adc52a7638e97dd1",
        "operators_note_update": "01ac6e4769d2929c",
        "policies_note_delete": "e515d8974a621828",
        "policies_note_insert": "76dbb2042e2f370e",
        "policies_note_update": "061e9c8917e101f1",
        "products_note_delete": "1608f5e18ab55ec6",
        "products_note_insert": "12ec1cf2f6b3ab5e",
        "products_note_update": "401e4d481881d4db",
        "proposals_no_delete": "1ef4b7cd16e0b36f",
        "proposals_no_update": "7413c2d7ad91ab37",
        "sealed_heads_no_delete": "99d4389fa6a8d866",
        "sealed_heads_no_update": "3846755b343ccf26",
        "seals_no_delete": "3410914c23d0221a",
        "seals_no_update": "388db458f3839799",
    },
    "postgresql": {
        "aliases_one_step": "433f866331dd9ec5",
        "attestations_append_only": "7b173b190fcd32f3",
        "attestations_keep_all": "11ca081d235dfe61",
        "audit_append_only": "9bae49983d9081d0",
        "audit_keep_all": "751585bd79d86de8",
        "captures_append_only": "d07f05a8dc18c6c3",
        "captures_keep_all": "ae6159dfa5507240",
        "case_evidence_append_only": "ae8e537c4b31bab7",
        "case_evidence_keep_all": "3324a36de2ddcceb",
        "cases_append_only": "239b8068e2c05eeb",
        "cases_keep_all": "d1a48895e9fd5e62",
        "corrections_append_only": "38471d54c3c48ae9",
        "corrections_keep_all": "e68f28a98f8060dc",
        "entries_append_only": "79202340dfeccfb7",
        "entries_keep_all": "f43a92cb5da8b893",
        "exposure_rates_note": "ae412e9c01391bab",
        "exposure_rates_note_all": "da6e5536986671e4",
        "limit_steps_note": "003545cd27d13665",
        "limit_steps_note_all": "e7f96cd512682d3d",
        "listing_kinds_note": "01c71682119dfdf1",
        "listing_kinds_note_all": "d5e92d9a8f391155",
        "listings_append_only": "eb407b8d5d33930a",
        "listings_end_once": "d0e21b14ae1cb26a",
        "listings_keep_all": "13cee3acc0c9e9b4",
        "operators_note": "d8256c06b085dbb5",
        "operators_note_all": "ba59463ad7e54a5c",
        "policies_note": "c209100b85709ec7",
        "policies_note_all": "f852e7bc5929d765",
        "products_note": "a17bf505e7582c61",
        "products_note_all": "bc21ea8e9175e218",
        "proposals_append_only": "1eebdfbdef38e23a",
        "proposals_keep_all": "666f5de71af3fe5e",
        "sealed_heads_append_only": "4ec3fe1152fcf420",
        "sealed_heads_keep_all": "1b0da779d5dffa9e",
        "seals_append_only": "905359a323726022",
        "seals_keep_all": "848f0ffafa4487b3",
    },
}
"""For each kind of database, the digest of each trigger."""
