"""The path of the demo's model, which the README's commands name."""

from __future__ import annotations

from pathlib import Path

from service.demo.run import name_latest


def test_the_latest_model_has_a_fixed_path(tmp_path: Path) -> None:
    """`model` leads to the model that was trained last, and a second training moves it."""
    for name in ("first", "second"):
        (tmp_path / "models" / name).mkdir(parents=True)
        name_latest(tmp_path / "model", tmp_path / "models" / name)
        assert (tmp_path / "model").resolve() == tmp_path / "models" / name


def test_a_folder_of_an_earlier_build_stays(tmp_path: Path) -> None:
    """A folder that the demo of an earlier build wrote is not replaced."""
    (tmp_path / "models" / "first").mkdir(parents=True)
    (tmp_path / "model").mkdir()
    name_latest(tmp_path / "model", tmp_path / "models" / "first")
    assert not (tmp_path / "model").is_symlink()
