"""Fixtures of every test: a cache that holds the synthetic recordings, and the real recordings where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from heartzoo.data import synthetic
from heartzoo.data.databases import get_database

PHYSIONET = Path(__file__).parents[2] / "shared" / "data" / "physionet"


@pytest.fixture(scope="session")
def synthetic_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the 32 synthetic recordings at full length. Prepared stores pile up in it: do not damage it."""
    folder = tmp_path_factory.mktemp("cache")
    database = get_database("synthetic")
    synthetic.write(folder / database.name / database.version, database.records)
    return folder


@pytest.fixture
def cache(synthetic_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``synthetic_cache`` as this process' cache (and its children's), without a mirror."""
    monkeypatch.setenv("HEARTZOO_CACHE", str(synthetic_cache))
    monkeypatch.delenv("HEARTZOO_MIRROR", raising=False)
    return synthetic_cache


@pytest.fixture(scope="session")
def physionet() -> Path:
    """Real recordings in PhysioNet's layout. Only for reading. Mark a test that asks for it with ``data``."""
    if not PHYSIONET.is_dir():
        pytest.skip(f"real recordings are not here: {PHYSIONET}")
    return PHYSIONET


@pytest.fixture
def physionet_cache(physionet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache that fetches from ``physionet``."""
    monkeypatch.setenv("HEARTZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HEARTZOO_MIRROR", str(physionet))
    return tmp_path / "cache"
