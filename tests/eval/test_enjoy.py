"""Mistakes with films and windows cost one line."""

import pytest

from eval.__main__ import main

pytestmark = pytest.mark.slow


def test_gif_without_grid_is_one_line(sac, capsys):
    with pytest.raises(SystemExit):
        main(["video", str(sac.path), "--gif"])
    assert capsys.readouterr().err == "python -m eval: --gif goes with --grid\n"


def test_a_window_without_a_display_is_one_line(sac, capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(SystemExit) as stop:
        main(["enjoy", str(sac.path)])
    assert stop.value.code == 1
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "needs a display" in err
